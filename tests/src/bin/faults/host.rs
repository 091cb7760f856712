// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What Asterisk is like as a process: what must be as before once a fault is over.

use std::fs;
use std::time::{Duration, Instant};

use rig::wait::poll;
use rig::{Asterisk, seconds};

use crate::module::MODULE;

/// `module unload` never takes longer, whatever there was before.
const UNLOAD: Duration = seconds(6);

/// Files that Asterisk may open meanwhile for itself.
const MORE_FILES: usize = 6;

/// The names of threads that are ours, or of a library of ours.
const OURS: [&str; 5] = ["amqp", "lapin", "tokio", "async", "blocking"];

/// Before the load.
pub(crate) struct Base {
    pub(crate) rss: u64,
    threads: Vec<String>,
    files: usize,
    /// Of the log.
    log: usize,
}

impl Base {
    pub(crate) fn of(asterisk: &Asterisk, connected: bool) -> Self {
        let process = asterisk.process();
        let mut threads = our_threads(asterisk);
        if !connected {
            // It comes with the connection.
            threads.push("lapin-io-loop".to_owned());
        }
        process.forget_peak();
        Self { rss: process.rss_bytes(), threads, files: process.fds(), log: asterisk.log_mark() }
    }

    /// Waits until threads and files are as they were; `Err` says what is left.
    pub(crate) fn compare(&self, asterisk: &Asterisk) -> Result<(), String> {
        poll(seconds(30), || {
            let (threads, files) = (our_threads(asterisk), asterisk.process().fds());
            if threads == self.threads && files <= self.files + MORE_FILES {
                return Ok(());
            }
            let before = (&self.threads, self.files);
            Err(format!("threads and files: before {before:?}, now {threads:?}, {files}"))
        })
    }

    /// What the module has logged since, without times.
    pub(crate) fn lines(&self, asterisk: &Asterisk) -> Vec<String> {
        let log = asterisk.log();
        let new = log.get(self.log..).unwrap_or_default();
        new.lines().filter_map(ours).collect()
    }
}

/// A line of the log that a module of ours wrote, from its level on.
fn ours(line: &str) -> Option<String> {
    let (_, line) = line.split_once("] ")?;
    let level = ["NOTICE", "WARNING", "ERROR"].into_iter().find(|level| line.starts_with(level))?;
    let (_, text) = line.split_once(".rs: ")?;
    Some(format!("{level} {text}"))
}

fn our_threads(asterisk: &Asterisk) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", asterisk.process().pid()));
    let names = tasks.into_iter().flatten().flatten().filter_map(|task| {
        let name = fs::read_to_string(task.path().join("comm")).ok()?;
        Some(name.trim().to_owned())
    });
    let mut ours: Vec<_> =
        names.filter(|name| OURS.iter().any(|prefix| name.starts_with(prefix))).collect();
    ours.sort();
    ours
}

/// The taskprocessors behind subscriptions to channels, ours and the witness's: the most that has
/// waited in one.
pub(crate) fn deepest(asterisk: &Asterisk) -> u64 {
    let shown = asterisk.cli("core show taskprocessors");
    let ours = shown.lines().filter(|line| line.starts_with("stasis/m:channel:all-"));
    let depths = ours.filter_map(|line| line.split_whitespace().nth(3)?.parse().ok());
    depths.max().unwrap_or_default()
}

/// Alerts of taskprocessors that serve us.
pub(crate) fn alerts(asterisk: &Asterisk) -> Vec<String> {
    let complaints = asterisk.complaints().into_iter();
    complaints
        .filter(|line| line.contains("scheduled tasks") && line.contains("m:channel:all-"))
        .collect()
}

/// Unloads the module; `Err` says what is not as it must be after that.
pub(crate) fn unload(asterisk: &Asterisk) -> Result<Duration, String> {
    let since = Instant::now();
    let answer = asterisk.cli(&format!("module unload {MODULE}"));
    let took = since.elapsed();
    if !answer.contains(&format!("Unloaded {MODULE}")) {
        return Err(format!("the unload: {answer}"));
    }
    if took > UNLOAD {
        return Err(format!("the unload took {took:?}"));
    }
    if asterisk.process().maps(MODULE) {
        return Err("the module is still mapped".to_owned());
    }
    match our_threads(asterisk).as_slice() {
        [] => Ok(took),
        left => Err(format!("after the unload, threads are left: {left:?}")),
    }
}
