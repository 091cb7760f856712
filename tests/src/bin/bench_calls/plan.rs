// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! How much is measured, and for how long.

use std::time::Duration;

use rig::seconds;

pub(crate) struct Plan {
    /// As `calls.json` has it.
    pub(crate) name: &'static str,
    /// It ends within this on the two cores it is made for.
    pub(crate) limit: Duration,
    /// Asterisk nodes.
    pub(crate) fleets: &'static [usize],
    /// Calls a second, from low to high; it ends at the first that is too many.
    pub(crate) rates: &'static [u32],
    /// How long each rate is kept.
    pub(crate) step: Duration,
    /// Calls at once, from few to many; it ends at the first that are too many.
    pub(crate) held: &'static [u32],
    /// How long they are held once all are there.
    pub(crate) hold: Duration,
    /// Calls to 25 nodes, and after one of them is drained.
    pub(crate) wide: u32,
    /// How often a node changes in Consul, to see how soon that shows.
    pub(crate) changes: u32,
    /// How often one kind of request is sent.
    pub(crate) requests: u32,
}

/// `make bench-calls`
pub(crate) const FULL: Plan = Plan {
    name: "bench-calls",
    limit: seconds(15 * 60),
    fleets: &[2, 4, 8],
    rates: &[5, 10, 15, 20, 30, 40, 50, 60, 80, 100, 120],
    step: seconds(10),
    held: &[200, 400, 600, 800, 1000, 1200],
    hold: seconds(10),
    wide: 1000,
    changes: 10,
    requests: 50,
};

/// `make bench-calls QUICK=yes`
pub(crate) const QUICK: Plan = Plan {
    name: "bench-calls QUICK=yes",
    limit: seconds(4 * 60),
    fleets: &[2],
    rates: &[5, 10, 20, 40],
    step: seconds(5),
    held: &[200],
    hold: seconds(5),
    wide: 300,
    changes: 3,
    requests: 10,
};
