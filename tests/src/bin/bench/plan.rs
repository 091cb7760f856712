// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! How much is measured, and for how long.

use std::time::Duration;

pub(crate) struct Plan {
    /// As `summary.json` has it.
    pub(crate) name: &'static str,
    /// It ends within this on the two cores it is made for.
    pub(crate) limit: Duration,
    /// In which the modes are compared.
    pub(crate) rounds: u32,
    /// The last so many of them look for the highest rate too.
    pub(crate) climbs: u32,
    pub(crate) bursts: Duration,
    /// Events a second, for so long.
    pub(crate) rates: &'static [(u32, Duration)],
    /// The longest that one rate is held in the search for the highest.
    pub(crate) hold: Duration,
    /// In which the rest is varied.
    pub(crate) sweeps: u32,
    /// More of them, for the curve.
    pub(crate) more_rates: &'static [(u32, Duration)],
    /// Bytes of an event, the first as it is without padding.
    pub(crate) sizes: &'static [u32],
    pub(crate) size_rounds: u32,
    pub(crate) of_size: Duration,
    /// How many Stasis applications have events, of as many as the last of these says.
    pub(crate) apps: &'static [u32],
    pub(crate) app_rounds: u32,
    pub(crate) of_apps: Duration,
    pub(crate) calls: u32,
}

const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// `make bench`
pub(crate) const FULL: Plan = Plan {
    name: "bench",
    limit: Duration::from_secs(18 * 60 + 40),
    rounds: 5,
    climbs: 5,
    bursts: millis(4000),
    rates: &[(100, millis(3000)), (1000, millis(3000)), (10_000, millis(2000))],
    hold: millis(2000),
    sweeps: 2,
    more_rates: &[(300, millis(2000)), (3000, millis(2000))],
    sizes: &[500, 2000, 4000, 8000, 16_000],
    size_rounds: 3,
    of_size: millis(1500),
    apps: &[1, 100, 2000],
    app_rounds: 3,
    of_apps: millis(2000),
    calls: 75,
};

/// `make bench-quick`. Asterisk takes most of a minute to make 2,000 applications.
pub(crate) const QUICK: Plan = Plan {
    name: "bench-quick",
    limit: Duration::from_secs(4 * 60),
    rounds: 2,
    climbs: 1,
    bursts: millis(1500),
    rates: &[(100, millis(1500)), (1000, millis(1000)), (10_000, millis(1000))],
    hold: millis(1000),
    sweeps: 1,
    more_rates: &[],
    sizes: &[500, 4000, 16_000],
    size_rounds: 1,
    of_size: millis(1000),
    apps: &[1, 500],
    app_rounds: 2,
    of_apps: millis(1000),
    calls: 30,
};
