// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What must be true of every unload.

use std::path::PathBuf;
use std::time::Instant;

use rig::{Asterisk, seconds};

use crate::pair::unload;

pub(crate) const MODULE: &str = "res_stasis_amqp.so";

/// The names of the threads that are ours, or of a library of ours.
pub(crate) fn threads(asterisk: &Asterisk) -> Vec<(String, PathBuf)> {
    let tasks = format!("/proc/{}/task", asterisk.process().pid());
    let tasks = std::fs::read_dir(&tasks).unwrap_or_else(|error| panic!("{tasks}: {error}"));
    let named = tasks.flatten().filter_map(|task| {
        let name = std::fs::read_to_string(task.path().join("comm")).ok()?;
        Some((name.trim().to_owned(), task.path()))
    });
    let ours = ["amqp", "lapin", "tokio", "async", "blocking"];
    named.filter(|(name, _)| ours.iter().any(|prefix| name.starts_with(prefix))).collect()
}

/// What an unload must leave behind: nothing.
#[track_caller]
pub(crate) fn assert_gone(asterisk: &Asterisk) {
    assert!(!asterisk.process().maps(MODULE), "the module is still mapped");
    assert_eq!(threads(asterisk), []);
    let listed = asterisk.cli("core show threads");
    assert!(!listed.contains("amqp") && !listed.contains("lapin"), "{listed}");
}

/// `module unload` never takes longer, whatever the broker does, and never leaves anything.
#[track_caller]
pub(crate) fn unload_in_time(asterisk: &Asterisk) {
    let since = Instant::now();
    unload(asterisk);
    let took = since.elapsed();
    assert!(took < seconds(6), "the unload took {took:?}");
    assert_gone(asterisk);
}
