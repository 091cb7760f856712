// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The highest rate: events a second, more and more, until they pile up.

use rig::{eventually, seconds};

use crate::bench::Bench;
use crate::load::Load;
use crate::measure::Place;
use crate::mode::Mode;
use crate::node::Node;
use crate::sample::{Part, Sample};
use crate::sink::Sink;
use crate::turns::in_turn;

/// Where the first climb begins, and by how much each step is higher.
const START: f64 = 10_000.0;
const WIDE: f64 = 1.4;
/// A later one begins below the last result.
const LOWER: f64 = 0.8;
const NARROW: f64 = 1.1;
/// Nobody is slower than that.
const LEAST: f64 = 500.0;

/// What may be on its way at the end without being a backlog: events of so many seconds.
const ON_ITS_WAY: f64 = 0.1;
/// The generator too has to keep its pace, nearly.
const PACE: f64 = 1.04;

/// Every mode in turn, against the sink; then the cost of the same rates without a module; in the last
/// round, those that are compared against RabbitMQ too.
pub(crate) fn round(bench: &mut Bench<'_>, round: u32) {
    let modes = || in_turn(&Mode::ALL, round).copied().filter(|mode| *mode != Mode::Nobody);
    let sink = Sink::open();
    let mut rates = Vec::new();
    for mode in modes() {
        let place = |rate| Place { part: Part::Highest, x: rate, mode, round };
        let node = Node::start(bench.kit, mode, &sink.address());
        let sample = climb(bench, &node, &|| sink.messages(), &place);
        bench.say(&format!("  highest rate, {}: {}/s", mode.title(), sample.x));
        rates.push(sample.x);
        bench.keep(sample);
    }
    let node = Node::start(bench.kit, Mode::Nobody, &sink.address());
    rates.sort_unstable();
    rates.dedup();
    for rate in rates {
        let place = Place { part: Part::Highest, x: rate, mode: Mode::Nobody, round };
        // Whether it keeps the pace or not.
        let (sample, _) = hold(&node, &Load::even(rate, bench.plan.hold), None, place);
        bench.keep(sample);
    }
    if round + 1 == bench.plan.rounds {
        for mode in modes().filter(|mode| matches!(mode, Mode::Synchronous | Mode::Confirms)) {
            let place = |rate| Place { part: Part::HighestRabbitmq, x: rate, mode, round };
            let node = Node::start(bench.kit, mode, &bench.address);
            let sample = climb(bench, &node, &|| bench.listener.messages(), &place);
            bench.say(&format!("  with RabbitMQ, {}: {}/s", mode.title(), sample.x));
            bench.keep(sample);
        }
    }
}

/// The sample of the highest rate at which nothing piled up.
fn climb(
    bench: &Bench<'_>,
    node: &Node,
    arrived: &dyn Fn() -> u64,
    place: &dyn Fn(u32) -> Place,
) -> Sample {
    let part = place(0);
    let (mut rate, mut step) = match bench.last_highest(part.part, part.mode) {
        Some(last) => (f64::from(last) * LOWER, NARROW),
        None => (START, WIDE),
    };
    let mut highest: Option<Sample> = None;
    loop {
        // Once more: a hiccup of the machine is no limit of the publisher's.
        let load = Load::even(rate.round() as u32, bench.plan.hold);
        let held = (0..2).find_map(|_| {
            let (sample, is_kept_up) = hold(node, &load, Some(arrived), place(load.rate));
            is_kept_up.then_some(sample)
        });
        match (held, highest.take()) {
            (Some(sample), _) => {
                highest = Some(sample);
                rate *= step;
            }
            (None, Some(highest)) => return highest,
            // It began too high.
            (None, None) => {
                rate /= WIDE;
                step = NARROW;
            }
        }
        assert!(rate > LEAST, "events pile up at any rate: {}", node.asterisk.log());
    }
}

/// The sample, and whether the load was kept up with. A backlog is worked off, or was dropped, before it
/// returns.
/// Without `arrived` nothing does.
fn hold(
    node: &Node,
    load: &Load,
    arrived: Option<&dyn Fn() -> u64>,
    place: Place,
) -> (Sample, bool) {
    let events = u64::from(load.events);
    let process = node.asterisk.process();
    let before = node.cpu_at_rest();
    process.forget_peak();
    let since = arrived.map_or(0, |arrived| arrived());
    let took = node.publish(load);
    let missing = arrived.map_or(0, |arrived| events.saturating_sub(arrived() - since));
    let memory_bytes = Some(process.peak_rss_bytes());
    let left_out = arrived.map_or(0, |arrived| {
        let mut count = 0;
        eventually("the backlog to be worked off, or dropped", seconds(60), || {
            node.cpu_at_rest();
            let before = std::mem::replace(&mut count, arrived() - since);
            if count >= events || count == before {
                Ok(())
            } else {
                Err(format!("{count} of {events}"))
            }
        });
        events.saturating_sub(count)
    });
    let cpu = node.cpu_at_rest() - before;
    let is_in_pace = took.as_secs_f64() <= load.lasts().as_secs_f64() * PACE;
    let piled_up = left_out > 0 || missing as f64 > f64::from(load.rate) * ON_ITS_WAY;
    let sample = Sample { memory_bytes, ..place.sample(events, cpu) };
    (sample, is_in_pace && !piled_up)
}
