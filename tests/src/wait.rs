// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Waiting on a condition, with a deadline.

use std::thread::sleep;
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(10);

/// `Duration::from_secs`, short because every wait names one.
pub const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Looks until `look` answers `Ok`, and gives that value.
///
/// # Panics
///
/// After `within`, with what was waited for and the last thing that `look` saw instead (its `Err`).
#[track_caller]
pub fn eventually<T, S: std::fmt::Display>(
    what: &str,
    within: Duration,
    look: impl FnMut() -> Result<T, S>,
) -> T {
    match poll(within, look) {
        Ok(value) => value,
        Err(seen) => panic!("waited {within:?} for {what}; last seen: {seen}"),
    }
}

/// Like [`eventually`], for the caller that goes on when the deadline passes.
///
/// # Errors
///
/// The last thing that `look` saw.
pub fn poll<T, S>(within: Duration, mut look: impl FnMut() -> Result<T, S>) -> Result<T, S> {
    let deadline = Instant::now() + within;
    loop {
        match look() {
            Ok(value) => return Ok(value),
            Err(seen) if Instant::now() >= deadline => return Err(seen),
            Err(_) => sleep(PAUSE),
        }
    }
}
