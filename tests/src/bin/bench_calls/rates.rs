// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! More and more calls a second, until they are too many.

use std::thread::sleep;
use std::time::Duration;

use rig::seconds;
use serde_json::{Value, json};

use crate::latency::Latency;
use crate::plan::Plan;
use crate::system::System;
use crate::usage::Meter;

/// How long each call is held once it is answered.
const HOLD: Duration = seconds(3);
/// More setup time than that, for one call in a hundred, is too much.
pub(crate) const SLOW_MS: f64 = 1000.0;
/// More calls that fail are too many: of each hundred.
const FAILURES: f64 = 1.0;

/// One rate.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) nodes: usize,
    /// Calls a second that were placed.
    pub(crate) rate: u32,
    pub(crate) placed: u32,
    pub(crate) failed: u32,
    /// From INVITE to 200 OK.
    pub(crate) setup: Option<Latency>,
    pub(crate) events_per_second: f64,
    /// Hundredths of a processor.
    pub(crate) cpu: Vec<(&'static str, f64)>,
}

impl Step {
    /// Whether the system bears it.
    pub(crate) fn is_borne(&self) -> bool {
        let share = f64::from(self.failed) / f64::from(self.placed) * 100.0;
        share <= FAILURES && self.setup.is_some_and(|setup| setup.p99 <= SLOW_MS)
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "nodes": self.nodes,
            "calls_per_second": self.rate,
            "placed": self.placed,
            "failed": self.failed,
            "setup_ms": self.setup.map(Latency::json),
            "events_per_second": self.events_per_second.round(),
            "cpu_percent": crate::report::object(&self.cpu),
            "borne": self.is_borne(),
        })
    }
}

/// The last step is the first that was too many, if any was.
pub(crate) fn run(plan: &Plan, system: &System<'_>) -> Vec<Step> {
    let mut steps = Vec::new();
    // What is done for the first time takes longer: threads, connections, memory.
    let _ = step(system, plan.rates.first().copied().unwrap_or(1), seconds(2));
    for rate in plan.rates {
        let step = step(system, *rate, plan.step);
        let is_borne = step.is_borne();
        steps.push(step);
        if !is_borne {
            break;
        }
    }
    system.assert_alive();
    steps
}

fn step(system: &System<'_>, rate: u32, lasts: Duration) -> Step {
    let placed = rate * u32::try_from(lasts.as_secs()).unwrap_or(u32::MAX);
    let published = system.published();
    let call = system.call(HOLD, placed, rate);
    let parts = system.parts(&[&call]);
    let meter = Meter::start(&parts);
    sleep(lasts);
    let cpu = meter.percent();
    // It says of each that failed; here they are counted.
    let _ = call.outcome(lasts + HOLD + seconds(60));
    let times = call.answer_times();
    system.hang_up();
    let events = system.published() - published;
    Step {
        nodes: system.nodes.len(),
        rate,
        placed,
        failed: placed.saturating_sub(u32::try_from(times.len()).unwrap_or(0)).max(call.failed()),
        setup: crate::times::latency(&times),
        events_per_second: events as f64 / lasts.as_secs_f64(),
        cpu,
    }
}
