// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Whether a series of figures rises: the line of least squares through it, and how sure that is.

use std::fmt;

/// A line's slope, with the half width of its 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Slope {
    pub(crate) a_minute: f64,
    pub(crate) half_width: f64,
}

impl Slope {
    /// Through one value a minute. None of fewer than three values: two are always on a line.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let count = values.len();
        let freedom = count.checked_sub(2).filter(|freedom| *freedom > 0)?;
        let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / count as f64;
        let minutes = || (0..count).map(|minute| minute as f64);
        let (middle, level) = (mean(&mut minutes()), mean(&mut values.iter().copied()));
        let spread: f64 = minutes().map(|minute| (minute - middle).powi(2)).sum();
        let together = minutes().zip(values).map(|(minute, value)| (minute - middle) * value);
        let a_minute = together.sum::<f64>() / spread;
        let rest = minutes()
            .zip(values)
            .map(|(minute, value)| (value - level - a_minute * (minute - middle)).powi(2));
        let deviation = (rest.sum::<f64>() / freedom as f64 / spread).sqrt();
        Some(Self { a_minute, half_width: student(freedom) * deviation })
    }

    /// Whether the rise is no chance, and more than `allowed` a minute.
    pub(crate) fn rises_above(&self, allowed: f64) -> bool {
        self.a_minute - self.half_width > allowed
    }
}

/// In KiB, for a slope of bytes.
impl fmt::Display for Slope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:+.1} ± {:.1} KiB a minute", self.a_minute / 1024.0, self.half_width / 1024.0)
    }
}

/// The 97.5 % quantile of Student's distribution.
fn student(freedom: usize) -> f64 {
    const FEW: [f64; 30] = [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
        2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
        2.052, 2.048, 2.045, 2.042,
    ];
    // Beyond, the normal distribution's with the first term of the expansion towards it.
    FEW.get(freedom.wrapping_sub(1)).copied().unwrap_or(1.96 + 2.37 / freedom as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_through_noise_and_noise_is_no_line() {
        let exact: Vec<f64> = (0..10).map(|minute| 100.0 + 3.0 * f64::from(minute)).collect();
        let slope = Slope::of(&exact).unwrap_or(Slope { a_minute: 0.0, half_width: 1.0 });
        assert!((slope.a_minute - 3.0).abs() < 1e-9 && slope.half_width < 1e-6, "{slope:?}");
        assert!(slope.rises_above(2.9) && !slope.rises_above(3.1));

        // By the textbook: slope 0.6, standard error 0.2828 with three degrees of freedom.
        let slope = Slope::of(&[2.0, 4.0, 5.0, 4.0, 5.0]).unwrap_or(slope);
        assert!((slope.a_minute - 0.6).abs() < 1e-9, "{slope:?}");
        assert!((slope.half_width - 3.182 * 0.282_84).abs() < 1e-3, "{slope:?}");
        assert!(!slope.rises_above(0.0));
        assert_eq!(Slope::of(&[1.0, 2.0]), None);
    }

    #[test]
    fn the_quantile_has_no_step() {
        assert!((student(30) - student(31)).abs() < 0.01);
        assert!((student(120) - 1.980).abs() < 0.002);
    }
}
