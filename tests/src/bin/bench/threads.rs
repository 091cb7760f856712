// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The processor time of threads of a process.

use std::fs;
use std::path::Path;
use std::time::Duration;

/// What the living threads have run, by the scheduler's own count.
pub(crate) fn cpu_time(pid: u32) -> Duration {
    cpu_time_of(pid, |_| true)
}

/// The same, of those whose names begin with one of these.
pub(crate) fn cpu_time_of_named(pid: u32, names: &[&str]) -> Duration {
    cpu_time_of(pid, |thread| {
        let name = fs::read_to_string(thread.join("comm")).unwrap_or_default();
        names.iter().any(|beginning| name.starts_with(beginning))
    })
}

fn cpu_time_of(pid: u32, is_meant: impl Fn(&Path) -> bool) -> Duration {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    // One that has ended meanwhile is not counted.
    let paths = threads.map(|thread| thread.path()).filter(|thread| is_meant(thread));
    Duration::from_nanos(paths.filter_map(|thread| nanoseconds(&thread)).sum())
}

fn nanoseconds(thread: &Path) -> Option<u64> {
    let told = fs::read_to_string(thread.join("schedstat")).ok()?;
    told.split_whitespace().next()?.parse().ok()
}
