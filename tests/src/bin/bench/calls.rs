// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Real calls: SIPp calls an extension that answers, sets variables and hangs up.

use rig::{Call, seconds};

use crate::bench::Bench;
use crate::measure::Place;
use crate::mode::Mode;
use crate::node::Node;
use crate::sample::Part;

const MODES: [Mode; 3] = [Mode::Nobody, Mode::Synchronous, Mode::Confirms];

/// Calls a second.
const RATE: u32 = 15;
/// Variables that the dialplan sets in each.
const VARIABLES: usize = 20;

pub(crate) fn run(bench: &mut Bench<'_>) {
    let lines = (0..VARIABLES).map(|index| format!("Set(VARIABLE_{index}=value {index})"));
    let lines: Vec<String> = ["Answer()".to_owned()]
        .into_iter()
        .chain(lines)
        .chain(["Wait(0.5)", "Hangup()"].map(str::to_owned))
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    for round in 0..bench.plan.sweeps {
        for mode in MODES {
            bench.say(&format!("{} SIP calls: {}", bench.plan.calls, mode.title()));
            let node = Node::furnished(bench.kit, mode, &bench.address, false, |builder| {
                builder.extension("call", &lines)
            });
            let calls = |count| {
                let call = Call::several(&node.asterisk, "call", seconds(20), count, RATE);
                call.wait(seconds(120));
                call
            };
            drop(calls(RATE));
            let (before, messages) = (node.cpu_at_rest(), bench.listener.messages());
            let mut times = calls(bench.plan.calls).answer_times();
            let cpu = node.cpu_at_rest() - before;
            let events = bench.listener.messages() - messages;
            times.sort_unstable();
            let p99 = times.get((times.len() * 99).div_ceil(100).saturating_sub(1));
            let place = Place { part: Part::Calls, x: bench.plan.calls, mode, round };
            let mut sample = place.sample(events, cpu);
            sample.answer_ms = p99.map(|time| time.as_secs_f64() * 1000.0);
            sample.callback = node.callback();
            bench.keep(sample);
            node.asterisk.assert_alive();
        }
    }
}
