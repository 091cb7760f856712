// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What clients get to see: one bridge with all its members, and no trunk.

use std::collections::HashMap;

use bytes::Bytes;
use futures_util::future::join_all;
use hyper::StatusCode;
use serde_json::{Value, json};

use super::Bridges;
use super::node::path;
use super::spans::Spans;
use crate::node::{Outgoing, Roster};
use crate::proxy::{Answer, Entry, Gateway};

/// Of a channel's text: longer than an id and a name of ours.
const LOOKED_AT: usize = 512;

/// The application that trunk legs are in.
pub(crate) const HIDDEN_APP: &str = "_gateway";

impl Bridges {
    /// Whether an entry of a node's list is not for clients. The area is the first part of the
    /// list's path.
    pub(crate) fn hides(&self, spans: &Spans, area: &str, eid: &str, entry: &Entry<'_>) -> bool {
        let is_named = |name: &str| entry.name.as_deref() == Some(name);
        match (area, entry.id.as_deref()) {
            ("channels", id) => {
                entry.name.as_deref().is_some_and(|name| self.is_leg_name(name))
                    || id.is_some_and(|id| spans.is_leg(id))
            }
            ("bridges", Some(id)) => spans.is_part(id, eid),
            ("applications", _) => is_named(HIDDEN_APP),
            ("endpoints", _) => {
                entry.resource.as_deref() == Some(&self.settings.trunk_endpoint)
                    && entry.technology.as_deref() == Some("PJSIP")
            }
            _ => false,
        }
    }

    /// Whether a channel of this name is a trunk's.
    pub(crate) fn is_leg_name(&self, name: &str) -> bool {
        name.starts_with(&self.leg_names)
    }

    /// Whether an answer is a trunk's channel, of which a gateway knows the name sooner than the id.
    pub(crate) fn is_leg(&self, body: &[u8]) -> bool {
        #[derive(serde::Deserialize)]
        struct Channel<'a> {
            #[serde(borrow)]
            name: std::borrow::Cow<'a, str>,
        }
        // Its name is the second member.
        let start = body.get(..LOOKED_AT).unwrap_or(body);
        let mut begins = start.windows(self.leg_names.len());
        if !begins.any(|text| text == self.leg_names.as_bytes()) {
            return false;
        }
        let told: Option<Channel<'_>> = serde_json::from_slice(body).ok();
        told.is_some_and(|told| self.is_leg_name(&told.name))
    }
}

/// Gives each bridge that spans, in its home's list, the members of all lists.
pub(crate) fn unite(spans: &Spans, answers: &mut [Answer]) {
    if spans.count() == 0 {
        return;
    }
    let mut lists: Vec<Option<Vec<Value>>> =
        answers.iter().map(|answer| serde_json::from_slice(&answer.body).ok()).collect();
    let mut members: HashMap<String, Vec<Value>> = HashMap::new();
    for bridge in lists.iter().flatten().flatten() {
        let Some(id) = id_of(bridge).filter(|id| spans.get(id).is_some()) else { continue };
        members.entry(id.to_owned()).or_default().extend(members_of(spans, bridge));
    }
    for (answer, list) in answers.iter_mut().zip(&mut lists) {
        let Some(list) = list else { continue };
        let mut has_changed = false;
        for bridge in list.iter_mut() {
            let id = id_of(bridge).unwrap_or_default();
            let is_home = spans.get(id).is_some_and(|span| span.home == answer.eid);
            if let (true, Some(members)) = (is_home, members.get(id)) {
                show(bridge, members);
                has_changed = true;
            }
        }
        if has_changed {
            answer.body = json!(list).to_string().into();
        }
    }
}

fn id_of(bridge: &Value) -> Option<&str> {
    bridge.get("id").and_then(Value::as_str)
}

fn show(bridge: &mut Value, members: &[Value]) {
    if let Value::Object(bridge) = bridge {
        bridge.insert("channels".to_owned(), json!(members));
    }
}

/// The channels of a bridge, without trunks.
fn members_of(spans: &Spans, bridge: &Value) -> Vec<Value> {
    let channels = bridge.get("channels").and_then(Value::as_array).into_iter().flatten();
    let is_member = |channel: &&Value| channel.as_str().is_some_and(|id| !spans.is_leg(id));
    channels.filter(is_member).cloned().collect()
}

impl Gateway {
    /// A bridge that spans, with all members, and its home. `None`: it is to be asked for as any
    /// other.
    pub(crate) async fn whole_bridge(&self, roster: &Roster, id: &str) -> Option<(String, Bytes)> {
        let spans = self.bridges.spans();
        let span = spans.get(id)?;
        let asked = span.nodes().map(|eid| async move {
            let node = roster.fleet.by_eid(eid).and_then(|node| roster.member(node.slot))?;
            let question = Outgoing::get(path("bridges", id), self.config.nodes.question_timeout);
            match self.fetch(node, &question).await {
                Ok((StatusCode::OK, body)) => serde_json::from_slice::<Value>(&body).ok(),
                _ => None,
            }
        });
        let told = join_all(asked).await;
        // Home is the first.
        let mut home = told.first().cloned().flatten()?;
        let members: Vec<Value> =
            told.iter().flatten().flat_map(|bridge| members_of(&spans, bridge)).collect();
        show(&mut home, &members);
        Some((span.home.clone(), home.to_string().into()))
    }
}
