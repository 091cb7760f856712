// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The rounds in which the modes are compared: in each, every mode in turn, with a fresh Asterisk.

use crate::bench::Bench;
use crate::climb;
use crate::load::Load;
use crate::measure::{Place, measure};
use crate::mode::Mode;
use crate::node::Node;
use crate::sample::Part;
use crate::section::Section;
use crate::turns::in_turn;

/// The load that modes are compared by: events a second, and bursts they come in.
pub(crate) const BURSTS: (u32, u32) = (5000, 10);

/// Before anything is measured.
const WARM: Load = Load { events: 3000, rate: 3000, burst: 30, padding: 0, channels: 0 };

/// Every size comes in bursts too: where events come one by one, the wake-ups cost more than the bytes.
const BURSTS_OF_SIZES: (u32, u32) = (2500, 10);

/// The others differ from these by what an event costs, whatever its size.
const MODES_OF_SIZES: [Mode; 3] = [Mode::Nobody, Mode::Synchronous, Mode::Confirms];

pub(crate) fn run(bench: &mut Bench<'_>) {
    let plan = bench.plan;
    let compares = bench.wants(Section::Bursts) || bench.wants(Section::Rates);
    for round in 0..plan.rounds {
        for &mode in in_turn(&Mode::ALL, round) {
            if !compares && !sizes_vary(bench, mode, round) {
                continue;
            }
            bench.say(&format!("round {} of {}: {}", round + 1, plan.rounds, mode.title()));
            compare(bench, mode, round);
        }
        if bench.wants(Section::Highest) && round + plan.climbs >= plan.rounds {
            climb::round(bench, round);
        }
    }
}

fn compare(bench: &mut Bench<'_>, mode: Mode, round: u32) {
    let node = Node::start(bench.kit, mode, &bench.address);
    let place = |part, x| Place { part, x, mode, round };
    let (rate, bursts) = BURSTS;
    // What is made once is made before anything counts.
    let _ = measure(&node, &bench.listener, &WARM, place(Part::Bursts, rate));

    if bench.wants(Section::Bursts) {
        let load = Load::in_bursts(rate, bursts, bench.plan.bursts);
        let mut sample = measure(&node, &bench.listener, &load, place(Part::Bursts, rate));
        sample.callback = node.callback();
        bench.keep(sample);
    }
    if bench.wants(Section::Rates) {
        vary_rate(bench, &node, round, &place);
    }
    if sizes_vary(bench, mode, round) {
        for &size in bench.plan.sizes {
            vary_size(bench, &node, size, place(Part::Size, size));
        }
    }
    node.asterisk.assert_alive();
}

fn sizes_vary(bench: &Bench<'_>, mode: Mode, round: u32) -> bool {
    bench.wants(Section::Sizes) && round < bench.plan.size_rounds && MODES_OF_SIZES.contains(&mode)
}

fn vary_rate(bench: &mut Bench<'_>, node: &Node, round: u32, place: &dyn Fn(Part, u32) -> Place) {
    let more = if round < bench.plan.sweeps { bench.plan.more_rates } else { &[] };
    for (rate, lasts) in bench.plan.rates.iter().chain(more) {
        let load = Load::even(*rate, *lasts);
        let sample = measure(node, &bench.listener, &load, place(Part::Rate, *rate));
        bench.keep(sample);
    }
}

fn vary_size(bench: &mut Bench<'_>, node: &Node, size: u32, place: Place) {
    let padding = size.saturating_sub(bench.plan.sizes[0]);
    let (rate, bursts) = BURSTS_OF_SIZES;
    let load = Load::in_bursts(rate, bursts, bench.plan.of_size).padded(padding);
    let sample = measure(node, &bench.listener, &load, place);
    if place.mode != Mode::Nobody {
        let is = bench.listener.body_bytes();
        let wrong = is.abs_diff(u64::from(size)) * 5 > u64::from(size);
        assert!(!wrong, "an event of {size} bytes has {is}");
    }
    bench.keep(sample);
}
