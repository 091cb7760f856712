// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The cost of an event by the number of Stasis applications, each of which has a channel.

use crate::bench::Bench;
use crate::load::Load;
use crate::measure::{Place, measure};
use crate::mode::Mode;
use crate::node::Node;
use crate::sample::Part;

const MODES: [Mode; 3] = [Mode::Nobody, Mode::Synchronous, Mode::Confirms];

/// Events a second, of all applications together.
const RATE: u32 = 3000;

/// Every application has had some.
const WARM: Load = Load { events: 8000, rate: 4000, burst: 40, padding: 0 };

pub(crate) fn run(bench: &mut Bench<'_>) {
    for mode in MODES {
        bench.say(&format!("many applications: {}", mode.title()));
        let node = Node::without_apps(bench.kit, mode, &bench.address);
        for &apps in bench.plan.apps {
            node.grow_to_apps(apps);
            let place = Place { part: Part::Apps, x: apps, mode, round: 0 };
            let _ = measure(&node, &bench.listener, &WARM, place);
            let load = Load::even(RATE, bench.plan.of_apps);
            let mut sample = measure(&node, &bench.listener, &load, place);
            sample.callback = node.callback();
            bench.keep(sample);
        }
        node.asterisk.assert_alive();
    }
}
