// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What of a bridge that spans nodes is in no client's event: its trunks, and its parts' own lives.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use super::Event;
use crate::bridges::{Bridges, HIDDEN_APP, Spans};
use crate::index::Kind;

/// Whether an event is for no client at all.
pub(super) fn is_hidden(bridges: &Bridges, spans: &Spans, event: &Event<'_>) -> bool {
    if event.app == HIDDEN_APP {
        return true;
    }
    if let Some(channel) = event.first(Kind::Channel) {
        return spans.is_leg(&channel.id) || bridges.is_leg_name(&name_of(channel.snapshot));
    }
    let bridge = event.first(Kind::Bridge);
    bridge.is_some_and(|bridge| spans.is_part(&bridge.id, event.eid))
}

fn name_of(snapshot: &str) -> Cow<'_, str> {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow, default)]
        name: Cow<'a, str>,
    }
    serde_json::from_str::<Named<'_>>(snapshot).map(|named| named.name).unwrap_or_default()
}

/// The event without the trunks among the channels of its bridge; most events are as they were.
pub(super) fn without_trunks<'a>(spans: &Spans, event: &Event<'a>) -> Cow<'a, str> {
    let bridge = event.first(Kind::Bridge).filter(|bridge| spans.get(&bridge.id).is_some());
    let data = bridge.and_then(|_| serde_json::from_str::<Value>(event.text).ok());
    let Some(mut data) = data else { return Cow::Borrowed(event.text) };
    if let Some(Value::Array(channels)) = data.pointer_mut("/bridge/channels") {
        channels.retain(|channel| !channel.as_str().is_some_and(|id| spans.is_leg(id)));
    }
    Cow::Owned(data.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::event::tests::incoming;
    use super::*;
    use crate::bridges::tests::{bridges, spans};

    fn hidden(app: &str, data: &str) -> bool {
        let message = incoming("x", app, data);
        let event = Event::read(&message).unwrap();
        is_hidden(&bridges(), &spans("b", "home", "e", "far"), &event)
    }

    #[test]
    fn trunks_and_parts_are_hidden_and_members_are_not() {
        assert!(hidden(HIDDEN_APP, r#"{"channel":{"id":"c","name":"SIP/x"}}"#));
        assert!(hidden("a", r#"{"channel":{"id":"far","name":"SIP/x"},"bridge":{"id":"b"}}"#));
        assert!(hidden("a", r#"{"channel":{"id":"c","name":"PJSIP/gateway-trunk-00000001"}}"#));
        assert!(hidden("a", r#"{"bridge":{"id":"b"}}"#), "a part's own beginning or end");
        assert!(!hidden("a", r#"{"channel":{"id":"c","name":"SIP/x"},"bridge":{"id":"b"}}"#));
        assert!(!hidden("a", r#"{"bridge":{"id":"other"}}"#));
        assert!(!hidden("a", r#"{"device_state":{"name":"d"}}"#));
    }

    #[test]
    fn a_bridge_is_shown_without_its_trunks() {
        let spans = spans("b", "home", "e", "far");
        let shown = |data: &str| {
            let message = incoming("ChannelEnteredBridge", "a", data);
            without_trunks(&spans, &Event::read(&message).unwrap()).into_owned()
        };
        let other = r#"{"bridge":{"id":"o", "channels":["far"]}}"#;
        assert_eq!(shown(other), other);
        let data =
            r#"{"type":"x","bridge":{"id":"b","channels":["far","c"]},"channel":{"id":"c"}}"#;
        assert_eq!(shown(data), data.replace(r#""far","#, ""));
    }
}
