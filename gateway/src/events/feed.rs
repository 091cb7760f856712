// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What is done with each message that the broker delivers.

use std::sync::{Arc, Mutex, PoisonError};

use super::hub::Hub;
use super::learn::learn;
use super::repeats::Repeats;
use super::{Event, run_of};
use crate::amqp::Incoming;
use crate::proxy::Gateway;

/// More messages than a node sends again when its connection breaks.
const REMEMBERED: usize = 262_144;

/// A client of the node itself has taken the application's name there. Nobody has taken it from the
/// sockets here, which would think so.
const REPLACED: &str = "ApplicationReplaced";

/// The way of messages.
pub(crate) struct Feed {
    gateway: Arc<Gateway>,
    hub: Arc<Hub>,
    repeats: Mutex<Repeats>,
}

impl Feed {
    pub(crate) fn new(gateway: Arc<Gateway>, hub: Arc<Hub>) -> Self {
        Self { gateway, hub, repeats: Mutex::new(Repeats::new(REMEMBERED)) }
    }

    /// The queue is read, maybe again, and then it may have been lost meanwhile.
    pub(crate) fn begin(&self) {
        self.gateway.anew.all();
    }

    /// Takes a message. Nothing here waits.
    pub(crate) fn take(&self, incoming: &Incoming) {
        let (gateway, count) = (&self.gateway, |what| self.gateway.metrics.note_event(what, 1));
        if incoming.name == "EventsLost" {
            tracing::warn!(
                node = incoming.eid,
                "node {} lost events: it is read anew",
                incoming.eid
            );
            gateway.anew.node(&incoming.eid);
            return count("lost");
        }
        if let Some(run) = run_of(&incoming.eid, &incoming.message_id) {
            if !gateway.holdings.admits(&incoming.eid, run) {
                return count("late");
            }
            if gateway.holdings.is_new_run(&incoming.eid, run) {
                gateway.anew.node(&incoming.eid);
            }
        }
        let is_new = {
            let mut repeats = self.repeats.lock().unwrap_or_else(PoisonError::into_inner);
            repeats.is_new(&incoming.message_id)
        };
        if !is_new {
            return count("repeated");
        }
        if incoming.name == REPLACED {
            return count("hidden");
        }
        let Some(event) = Event::read(incoming) else { return count("unreadable") };
        let spans = gateway.bridges.spans();
        let is_hidden = gateway.bridges.hides_event(&spans, &event, incoming.is_synthetic);
        if incoming.is_synthetic {
            gateway.holdings.told(&incoming.message_id);
        }
        if is_hidden {
            return count("hidden");
        }
        if let Some(fact) = event.fact().filter(|_| !incoming.is_synthetic) {
            gateway.holdings.note(event.eid, event.app, fact);
        }
        if let Some(node) = gateway.roster.load().fleet.by_eid(event.eid) {
            learn(&gateway.index, &spans, node.slot, &event);
        }
        let text = gateway.bridges.passed_on(&spans, &event);
        let lookup = |id: &str| gateway.holdings.channel(&incoming.eid, id);
        // What we tell ourselves has no place among what the node publishes.
        let id = if incoming.is_synthetic { "" } else { &incoming.message_id };
        let passed = self.hub.dispatch(&Event { text: &text, ..event }, id, lookup);
        count("taken");
        gateway.metrics.note_event("passed_on", passed.sockets);
        gateway.metrics.note_event("too_much", passed.slow);
    }
}
