// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What of the events about bridges that span is passed on to clients.

use std::borrow::Cow;

use serde_json::Value;

use super::spans::Spans;
use super::{Bridges, HIDDEN_APP};
use crate::events::Event;
use crate::index::Kind;

impl Bridges {
    /// Whether an event is of a trunk, or tells of a part of a bridge as if it were one.
    pub(crate) fn hides_event(&self, spans: &Spans, event: &Event<'_>, is_synthetic: bool) -> bool {
        let is_leg =
            |id: &str, snapshot: &str| spans.is_leg(id) || self.is_leg(snapshot.as_bytes());
        let mut channels = event.about.iter().filter(|about| about.kind == Kind::Channel);
        if event.app == HIDDEN_APP || channels.any(|about| is_leg(&about.id, about.snapshot)) {
            return true;
        }
        let Some(bridge) = event.first(Kind::Bridge) else { return false };
        match event.name {
            // Its node has died, and the bridge lives on.
            "BridgeDestroyed" if is_synthetic => spans.outlives(&bridge.id, event.eid),
            "BridgeCreated" | "BridgeDestroyed" => spans.was_part(&bridge.id, event.eid),
            _ => false,
        }
    }

    /// An event's text without trunks in its bridge.
    pub(crate) fn passed_on<'a>(&self, spans: &Spans, event: &Event<'a>) -> Cow<'a, str> {
        let spanning = event.first(Kind::Bridge).filter(|bridge| {
            spans.get(&bridge.id).is_some() || spans.was_part(&bridge.id, event.eid)
        });
        let read = spanning.and_then(|_| serde_json::from_str::<Value>(event.text).ok());
        let Some(mut told) = read else { return Cow::Borrowed(event.text) };
        if let Some(Value::Array(channels)) = told.pointer_mut("/bridge/channels") {
            channels.retain(|channel| channel.as_str().is_none_or(|id| !spans.is_leg(id)));
        }
        Cow::Owned(told.to_string())
    }
}
