// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What was measured: one sample for each load, mode and round.

use serde_json::{Value, json};

use crate::latency::Latency;
use crate::mode::Mode;
use crate::node::Callback;

/// What was varied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// Nothing: variables in bursts, the load that modes are compared by.
    Bursts,
    /// Events a second.
    Rate,
    /// Bytes an event.
    Size,
    /// Nothing: one Stasis application, with no other there.
    OneApp,
    /// The number of Stasis applications that have events, of many that are there.
    Apps,
    /// Nothing: all of those many, after the kernel was told to keep their sleeping threads apart.
    SpreadApps,
    /// Nothing: SIP calls, whose dialplan sets variables.
    Calls,
    /// Events a second, until they were too many for the publisher; the broker is no wall.
    Highest,
    /// The same, with RabbitMQ.
    HighestRabbitmq,
}

impl Part {
    /// As `summary.json` has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bursts => "bursts",
            Self::Rate => "rate",
            Self::Size => "size",
            Self::OneApp => "one_app",
            Self::Apps => "apps",
            Self::SpreadApps => "spread_apps",
            Self::Calls => "calls",
            Self::Highest => "highest",
            Self::HighestRabbitmq => "highest_rabbitmq",
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) part: Part,
    /// Events a second, bytes, or applications, as the part has it.
    pub(crate) x: u32,
    pub(crate) mode: Mode,
    pub(crate) round: u32,
    /// Messages that arrived; where nobody publishes, events that were made.
    pub(crate) events: u64,
    /// Of the Asterisk process, in microseconds.
    pub(crate) cpu: f64,
    /// Of that, what the threads of the publisher used.
    pub(crate) publisher_cpu: f64,
    /// From the making of an event to its arrival at the consumer.
    pub(crate) latency: Option<Latency>,
    /// Since the module was loaded.
    pub(crate) callback: Option<Callback>,
    /// The most that was resident.
    pub(crate) memory_bytes: Option<u64>,
    /// From INVITE to 200 OK, the 99th percentile.
    pub(crate) answer_ms: Option<f64>,
}

impl Sample {
    pub(crate) fn json(&self) -> Value {
        json!({
            "part": self.part.name(),
            "x": self.x,
            "mode": self.mode.name(),
            "round": self.round,
            "events": self.events,
            "cpu_us": self.cpu.round(),
            "publisher_cpu_us": self.publisher_cpu.round(),
            "latency_ms": self.latency.map(Latency::json),
            "callback_us":
                self.callback.map(|c| json!({"p50": c.p50, "p99": c.p99, "max": c.max})),
            "memory_bytes": self.memory_bytes,
            "answer_p99_ms": self.answer_ms,
        })
    }
}
