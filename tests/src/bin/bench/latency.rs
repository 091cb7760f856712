// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! How long things took.

use serde_json::{Value, json};

/// Percentiles, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

impl Latency {
    /// Of these, in microseconds; none of none.
    pub(crate) fn of(mut micros: Vec<u64>) -> Option<Self> {
        micros.sort_unstable();
        let share = |hundredths: usize| {
            let place = (micros.len() * hundredths).div_ceil(100).checked_sub(1)?;
            micros.get(place).map(|micros| *micros as f64 / 1000.0)
        };
        Some(Self { p50: share(50)?, p99: share(99)?, max: share(100)? })
    }

    pub(crate) fn json(self) -> Value {
        json!({"p50": self.p50, "p99": self.p99, "max": self.max})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        assert_eq!(Latency::of(Vec::new()), None);
        let one = Latency { p50: 0.007, p99: 0.007, max: 0.007 };
        assert_eq!(Latency::of(vec![7]), Some(one));
        let many = Latency { p50: 50.0, p99: 99.0, max: 100.0 };
        assert_eq!(Latency::of((1..=100).rev().map(|ms| ms * 1000).collect()), Some(many));
    }
}
