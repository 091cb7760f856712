// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Calls that are there at once: more and more of them, each of which hears a tone.

use std::thread::sleep;
use std::time::{Duration, Instant};

use rig::wait::poll;
use rig::{Call, seconds};
use serde_json::{Value, json};

use crate::latency::Latency;
use crate::plan::Plan;
use crate::rates::SLOW_MS;
use crate::system::System;
use crate::usage::{Meter, Part};

const FOR_GOOD: Duration = seconds(3600);
/// Beyond the time in which they are placed.
const PATIENCE: Duration = seconds(40);

/// So many calls at once.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) nodes: usize,
    pub(crate) wanted: u32,
    /// That were there when all should have been, and when they had been held.
    pub(crate) there: u32,
    pub(crate) stayed: u32,
    /// Of those that were added, from INVITE to 200 OK.
    pub(crate) setup: Option<Latency>,
    /// Hundredths of a processor, while they are held.
    pub(crate) cpu: Vec<(&'static str, f64)>,
    pub(crate) memory_mib: Vec<(&'static str, f64)>,
}

impl Held {
    fn is_borne(&self) -> bool {
        let enough = self.wanted - self.wanted / 100;
        self.stayed >= enough && self.setup.is_some_and(|setup| setup.p99 <= SLOW_MS)
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "nodes": self.nodes,
            "calls": self.wanted,
            "there": self.there,
            "stayed": self.stayed,
            "setup_ms": self.setup.map(Latency::json),
            "cpu_percent": crate::report::object(&self.cpu),
            "memory_mib": crate::report::object(&self.memory_mib),
            "borne": self.is_borne(),
        })
    }
}

/// Calls are added at this rate. The last are the first that were too many, if any were.
pub(crate) fn run(plan: &Plan, system: &System<'_>, rate: u32) -> Vec<Held> {
    let (mut all, mut calls): (Vec<Held>, Vec<Call>) = (Vec::new(), Vec::new());
    for wanted in plan.held {
        let more = wanted - all.last().map_or(0, |held: &Held| held.wanted);
        let call = system.call(FOR_GOOD, more, rate);
        let placing = Duration::from_secs((more / rate).into());
        let since = Instant::now();
        let _ = poll(placing + PATIENCE, || {
            // Each look asks every node.
            sleep(Duration::from_millis(500));
            if system.channels() >= *wanted { Ok(()) } else { Err(since.elapsed()) }
        });
        let there = system.channels();
        let setup = crate::times::latency(&call.answer_times());
        calls.push(call);
        let parts = system.parts(&calls.iter().collect::<Vec<_>>());
        let meter = Meter::start(&parts);
        sleep(plan.hold);
        let held = Held {
            nodes: system.nodes.len(),
            wanted: *wanted,
            there,
            cpu: meter.percent(),
            stayed: system.channels(),
            setup,
            memory_mib: parts.iter().map(|part: &Part| (part.name, part.memory_mib())).collect(),
        };
        let is_borne = held.is_borne();
        all.push(held);
        if !is_borne {
            break;
        }
    }
    system.hang_up();
    system.assert_alive();
    all
}
