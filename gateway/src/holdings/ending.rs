// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The end of all that a process had, as the events that tell each application of it.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{Part, now};
use crate::index::Kind;

/// "Network out of order": what Asterisk says where a call's other side cannot be reached.
const CAUSE: u16 = 38;

/// Something that has ended, and who is to know.
#[derive(Debug, Clone)]
pub(crate) struct Thing {
    pub kind: Kind,
    pub id: Box<str>,
    pub apps: Vec<(Arc<str>, Part)>,
    pub snapshot: Arc<str>,
}

/// An event of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    pub name: &'static str,
    pub app: Arc<str>,
    pub message_id: String,
    pub body: String,
}

/// The end of what one process had.
#[derive(Debug, Clone)]
pub(crate) struct Ending {
    pub eid: String,
    /// When the process began, as it said it.
    pub boot: String,
    /// By message id, with its place in the order.
    left: HashMap<String, (usize, Told)>,
}

#[derive(Debug, Clone)]
struct Told {
    name: &'static str,
    app: Arc<str>,
    kind: Kind,
    snapshot: Arc<str>,
}

impl Ending {
    pub(super) fn new(eid: &str, boot: &str, things: Vec<Thing>) -> Self {
        let mut left = HashMap::new();
        for thing in things {
            for (app, part) in thing.apps {
                for name in names(thing.kind, part) {
                    let id = format!("{eid}/{boot}/end/{name}/{app}/{}", thing.id);
                    let told = Told {
                        name,
                        app: Arc::clone(&app),
                        kind: thing.kind,
                        snapshot: Arc::clone(&thing.snapshot),
                    };
                    left.insert(id, (left.len(), told));
                }
            }
        }
        Self { eid: eid.to_owned(), boot: boot.to_owned(), left }
    }

    pub(super) fn told(&mut self, message_id: &str) {
        self.left.remove(message_id);
    }

    /// The number of events that are to tell of it.
    pub(super) fn count(&self) -> usize {
        self.left.len()
    }

    /// Whether all has been told.
    pub(crate) fn is_over(&self) -> bool {
        self.left.is_empty()
    }

    /// What is still to be told, in order.
    pub(crate) fn notices(&self) -> Vec<Notice> {
        let mut left: Vec<_> = self.left.iter().collect();
        left.sort_by_key(|(_, (place, _))| *place);
        left.into_iter().map(|(id, (_, told))| self.notice(id, told)).collect()
    }

    fn notice(&self, message_id: &str, told: &Told) -> Notice {
        let mut data = Map::new();
        let mut put = |name: &str, value: Value| data.insert(name.to_owned(), value);
        put("type", json!(told.name));
        put("timestamp", json!(now()));
        if told.name == "ChannelDestroyed" {
            put("cause", json!(CAUSE));
            put("cause_txt", json!("Network out of order"));
        }
        let (member, mut snapshot) = (member(told.kind), told.object());
        if told.kind == Kind::Playback {
            snapshot.insert("state".to_owned(), json!("failed"));
        }
        put(member, Value::Object(snapshot));
        put("asterisk_id", json!(self.eid));
        put("application", json!(&*told.app));
        put("synthetic", json!(true));
        let body = json!({"name": told.name, "data": data, "application": &*told.app});
        let (name, app) = (told.name, Arc::clone(&told.app));
        Notice { name, app, message_id: message_id.to_owned(), body: body.to_string() }
    }
}

impl Told {
    fn object(&self) -> Map<String, Value> {
        serde_json::from_str(&self.snapshot).unwrap_or_default()
    }
}

fn member(kind: Kind) -> &'static str {
    match kind {
        Kind::Bridge => "bridge",
        Kind::Playback => "playback",
        Kind::Channel | Kind::LiveRecording | Kind::StoredRecording => "channel",
    }
}

fn names(kind: Kind, part: Part) -> &'static [&'static str] {
    match (kind, part) {
        (Kind::Channel, Part::Controls) => &["StasisEnd", "ChannelDestroyed"],
        (Kind::Channel, Part::Watches) => &["ChannelDestroyed"],
        (Kind::Bridge, _) => &["BridgeDestroyed"],
        (Kind::Playback, _) => &["PlaybackFinished"],
        (Kind::LiveRecording | Kind::StoredRecording, _) => &[],
    }
}
