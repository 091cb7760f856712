// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Which socket of an application a call belongs to, where each call is for one of them.

use std::collections::{BTreeMap, HashMap, VecDeque};

use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::Event;
use crate::index::Kind;

/// Calls that have left the application and may still be told to have ended.
const LEAVING: usize = 10_000;

/// A socket's number.
pub(super) type SocketId = u64;

/// Who gets an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// It is about no call that anybody has.
    All,
    One(SocketId),
}

#[derive(Debug)]
struct Call {
    socket: SocketId,
    /// Its `StasisStart`, to be told again to who takes over.
    start: Option<Utf8Bytes>,
}

/// The calls of one application, and the bridges they are in.
#[derive(Debug, Default)]
pub(super) struct Calls {
    calls: HashMap<String, Call>,
    bridges: HashMap<String, SocketId>,
    leaving: VecDeque<String>,
}

impl Calls {
    /// Finds the socket, of those that there are.
    pub(super) fn route(
        &mut self,
        event: &Event<'_>,
        text: &Utf8Bytes,
        sockets: &[SocketId],
    ) -> Target {
        let found = event.about.iter().find_map(|about| match about.kind {
            Kind::Channel => self.of_channel(&about.id),
            Kind::Bridge => self.bridges.get(&about.id).copied(),
            _ => match about.target.split_once(':')? {
                ("channel", id) => self.of_channel(id),
                ("bridge", id) => self.bridges.get(id).copied(),
                _ => None,
            },
        });
        let found = found.filter(|socket| sockets.contains(socket));
        let channel = event.first(Kind::Channel).map(|about| about.id.as_str());
        let bridge = event.first(Kind::Bridge).map(|about| about.id.as_str());
        match (event.name, channel, bridge) {
            ("StasisStart", Some(channel), _) => {
                let Some(socket) = found.or_else(|| self.least_busy(sockets)) else {
                    return Target::All;
                };
                let call = Call { socket, start: Some(text.clone()) };
                self.calls.insert(channel.to_owned(), call);
                return Target::One(socket);
            }
            ("StasisEnd", Some(channel), _) => self.leave(channel),
            ("ChannelDestroyed", Some(channel), _) => {
                self.calls.remove(channel);
            }
            ("ChannelEnteredBridge", Some(channel), Some(bridge)) => {
                // The bridge goes with the first call that is in it.
                if let Some(socket) = self.of_channel(channel) {
                    self.bridges.entry(bridge.to_owned()).or_insert(socket);
                }
            }
            ("BridgeDestroyed", _, Some(bridge)) => {
                self.bridges.remove(bridge);
            }
            _ => {}
        }
        found.map_or(Target::All, Target::One)
    }

    /// A socket is gone: its calls go to the others, who are told of them as if they began.
    pub(super) fn lost(
        &mut self,
        socket: SocketId,
        others: &[SocketId],
    ) -> Vec<(SocketId, Utf8Bytes)> {
        let theirs = self.calls.iter().filter(|(_, call)| call.socket == socket);
        let mut theirs: Vec<String> = theirs.map(|(id, _)| id.clone()).collect();
        theirs.sort();
        let mut offered = Vec::new();
        for id in theirs {
            let next = self.least_busy_but(socket, others);
            match (next, self.calls.get_mut(&id)) {
                (Some(next), Some(call)) => {
                    call.socket = next;
                    offered.extend(call.start.clone().map(|start| (next, start)));
                }
                _ => {
                    self.calls.remove(&id);
                }
            }
        }
        self.bridges.retain(|_, owner| *owner != socket);
        offered
    }

    /// A Local channel's other half goes with it.
    fn of_channel(&self, id: &str) -> Option<SocketId> {
        let found = self.calls.get(id).or_else(|| self.calls.get(id.strip_suffix(";2")?));
        found.map(|call| call.socket)
    }

    fn least_busy(&self, sockets: &[SocketId]) -> Option<SocketId> {
        let mut busy: BTreeMap<SocketId, usize> = BTreeMap::new();
        for call in self.calls.values().filter(|call| call.start.is_some()) {
            *busy.entry(call.socket).or_default() += 1;
        }
        let count = |socket: &SocketId| busy.get(socket).copied().unwrap_or_default();
        sockets.iter().copied().min_by_key(count)
    }

    fn least_busy_but(&self, gone: SocketId, others: &[SocketId]) -> Option<SocketId> {
        let others: Vec<SocketId> = others.iter().copied().filter(|other| *other != gone).collect();
        self.least_busy(&others)
    }

    /// It is still this socket's to be told that it was hung up.
    fn leave(&mut self, channel: &str) {
        let Some(call) = self.calls.get_mut(channel) else { return };
        call.start = None;
        self.leaving.push_back(channel.to_owned());
        if self.leaving.len() > LEAVING
            && let Some(oldest) = self.leaving.pop_front()
            && self.calls.get(&oldest).is_some_and(|call| call.start.is_none())
        {
            self.calls.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::tests::incoming;
    use super::*;

    fn route(calls: &mut Calls, name: &str, data: &str, sockets: &[SocketId]) -> Target {
        let message = incoming(name, "a", data);
        let event = Event::read(&message).unwrap();
        calls.route(&event, &Utf8Bytes::from(event.text), sockets)
    }

    fn of(id: &str) -> String {
        format!(r#"{{"channel":{{"id":"{id}"}}}}"#)
    }

    #[test]
    fn a_call_sticks_to_its_socket() {
        let mut calls = Calls::default();
        let sockets = [1, 2];
        assert_eq!(route(&mut calls, "StasisStart", &of("c1"), &sockets), Target::One(1));
        assert_eq!(route(&mut calls, "StasisStart", &of("c2"), &sockets), Target::One(2));
        for _ in 0..3 {
            assert_eq!(route(&mut calls, "ChannelVarset", &of("c2"), &sockets), Target::One(2));
        }
        assert_eq!(route(&mut calls, "ChannelVarset", &of("c2;2"), &sockets), Target::One(2));
        let playing = r#"{"playback":{"id":"p","target_uri":"channel:c2"}}"#;
        assert_eq!(route(&mut calls, "PlaybackStarted", playing, &sockets), Target::One(2));
        let into = r#"{"bridge":{"id":"b"},"channel":{"id":"c2"}}"#;
        assert_eq!(route(&mut calls, "ChannelEnteredBridge", into, &sockets), Target::One(2));
        let bridge = r#"{"bridge":{"id":"b"}}"#;
        assert_eq!(route(&mut calls, "BridgeVideoSourceChanged", bridge, &sockets), Target::One(2));
        assert_eq!(route(&mut calls, "BridgeDestroyed", bridge, &sockets), Target::One(2));
        assert_eq!(route(&mut calls, "BridgeDestroyed", bridge, &sockets), Target::All);
        // To its very end.
        assert_eq!(route(&mut calls, "StasisEnd", &of("c2"), &sockets), Target::One(2));
        assert_eq!(route(&mut calls, "ChannelDestroyed", &of("c2"), &sockets), Target::One(2));
        assert_eq!(route(&mut calls, "ChannelDestroyed", &of("c2"), &sockets), Target::All);
        assert_eq!(route(&mut calls, "DeviceStateChanged", "{}", &sockets), Target::All);
    }

    #[test]
    fn calls_of_a_socket_that_is_gone_are_offered_to_the_others() {
        let mut calls = Calls::default();
        for number in 1..=6 {
            route(&mut calls, "StasisStart", &of(&format!("c{number}")), &[1, 2, 3]);
        }
        let offered = calls.lost(1, &[2, 3]);
        let mut to: Vec<SocketId> = offered.iter().map(|(socket, _)| *socket).collect();
        to.sort_unstable();
        assert_eq!(to, [2, 3]);
        for (socket, text) in offered {
            let again: serde_json::Value = serde_json::from_str(&text).unwrap();
            let id = again["channel"]["id"].as_str().unwrap();
            assert_eq!(route(&mut calls, "ChannelVarset", &of(id), &[2, 3]), Target::One(socket));
        }
        // Nobody is left: what comes then is for who comes next.
        calls.lost(2, &[3]);
        assert!(calls.lost(3, &[]).is_empty());
        assert_eq!(route(&mut calls, "ChannelVarset", &of("c1"), &[4]), Target::All);
    }

    #[test]
    fn calls_that_went_elsewhere_are_forgotten_in_time() {
        let mut calls = Calls::default();
        for number in 0..LEAVING + 5 {
            let call = of(&number.to_string());
            route(&mut calls, "StasisStart", &call, &[1]);
            route(&mut calls, "StasisEnd", &call, &[1]);
        }
        assert!(calls.calls.len() <= LEAVING && calls.leaving.len() <= LEAVING);
    }
}
