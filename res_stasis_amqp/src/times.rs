// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! How long Asterisk's threads were held by us, event by event: the proof that nothing waits.
//!
//! Counts by size, eight sizes to each power of two, so a figure is at most an eighth too high. To
//! record is two additions, without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Sizes to a power of two.
const STEPS: u32 = 8;

/// Up to 2^41 ns, half an hour; what takes longer counts as that.
const SIZES: usize = (STEPS * 38) as usize;

/// The times of all callbacks since the module was loaded.
#[derive(Debug)]
pub(crate) struct Times {
    sizes: [AtomicU64; SIZES],
    longest: AtomicU64,
}

/// What they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Half of them took no longer.
    pub p50: Duration,
    /// Ninety-nine of a hundred took no longer.
    pub p99: Duration,
    /// None took longer.
    pub max: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self { sizes: [const { AtomicU64::new(0) }; SIZES], longest: AtomicU64::new(0) }
    }
}

impl Times {
    /// Counts a callback that took `time`. On any thread.
    pub(crate) fn record(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        if let Some(count) = self.sizes.get(size_of_time(nanos)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        // Nearly always too small: then it is a mere look.
        if nanos > self.longest.load(Ordering::Relaxed) {
            self.longest.fetch_max(nanos, Ordering::Relaxed);
        }
    }

    /// None before the first callback.
    pub(crate) fn summary(&self) -> Option<Summary> {
        let counts = self.sizes.each_ref().map(|count| count.load(Ordering::Relaxed));
        let all: u64 = counts.iter().sum();
        let max = self.longest.load(Ordering::Relaxed);
        let share = |hundredths: u64| {
            let wanted = (all * hundredths).div_ceil(100);
            let mut seen = 0;
            let size = counts.iter().position(|count| {
                seen += count;
                seen >= wanted
            });
            Duration::from_nanos(size.map_or(max, largest_of_size).min(max))
        };
        let max_time = Duration::from_nanos(max);
        (all > 0).then(|| Summary { p50: share(50), p99: share(99), max: max_time })
    }
}

/// Microseconds, to a tenth.
pub(crate) fn micros(time: Duration) -> f64 {
    (time.as_secs_f64() * 10_000_000.0).round() / 10.0
}

fn size_of_time(nanos: u64) -> usize {
    let nanos = nanos.max(u64::from(STEPS));
    let shift = nanos.ilog2() - STEPS.ilog2();
    let step = (nanos >> shift) - u64::from(STEPS);
    let size = u64::from(shift * STEPS) + step;
    usize::try_from(size).map_or(SIZES - 1, |size| size.min(SIZES - 1))
}

fn largest_of_size(size: usize) -> u64 {
    let (shift, step) = (size / STEPS as usize, size % STEPS as usize);
    ((u64::from(STEPS) + step as u64 + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nanos(nanos: u64) -> Duration {
        Duration::from_nanos(nanos)
    }

    #[test]
    fn every_time_has_its_size_and_sizes_are_close_and_in_order() {
        let mut last = 0;
        for time in (0..100_000).chain((17..40).flat_map(|bit| [(1 << bit) - 1, 1 << bit])) {
            let size = size_of_time(time);
            assert!(size >= last, "{time}: {size} after {last}");
            last = size;
            let largest = largest_of_size(size);
            assert!(time <= largest, "{time}: {largest}");
            assert!(time < 16 || largest - time <= time / 8, "{time}: {largest}");
        }
        assert_eq!(size_of_time(u64::MAX), SIZES - 1);
        assert!(largest_of_size(SIZES - 1) > 1 << 40);
    }

    #[test]
    fn shares_are_told_and_the_longest_exactly() {
        let times = Times::default();
        assert_eq!(times.summary(), None);
        times.record(nanos(1_000));
        let one = Summary { p50: nanos(1_000), p99: nanos(1_000), max: nanos(1_000) };
        assert_eq!(times.summary(), Some(one));
        (0..97).for_each(|_| times.record(nanos(1_000)));
        times.record(nanos(50_000));
        times.record(nanos(3_000_000_123));
        let summary = times.summary().unwrap();
        assert!((1_000..=1_125).contains(&summary.p50.as_nanos()), "{summary:?}");
        assert!((50_000..=56_250).contains(&summary.p99.as_nanos()), "{summary:?}");
        assert_eq!(summary.max, nanos(3_000_000_123));
    }
}
