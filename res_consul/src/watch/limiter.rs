// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! No more than so many queries, whatever Consul answers.
//!
//! A key that changes all the time, a prefix without keys (which wakes at every write to any key),
//! or an agent that answers at once with the same index: each would have a watch spin.

use std::time::{Duration, Instant};

/// Queries that may follow one another at once.
const BURST: u32 = 3;

/// After those, one in this time.
const PERIOD: Duration = Duration::from_secs(1);

/// A bucket of [`BURST`] tokens that gets one in each [`PERIOD`].
#[derive(Debug, Default)]
pub(crate) struct Limiter {
    /// When the bucket will be full.
    full: Option<Instant>,
}

impl Limiter {
    /// Takes a token: how long to wait for it.
    pub(crate) fn take(&mut self, now: Instant) -> Duration {
        let full = self.full.map_or(now, |full| full.max(now));
        self.full = Some(full + PERIOD);
        let owed = full.saturating_duration_since(now);
        owed.saturating_sub(PERIOD * (BURST - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_burst_it_is_one_a_second() {
        let mut limiter = Limiter::default();
        let start = Instant::now();
        let mut now = start;
        for _ in 0..100 {
            now += limiter.take(now);
        }
        assert_eq!(now - start, Duration::from_secs(97));
    }

    #[test]
    fn who_waits_between_queries_is_never_held_back_and_saves_up_a_burst_at_most() {
        let mut limiter = Limiter::default();
        let mut now = Instant::now();
        for _ in 0..10 {
            assert_eq!(limiter.take(now), Duration::ZERO);
            now += PERIOD;
        }
        now += Duration::from_secs(3600);
        for _ in 0..BURST {
            assert_eq!(limiter.take(now), Duration::ZERO);
        }
        assert_eq!(limiter.take(now), PERIOD);
    }
}
