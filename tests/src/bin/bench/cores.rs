// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Which processor the bench's own threads have: the last, always the same.

use rustix::thread::{CpuSet, sched_setaffinity};

use crate::machine;

/// Keeps the calling thread there. Where that is not allowed, it runs where it does.
pub(crate) fn keep_to_last() {
    let mut last = CpuSet::new();
    last.set(machine::cores() - 1);
    let _ = sched_setaffinity(None, &last);
}
