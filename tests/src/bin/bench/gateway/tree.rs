// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The processor time of a process with all that it has started.

use std::fs;
use std::time::Duration;

use crate::threads;

/// User and system time so far; of what lives.
pub(super) fn cpu_time(pid: u32) -> Duration {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    let of_children = children.split_whitespace().flat_map(str::parse).map(cpu_time);
    threads::cpu_time(pid) + of_children.sum::<Duration>()
}
