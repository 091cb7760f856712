// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A full read of a node: what is not in it has ended.

use std::collections::HashSet;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Dialplan, Held, Holdings, Part, Things, milliseconds};
use crate::index::Kind;

/// What an application's list of channels has instead of ids when it is told of all.
const ALL: [&str; 2] = ["__AST_CHANNEL_ALL_TOPIC", "__AST_BRIDGE_ALL_TOPIC"];

/// When it began: what is noted later is newer than what it tells.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Begun(u64);

/// What a node has said of itself.
#[derive(Debug, Default)]
pub(crate) struct Listing<'a> {
    pub channels: &'a [u8],
    pub bridges: &'a [u8],
    pub applications: &'a [u8],
}

#[derive(Deserialize)]
struct Application {
    name: String,
    #[serde(default)]
    channel_ids: Vec<String>,
    #[serde(default)]
    bridge_ids: Vec<String>,
}

#[derive(Deserialize)]
struct Object {
    id: String,
    #[serde(default)]
    dialplan: Dialplan,
}

impl Holdings {
    pub(crate) fn begin_read(&self) -> Begun {
        let mut all = self.all();
        all.step += 1;
        Begun(all.step)
    }

    /// Takes a read of the process that began at `boot`. If that is another than before, what the
    /// one before had has ended: `true` when there was something.
    pub(crate) fn end_read(
        &self,
        eid: &str,
        boot: &str,
        begun: Begun,
        listing: &Listing<'_>,
    ) -> bool {
        let apps: Vec<Application> =
            serde_json::from_slice(listing.applications).unwrap_or_default();
        let mut there = Vec::new();
        for (kind, body) in [(Kind::Channel, listing.channels), (Kind::Bridge, listing.bridges)] {
            let objects: Vec<&RawValue> = serde_json::from_slice(body).unwrap_or_default();
            for text in objects {
                let Ok(object) = serde_json::from_str::<Object>(text.get()) else { continue };
                let parts = parts(&apps, kind, &object);
                there.push((kind, object.id, parts, text.get()));
            }
        }
        let all = &mut *self.all();
        all.step += 1;
        let step = all.step;
        all.fences.open(eid, milliseconds(boot));
        let node = all.nodes.entry(eid.to_owned()).or_default();
        node.is_dead = false;
        let before = node.boot.replace(boot.to_owned());
        let is_another = before.as_ref().is_some_and(|before| before != boot);
        let (mut listed, mut named) = (HashSet::new(), HashSet::new());
        for (kind, id, parts, _) in &there {
            listed.insert((*kind, id.as_str()));
            if !parts.is_empty() {
                named.insert((*kind, id.as_str()));
            }
        }
        let can_be = |kind: Kind, id: &str, held: &Held| match &held.play {
            Some(play) => !is_another && play.can_be(|kind, id| listed.contains(&(kind, id))),
            None => named.contains(&(kind, id)),
        };
        let is_over = |(kind, id): &(Kind, Box<str>), held: &mut Held| {
            held.noted < begun.0 && !can_be(*kind, id, held)
        };
        let mut over: Things = node.things.extract_if(is_over).collect();
        over.extend(node.plays.extract_if(is_over));
        for (kind, id, apps, text) in there.into_iter().filter(|(_, _, apps, _)| !apps.is_empty()) {
            let snapshot = Arc::<str>::from(text);
            let held = node.things.entry((kind, id.into()));
            let held = held.or_insert_with(|| Held {
                apps: Vec::new(),
                snapshot: Arc::clone(&snapshot),
                noted: step,
                play: None,
            });
            // What an event said meanwhile is newer.
            if held.noted < begun.0 || held.apps.is_empty() {
                (held.apps, held.snapshot, held.noted) = (apps, snapshot, step);
            }
        }
        is_another && all.end(eid, before, over) > 0
    }
}

fn parts(apps: &[Application], kind: Kind, object: &Object) -> Vec<(Arc<str>, Part)> {
    let controller = object.dialplan.controller();
    let of = |app: &Application| {
        if kind == Kind::Channel && controller == Some(&app.name) {
            return Some((Arc::from(app.name.as_str()), Part::Controls));
        }
        let ids = if kind == Kind::Channel { &app.channel_ids } else { &app.bridge_ids };
        let is_told = ids.iter().any(|id| *id == object.id || ALL.contains(&id.as_str()));
        is_told.then(|| (Arc::from(app.name.as_str()), Part::Watches))
    };
    apps.iter().filter_map(of).collect()
}
