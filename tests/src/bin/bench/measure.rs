// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! One load on one node, from its first event to the arrival of its last.

use std::time::Duration;

use rig::seconds;

use crate::latency::Latency;
use crate::listener::Listener;
use crate::load::Load;
use crate::mode::Mode;
use crate::node::Node;
use crate::sample::{Part, Sample};

/// Until the last event has arrived.
const DELIVERY: Duration = seconds(60);

/// Where a sample belongs.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) part: Part,
    pub(crate) x: u32,
    pub(crate) mode: Mode,
    pub(crate) round: u32,
}

impl Place {
    pub(crate) fn sample(self, events: u64, cpu: f64) -> Sample {
        let Self { part, x, mode, round } = self;
        Sample {
            part,
            x,
            mode,
            round,
            events,
            cpu,
            publisher_cpu: 0.0,
            latency: None,
            callback: None,
            memory_bytes: None,
            answer_ms: None,
        }
    }
}

/// Publishes the load and takes its figures.
pub(crate) fn measure(node: &Node, listener: &Listener, load: &Load, place: Place) -> Sample {
    let (stamped, messages) = (listener.stamped(), listener.messages());
    drop(listener.take_latencies());
    // It is at rest: after its start, or the load before.
    let (before, publisher_before) = (node.cpu(), node.publisher_cpu());
    node.publish(load);
    if place.mode != Mode::Nobody {
        listener.wait_stamped(stamped + u64::from(load.events), DELIVERY);
    }
    let cpu = node.cpu_at_rest() - before;
    let publisher_cpu = node.publisher_cpu() - publisher_before;
    let events = match place.mode {
        Mode::Nobody => u64::from(load.events),
        _ => listener.messages() - messages,
    };
    let latency = Latency::of(listener.take_latencies());
    Sample { publisher_cpu, latency, ..place.sample(events, cpu) }
}
