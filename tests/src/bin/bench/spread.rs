// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A figure over the rounds.

use std::fmt;

/// The median, and between what the rounds were.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) rounds: usize,
}

impl Spread {
    /// None of none.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        values.sort_unstable_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = &values[(values.len() - 1) / 2..=values.len() / 2];
        let median = middle.iter().sum::<f64>() / middle.len() as f64;
        Some(Self { median, min, max, rounds: values.len() })
    }
}

/// 13.9 (13.1–15.0), with as many digits as the format asks for, or one; large figures with none.
impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { median, min, max, .. } = self;
        let digits = if *max < 1000.0 { f.precision().unwrap_or(1) } else { 0 };
        write!(f, "{median:.digits$} ({min:.digits$}–{max:.digits$})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle_and_what_is_no_number_is_none() {
        assert_eq!(Spread::of([]), None);
        assert_eq!(Spread::of([f64::NAN, f64::INFINITY]), None);
        let odd = Spread::of([3.0, 1.0, 9.0]).map(|spread| (spread.median, spread.min, spread.max));
        assert_eq!(odd, Some((3.0, 1.0, 9.0)));
        let even = Spread::of([4.0, 1.0, 2.0, 9.0]).map(|spread| spread.median);
        assert_eq!(even, Some(3.0));
    }
}
