// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Times as they are measured.

use std::time::{Duration, Instant};

use crate::latency::Latency;

/// What these are, all together.
pub(crate) fn latency(times: &[Duration]) -> Option<Latency> {
    Latency::of(times.iter().copied().map(in_micros).collect())
}

pub(crate) fn micros(since: Instant) -> u64 {
    in_micros(since.elapsed())
}

fn in_micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
