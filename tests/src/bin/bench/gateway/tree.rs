// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The processor time of a process with all that it has started.

use std::fs;
use std::time::Duration;

/// User and system time so far; of what lives.
pub(super) fn cpu_time(pid: u32) -> Duration {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    let of_children = children.split_whitespace().flat_map(str::parse).map(cpu_time);
    own(pid) + of_children.sum::<Duration>()
}

/// Nanoseconds that its threads have run, by the scheduler's own count.
fn own(pid: u32) -> Duration {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let ran = threads.filter_map(|thread| {
        let told = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        told.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(ran.sum())
}
