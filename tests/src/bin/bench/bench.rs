// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What a run has: servers, the consumer, and the samples so far.

use std::io::Write as _;
use std::time::Instant;

use rig::Tenant;
use serde_json::json;

use crate::address::Address;
use crate::kit::Kit;
use crate::listener::Listener;
use crate::mode::Mode;
use crate::plan::Plan;
use crate::sample::{Part, Sample};
use crate::section::Section;

const EXCHANGE: &str = "asterisk";
const QUEUE: &str = "bench";

pub(crate) struct Bench<'a> {
    pub(crate) plan: &'static Plan,
    pub(crate) sections: &'a [Section],
    pub(crate) kit: &'a Kit,
    pub(crate) address: Address,
    pub(crate) listener: Listener,
    pub(crate) samples: Vec<Sample>,
    pub(crate) began: Instant,
}

impl<'a> Bench<'a> {
    /// With a durable queue for all events, which the listener keeps empty.
    pub(crate) fn set(
        plan: &'static Plan,
        sections: &'a [Section],
        kit: &'a Kit,
        tenant: &Tenant<'_>,
    ) -> Self {
        tenant.declare_exchange(EXCHANGE, "topic");
        tenant.declare_queue(QUEUE, &json!({"x-queue-type": "classic"}));
        tenant.bind(EXCHANGE, QUEUE, "#");
        let address = Address::of(tenant);
        let listener = Listener::open(&address, QUEUE);
        let (samples, began) = (Vec::new(), Instant::now());
        Self { plan, sections, kit, address, listener, samples, began }
    }

    /// Whether this was asked for.
    pub(crate) fn wants(&self, section: Section) -> bool {
        self.sections.contains(&section)
    }

    pub(crate) fn keep(&mut self, sample: Sample) {
        self.samples.push(sample);
    }

    /// The last result of a climb.
    pub(crate) fn last_highest(&self, part: Part, mode: Mode) -> Option<u32> {
        let of_mode = |sample: &&Sample| sample.part == part && sample.mode == mode;
        self.samples.iter().rev().find(of_mode).map(|sample| sample.x)
    }

    /// What it is at.
    pub(crate) fn say(&self, what: &str) {
        println!("{:>5.0} s  {what}", self.began.elapsed().as_secs_f64());
        let _ = std::io::stdout().flush();
    }
}
