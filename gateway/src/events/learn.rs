// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What an event says of who owns what.

use super::Event;
use crate::fleet::Slot;
use crate::index::{Index, Kind};

/// Notes it. A channel that entered an application is that application's.
pub(super) fn learn(index: &Index, slot: Slot, event: &Event<'_>) {
    let begins = |kind: Kind, app: Option<&str>| {
        if let Some(about) = event.first(kind) {
            index.learn(kind, &about.id, slot, app.map(|app| index.app(app)));
        }
    };
    let ends = |kind: Kind| {
        if let Some(about) = event.first(kind) {
            index.forget_at(kind, &about.id, slot);
        }
    };
    match event.name {
        "StasisStart" => begins(Kind::Channel, Some(event.app)),
        "ChannelCreated" => begins(Kind::Channel, None),
        "ChannelDestroyed" => ends(Kind::Channel),
        "BridgeCreated" => begins(Kind::Bridge, None),
        "BridgeDestroyed" => ends(Kind::Bridge),
        "ChannelEnteredBridge" => {
            begins(Kind::Bridge, None);
            begins(Kind::Channel, None);
        }
        "PlaybackStarted" => begins(Kind::Playback, None),
        "PlaybackFinished" => ends(Kind::Playback),
        "RecordingStarted" => begins(Kind::LiveRecording, None),
        "RecordingFinished" | "RecordingFailed" => ends(Kind::LiveRecording),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::tests::incoming;
    use super::*;

    #[test]
    fn what_begins_is_known_and_what_ends_is_not() {
        let index = Index::default();
        let told = |name: &str, data: &str| {
            let message = incoming(name, "a", data);
            learn(&index, Slot(7), &Event::read(&message).unwrap());
        };
        let owner = |kind, id| index.owner(kind, id).map(|owner| owner.slot);
        for (kind, member, begin, end) in [
            (Kind::Channel, r#""channel":{"id":"x"}"#, "StasisStart", "ChannelDestroyed"),
            (Kind::Bridge, r#""bridge":{"id":"x"}"#, "BridgeCreated", "BridgeDestroyed"),
            (Kind::Playback, r#""playback":{"id":"x"}"#, "PlaybackStarted", "PlaybackFinished"),
            (
                Kind::LiveRecording,
                r#""recording":{"name":"x"}"#,
                "RecordingStarted",
                "RecordingFailed",
            ),
        ] {
            let data = format!("{{{member}}}");
            told(begin, &data);
            assert_eq!(owner(kind, "x"), Some(Slot(7)), "{begin}");
            told("ChannelVarset", &data);
            told(end, &data);
            assert_eq!(owner(kind, "x"), None, "{end}");
        }
        told("StasisStart", r#"{"channel":{"id":"y"}}"#);
        let app = index.owner(Kind::Channel, "y").unwrap().app.unwrap();
        assert_eq!(index.app_name(app).as_deref(), Some("a"));
    }

    #[test]
    fn the_end_on_one_node_is_none_on_another() {
        let index = Index::default();
        index.learn(Kind::Channel, "x", Slot(1), None);
        let message = incoming("ChannelDestroyed", "a", r#"{"channel":{"id":"x"}}"#);
        learn(&index, Slot(2), &Event::read(&message).unwrap());
        assert!(index.owner(Kind::Channel, "x").is_some());
    }
}
