// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A message, read as far as we have to do with it: what it is about, and ARI's event in it, byte
//! for byte as the node wrote it.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::amqp::Incoming;
use crate::holdings::{Fact, Part, milliseconds};
use crate::index::Kind;

/// The body of a message about an application.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
}

/// An object with an id, kept as it is written.
type Raw<'a> = Option<&'a RawValue>;

/// ARI's event, as far as it says what it is about.
#[derive(Deserialize, Default)]
struct Data<'a> {
    #[serde(borrow, default)]
    channel: Raw<'a>,
    #[serde(borrow, default)]
    bridge: Raw<'a>,
    #[serde(borrow, default)]
    playback: Raw<'a>,
    #[serde(borrow, default)]
    recording: Raw<'a>,
    #[serde(borrow, default)]
    peer: Raw<'a>,
    #[serde(borrow, default)]
    timestamp: Raw<'a>,
}

#[derive(Deserialize)]
struct Named {
    #[serde(default)]
    id: String,
    /// A recording's.
    #[serde(default)]
    name: String,
    #[serde(default)]
    target_uri: String,
}

/// Something that an event is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct About<'a> {
    pub kind: Kind,
    pub id: String,
    /// What a playback or a recording is of: `channel:<id>`, `bridge:<id>`.
    pub target: String,
    pub snapshot: &'a str,
}

/// An event of an application.
#[derive(Debug)]
pub(crate) struct Event<'a> {
    pub name: &'a str,
    pub app: &'a str,
    pub eid: &'a str,
    /// As ARI has it.
    pub text: &'a str,
    pub about: Vec<About<'a>>,
    /// When it was published, as it is written.
    pub timestamp: &'a str,
}

/// When the run of the publisher began whose message this is; its number follows.
pub(crate) fn run_of(eid: &str, message_id: &str) -> Option<u64> {
    let rest = message_id.strip_prefix(eid)?.strip_prefix('/')?;
    rest.split('/').next()?.parse().ok()
}

impl<'a> Event<'a> {
    /// `None` when it is none of an application.
    pub(crate) fn read(incoming: &'a Incoming) -> Option<Self> {
        if incoming.application.is_empty() {
            return None;
        }
        let body: Body<'_> = serde_json::from_slice(&incoming.body).ok()?;
        // serde takes a list for an object with its members in order.
        let text = body.data.get();
        let data: Data<'_> = text.starts_with('{').then(|| serde_json::from_str(text).ok())??;
        let members = [
            (Kind::Channel, data.channel),
            (Kind::Bridge, data.bridge),
            (Kind::Playback, data.playback),
            (Kind::LiveRecording, data.recording),
            (Kind::Channel, data.peer),
        ];
        let about = members.into_iter().filter_map(|(kind, raw)| about(kind, raw?)).collect();
        Some(Self {
            name: &incoming.name,
            app: &incoming.application,
            eid: &incoming.eid,
            text,
            about,
            timestamp: data.timestamp.map_or("", RawValue::get),
        })
    }

    /// The first thing of a kind.
    pub(crate) fn first(&self, kind: Kind) -> Option<&About<'a>> {
        self.about.iter().find(|about| about.kind == kind)
    }

    /// When it was published, by its node's clock, in milliseconds since 1970.
    pub(crate) fn published(&self) -> Option<u64> {
        milliseconds(self.timestamp.trim_matches('"'))
    }

    /// What it says of who has what.
    pub(crate) fn fact(&self) -> Option<Fact<'_>> {
        let (kind, is_end) = match self.name {
            "StasisStart" | "StasisEnd" | "ChannelCreated" | "ChannelStateChange" => {
                (Kind::Channel, false)
            }
            "ChannelDestroyed" => (Kind::Channel, true),
            "BridgeCreated" | "ChannelEnteredBridge" | "ChannelLeftBridge" => (Kind::Bridge, false),
            "BridgeDestroyed" => (Kind::Bridge, true),
            "PlaybackStarted" => (Kind::Playback, false),
            "PlaybackFinished" => (Kind::Playback, true),
            _ => return None,
        };
        let about = self.first(kind)?;
        let part = if self.name == "StasisStart" { Part::Controls } else { Part::Watches };
        Some(match (is_end, self.name) {
            (true, _) => Fact::Ended(kind, &about.id),
            // From then on it is told no more, unless it has asked for that; a full read tells.
            (false, "StasisEnd") => Fact::Lost(kind, &about.id),
            (false, _) => Fact::Has(kind, &about.id, part, about.snapshot),
        })
    }
}

fn about(kind: Kind, raw: &RawValue) -> Option<About<'_>> {
    let named: Named = serde_json::from_str(raw.get()).ok()?;
    let id = if kind == Kind::LiveRecording { named.name } else { named.id };
    let target = named.target_uri;
    (!id.is_empty()).then_some(About { kind, id, target, snapshot: raw.get() })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn incoming(name: &str, app: &str, data: &str) -> Incoming {
        Incoming {
            name: name.to_owned(),
            application: app.to_owned(),
            eid: "e".to_owned(),
            message_id: "e/100/1".to_owned(),
            is_synthetic: false,
            body: format!(r#"{{"name":"{name}","data":{data},"application":"{app}"}}"#).into(),
        }
    }

    #[test]
    fn an_event_keeps_its_bytes() {
        let data = r#"{"type":"StasisStart", "x":1.50e1, "channel":{"id":"c","name":"n"}}"#;
        let message = incoming("StasisStart", "App", data);
        let event = Event::read(&message).unwrap();
        assert_eq!((event.text, event.app, event.eid), (data, "App", "e"));
        let channel = event.first(Kind::Channel).unwrap();
        assert_eq!((channel.id.as_str(), channel.snapshot), ("c", r#"{"id":"c","name":"n"}"#));
        assert!(matches!(event.fact(), Some(Fact::Has(Kind::Channel, "c", Part::Controls, _))));
        assert_eq!(event.published(), None);
        let dated = incoming("x", "a", r#"{"timestamp":"1970-01-01T00:00:07.005+0000"}"#);
        assert_eq!(Event::read(&dated).unwrap().published(), Some(7005));
    }

    #[test]
    fn what_is_no_event_of_an_application_is_left_alone() {
        assert!(Event::read(&incoming("x", "", "{}")).is_none());
        assert!(Event::read(&incoming("x", "a", "[]")).is_none());
        assert!(Event::read(&incoming("x", "a", "nonsense")).is_none());
        let plain = incoming("DeviceStateChanged", "a", r#"{"device_state":{"name":"d"}}"#);
        assert!(Event::read(&plain).unwrap().about.is_empty());
    }

    #[test]
    fn the_run_is_in_the_message_id() {
        assert_eq!(run_of("a:b", "a:b/17/5"), Some(17));
        assert_eq!(run_of("a/b", "a/b/17/5"), Some(17));
        assert_eq!(run_of("a", "b/17/5"), None);
        assert_eq!(run_of("a", "a/2026-11-21T10/end/StasisEnd/x/y"), None);
        assert_eq!(run_of("a", ""), None);
    }
}
