// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Which call of an application an event is about.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use serde::Deserialize;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::missing::Missing;
use super::place::{CallKey, SocketId};
use crate::events::Event;
use crate::holdings::{Dialplan, milliseconds};
use crate::index::Kind;

/// Calls that have left the application and may still be told to have ended.
const LEAVING: usize = 10_000;

/// A socket of any gateway.
pub(super) type Name = (Arc<str>, SocketId);

/// What a channel's snapshot says of it as a call.
#[derive(Deserialize, Default)]
struct Snapshot {
    #[serde(default)]
    creationtime: String,
    #[serde(default)]
    dialplan: Dialplan,
}

#[derive(Debug)]
pub(super) struct Call {
    pub key: CallKey,
    /// Its `StasisStart`, to be told again to who takes over.
    pub start: Option<Utf8Bytes>,
    /// Who had it last.
    pub owner: Option<Name>,
    /// The node that tells of it.
    node: Box<str>,
    missing: Missing,
}

/// A bridge on one node goes with this call.
#[derive(Debug)]
struct Goes {
    with: CallKey,
    missing: Missing,
}

/// The calls of one application, and the bridges they are in.
#[derive(Debug, Default)]
pub(super) struct Calls {
    pub calls: HashMap<Box<str>, Call>,
    /// Each goes with the first call that was in it, of each node: two nodes' events come to no two
    /// gateways in the same order.
    bridges: HashMap<String, HashMap<String, Goes>>,
    leaving: VecDeque<Box<str>>,
}

impl Calls {
    /// The call that an event is about, of those in the application. `lookup` is for a channel whose
    /// beginning we have not seen.
    pub(super) fn of(
        &mut self,
        event: &Event<'_>,
        lookup: impl Fn(&str) -> Option<Arc<str>>,
    ) -> Option<CallKey> {
        let of_bridge = |calls: &Self, id: &str| {
            let goes = calls.bridges.get(id).and_then(|nodes| nodes.get(event.eid));
            goes.map(|goes| goes.with.clone())
        };
        let mut found = event.about.iter().find_map(|about| match about.kind {
            Kind::Channel => self.of_channel(&about.id, event, Some(about.snapshot), &lookup),
            Kind::Bridge => of_bridge(self, &about.id),
            _ => match about.target.split_once(':')? {
                ("channel", id) => self.of_channel(id, event, None, &lookup),
                ("bridge", id) => of_bridge(self, id),
                _ => None,
            },
        });
        if let (None, "StasisStart", Some(channel)) =
            (&found, event.name, event.first(Kind::Channel))
        {
            found = Some(Snapshot::read(channel.snapshot).key(&channel.id));
        }
        found
    }

    /// Notes what an event says, once it is known who has it.
    pub(super) fn follow(
        &mut self,
        event: &Event<'_>,
        call: Option<&CallKey>,
        owner: Option<Name>,
        text: &Utf8Bytes,
    ) {
        let channel = event.first(Kind::Channel).map(|about| about.id.as_str());
        let bridge = event.first(Kind::Bridge).map(|about| about.id.as_str());
        match (event.name, channel, bridge, call) {
            ("StasisStart", Some(channel), _, Some(key)) => {
                // What began while nobody was there is told to nobody.
                let start = owner.is_some().then(|| text.clone());
                self.calls.insert(channel.into(), Call::new(key, start, owner, event.eid));
            }
            ("StasisEnd", Some(channel), ..) => self.leave(channel),
            ("ChannelDestroyed", Some(channel), ..) => {
                self.calls.remove(channel);
            }
            ("ChannelEnteredBridge", Some(_), Some(bridge), Some(key)) => {
                let nodes = self.bridges.entry(bridge.to_owned()).or_default();
                let goes = || Goes { with: key.clone(), missing: Missing::default() };
                nodes.entry(event.eid.to_owned()).or_insert_with(goes);
            }
            ("BridgeDestroyed", _, Some(bridge), _) => {
                self.bridges.remove(bridge);
            }
            _ => {}
        }
    }

    /// Forgets those whose end was lost: neither is on a node. `heard` has when the last event of
    /// each node was published.
    pub(super) fn forget(
        &mut self,
        is_there: impl Fn(Kind, &str) -> bool,
        clock: u64,
        heard: &HashMap<Box<str>, u64>,
    ) {
        self.calls.retain(|id, call| {
            let (is_there, heard) = (is_there(Kind::Channel, id), heard.get(&call.node).copied());
            !call.missing.is_over(is_there, clock, heard)
        });
        self.bridges.retain(|id, nodes| {
            let is_there = is_there(Kind::Bridge, id);
            nodes.retain(|node, goes| {
                !goes.missing.is_over(is_there, clock, heard.get(node.as_str()).copied())
            });
            !nodes.is_empty()
        });
    }

    /// Whether nothing is known.
    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty() && self.bridges.is_empty()
    }

    /// A Local channel's other half goes with it. One that was there before us says itself that it
    /// is in the application.
    fn of_channel(
        &mut self,
        id: &str,
        event: &Event<'_>,
        snapshot: Option<&str>,
        lookup: &impl Fn(&str) -> Option<Arc<str>>,
    ) -> Option<CallKey> {
        let half = id.strip_suffix(";2");
        let mut known = [Some(id), half].into_iter().flatten();
        if let Some(call) = known.find_map(|id| self.calls.get(id)) {
            return Some(call.key.clone());
        }
        if let Some(snapshot) = snapshot.map(Snapshot::read)
            && snapshot.is_in(event.app)
        {
            return Some(self.find(id, event.eid, &snapshot));
        }
        let found = lookup(half.unwrap_or(id))?;
        let snapshot = Snapshot::read(&found);
        snapshot.is_in(event.app).then(|| self.find(half.unwrap_or(id), event.eid, &snapshot))
    }

    fn find(&mut self, id: &str, node: &str, snapshot: &Snapshot) -> CallKey {
        let key = snapshot.key(id);
        self.calls.insert(id.into(), Call::new(&key, None, None, node));
        key
    }

    /// It is still its owner's to be told that it was hung up.
    fn leave(&mut self, channel: &str) {
        let Some(call) = self.calls.get_mut(channel) else { return };
        call.start = None;
        self.leaving.push_back(channel.into());
        if self.leaving.len() > LEAVING
            && let Some(oldest) = self.leaving.pop_front()
            && self.calls.get(&oldest).is_some_and(|call| call.start.is_none())
        {
            self.calls.remove(&oldest);
        }
    }
}

impl Call {
    fn new(key: &CallKey, start: Option<Utf8Bytes>, owner: Option<Name>, node: &str) -> Self {
        let missing = Missing::default();
        Self { key: key.clone(), start, owner, node: node.into(), missing }
    }
}

impl Snapshot {
    fn read(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }

    /// One that does not say when it began is older than all.
    fn key(&self, id: &str) -> CallKey {
        CallKey { id: id.into(), began: milliseconds(&self.creationtime).unwrap_or_default() }
    }

    fn is_in(&self, app: &str) -> bool {
        self.dialplan.controller() == Some(app)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::event::tests::incoming;
    use super::*;

    fn told(calls: &mut Calls, name: &str, data: &str) -> Option<String> {
        let message = incoming(name, "a", data);
        let event = Event::read(&message).unwrap();
        let lookup = |id: &str| {
            let stored = r#"{"creationtime":"1970-01-01T00:00:01Z",
                "dialplan":{"app_name":"Stasis","app_data":"a,x"}}"#;
            (id == "stored").then(|| stored.into())
        };
        let call = calls.of(&event, lookup);
        calls.follow(&event, call.as_ref(), Some(("g".into(), 1)), &event.text.into());
        call.map(|call| format!("{}@{}", call.id, call.began))
    }

    fn of(id: &str) -> String {
        format!(r#"{{"channel":{{"id":"{id}","creationtime":"1970-01-01T00:00:00.007+0000"}}}}"#)
    }

    #[test]
    fn what_belongs_to_a_call_is_known() {
        let mut calls = Calls::default();
        let call = Some("c@7".to_owned());
        assert_eq!(told(&mut calls, "ChannelCreated", &of("c")), None);
        assert_eq!(told(&mut calls, "StasisStart", &of("c")), call);
        assert_eq!(told(&mut calls, "ChannelVarset", &of("c;2")), call);
        let playing = r#"{"playback":{"id":"p","target_uri":"channel:c"}}"#;
        assert_eq!(told(&mut calls, "PlaybackStarted", playing), call);
        let bridge = r#"{"bridge":{"id":"b"}}"#;
        assert_eq!(told(&mut calls, "BridgeCreated", bridge), None);
        let into = r#"{"bridge":{"id":"b"},"channel":{"id":"c"}}"#;
        assert_eq!(told(&mut calls, "ChannelEnteredBridge", into), call);
        told(&mut calls, "StasisStart", &of("d"));
        let second = r#"{"bridge":{"id":"b"},"channel":{"id":"d"}}"#;
        assert_eq!(told(&mut calls, "ChannelEnteredBridge", second), Some("d@7".to_owned()));
        assert_eq!(told(&mut calls, "BridgeVideoSourceChanged", bridge), call);
        let recording = r#"{"recording":{"name":"r","target_uri":"bridge:b"}}"#;
        assert_eq!(told(&mut calls, "RecordingStarted", recording), call);
        // To its very end, and the bridge beyond it.
        assert_eq!(told(&mut calls, "StasisEnd", &of("c")), call);
        assert_eq!(told(&mut calls, "ChannelDestroyed", &of("c")), call);
        assert_eq!(told(&mut calls, "ChannelDestroyed", &of("c")), None);
        assert_eq!(told(&mut calls, "BridgeDestroyed", bridge), call);
        assert_eq!(told(&mut calls, "BridgeDestroyed", bridge), None);
        assert_eq!(told(&mut calls, "DeviceStateChanged", "{}"), None);
    }

    #[test]
    fn calls_that_were_there_before_us_are_found() {
        let mut calls = Calls::default();
        let before = |app: &str| {
            format!(
                r#"{{"channel":{{"id":"old","creationtime":"1970-01-01T00:00:00.007+0000",
                   "dialplan":{{"app_name":"Stasis","app_data":"{app},one"}}}}}}"#
            )
        };
        assert_eq!(told(&mut calls, "ChannelDtmfReceived", &before("other")), None);
        assert_eq!(told(&mut calls, "ChannelDtmfReceived", &before("a")), Some("old@7".to_owned()));
        let stored = Some("stored@1000".to_owned());
        let playing = r#"{"playback":{"id":"p","target_uri":"channel:stored"}}"#;
        assert_eq!(told(&mut calls, "PlaybackFinished", playing), stored);
        assert_eq!(told(&mut calls, "ChannelVarset", &of("stored;2")), stored);
        // Nobody is told again that such a one began.
        assert!(calls.calls.values().all(|call| call.start.is_none()));
    }

    #[test]
    fn calls_that_went_elsewhere_are_forgotten_in_time() {
        let mut calls = Calls::default();
        for number in 0..LEAVING + 5 {
            let call = of(&number.to_string());
            told(&mut calls, "StasisStart", &call);
            told(&mut calls, "StasisEnd", &call);
        }
        assert!(calls.calls.len() <= LEAVING && calls.leaving.len() <= LEAVING);
    }
}
