// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The cost of an event by the number of Stasis applications, each of which has a channel.
//!
//! All nodes are there at once: those with many applications, which take a while to make, and beside
//! them those with one. So every mode and every number has its turn in each round, on nodes that have
//! nothing else to do meanwhile.

use std::thread;

use crate::bench::Bench;
use crate::load::Load;
use crate::measure::{Place, measure};
use crate::mode::Mode;
use crate::node::Node;
use crate::sample::{Part, Sample};
use crate::turns::in_turn;

const MODES: [Mode; 3] = [Mode::Nobody, Mode::Synchronous, Mode::Confirms];

/// Events a second, of all applications together, and bursts they come in. A burst of one application
/// is less than the 500 messages above which Asterisk logs a warning.
const BURSTS: (u32, u32) = (5000, 20);

/// Events that a channel has one after the other (`RUN` of the generator).
const IN_A_ROW: u32 = 4;

/// Lists for what threads sleep on: more than there are threads.
const LISTS: u32 = 16_384;

struct Pair {
    mode: Mode,
    one: Node,
    many: Node,
}

pub(crate) fn run(bench: &mut Bench<'_>) {
    let Some(&most) = bench.plan.apps.last() else {
        return;
    };
    bench.say(&format!("{most} applications: every mode"));
    let pairs = MODES.map(|mode| {
        let node = || Node::without_apps(bench.kit, mode, &bench.address);
        Pair { mode, one: node(), many: node() }
    });
    thread::scope(|scope| {
        for Pair { one, many, .. } in &pairs {
            scope.spawn(|| {
                one.grow_to_apps(1);
                many.grow_to_apps(most);
            });
        }
    });
    for Pair { mode, one, many } in &pairs {
        warm(bench, one, *mode, 1);
        warm(bench, many, *mode, most);
    }
    for round in 0..bench.plan.app_rounds {
        bench.say(&format!("applications: round {} of {}", round + 1, bench.plan.app_rounds));
        for Pair { mode, one, many } in in_turn(&pairs, round) {
            let place = |part, x| Place { part, x, mode: *mode, round };
            let sample = publish(bench, one, place(Part::OneApp, 1));
            bench.keep(sample);
            for &apps in bench.plan.apps {
                let sample = publish(bench, many, place(Part::Apps, apps));
                bench.keep(sample);
            }
        }
    }
    if pairs.iter().all(|pair| pair.many.spread_futexes(LISTS)) {
        for round in 0..bench.plan.app_rounds {
            for Pair { mode, many, .. } in in_turn(&pairs, round) {
                let place = Place { part: Part::SpreadApps, x: most, mode: *mode, round };
                let sample = publish(bench, many, place);
                bench.keep(sample);
            }
        }
    }
    for Pair { one, many, .. } in &pairs {
        one.asterisk.assert_alive();
        many.asterisk.assert_alive();
    }
}

/// Before anything is measured.
fn warm(bench: &Bench<'_>, node: &Node, mode: Mode, apps: u32) {
    let (rate, bursts) = BURSTS;
    let events = (IN_A_ROW * apps).max(rate / bursts);
    let load = Load { events, rate, burst: rate / bursts, padding: 0, channels: apps };
    let _ =
        measure(node, &bench.listener, &load, Place { part: Part::Apps, x: apps, mode, round: 0 });
}

/// On as many applications as the place says.
fn publish(bench: &Bench<'_>, node: &Node, place: Place) -> Sample {
    let (rate, bursts) = BURSTS;
    let load = Load::in_bursts(rate, bursts, bench.plan.of_apps).among(place.x);
    let mut sample = measure(node, &bench.listener, &load, place);
    sample.callback = node.callback();
    sample
}
