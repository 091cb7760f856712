// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The faults, in the order of the table.

mod asterisk;
mod broker;
mod contents;
mod network;
mod refusals;
mod spool;

use crate::fault::Fault;
use crate::load::Load;

/// Nothing goes wrong: what the others are compared with.
pub(crate) const NONE: Fault = Fault {
    name: "none",
    what: "no fault",
    load: Load { steady: 200, burst: 100_000, burst_rate: 13_000, before: 300 },
    calls: 5,
    outlasts_burst: true,
    lines: 0,
    ..Fault::COMMON
};

pub(crate) fn all() -> Vec<Fault> {
    let tables: [&[Fault]; 7] = [
        &[NONE],
        &broker::FAULTS,
        &network::FAULTS,
        &refusals::FAULTS,
        &contents::FAULTS,
        &asterisk::FAULTS,
        &spool::FAULTS,
    ];
    tables.concat()
}
