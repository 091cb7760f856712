// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! How much is measured of the gateway, and for how long.

use std::time::Duration;

pub(crate) struct Plan {
    /// As `gateway.json` has it.
    pub(crate) name: &'static str,
    /// It ends within this on the two cores it is made for.
    pub(crate) limit: Duration,
    /// In which the three ways are compared.
    pub(super) rounds: u32,
    pub(super) warm: Duration,
    /// How long requests are made in one way.
    pub(super) shot: Duration,
    /// The same, while a large fleet is read each second.
    pub(super) watch: Duration,
    /// The fleet that is read, and each node's channels.
    pub(super) nodes: usize,
    pub(super) channels: usize,
}

/// `make bench-gateway`, and of `make bench`.
pub(crate) const FULL: Plan = Plan {
    name: "bench-gateway",
    limit: Duration::from_secs(120),
    rounds: 6,
    warm: Duration::from_secs(1),
    shot: Duration::from_secs(3),
    watch: Duration::from_secs(6),
    nodes: 100,
    channels: 1000,
};

/// Of `make bench-quick`.
pub(crate) const QUICK: Plan = Plan {
    name: "bench-gateway --quick",
    limit: Duration::from_secs(60),
    rounds: 3,
    shot: Duration::from_secs(1),
    watch: Duration::from_secs(4),
    ..FULL
};
