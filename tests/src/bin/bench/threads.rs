// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The processor time of some threads of a process.

use std::fs;
use std::path::Path;
use std::time::Duration;

/// What the living threads have run whose names begin with one of these, by the scheduler's own count.
pub(crate) fn cpu_time(pid: u32, names: &[&str]) -> Duration {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    // One that has ended meanwhile is not counted.
    let ran = threads.filter_map(|thread| {
        let name = fs::read_to_string(thread.path().join("comm")).ok()?;
        if names.iter().any(|beginning| name.starts_with(beginning)) {
            nanoseconds(&thread.path())
        } else {
            None
        }
    });
    Duration::from_nanos(ran.sum())
}

fn nanoseconds(thread: &Path) -> Option<u64> {
    let told = fs::read_to_string(thread.join("schedstat")).ok()?;
    told.split_whitespace().next()?.parse().ok()
}
