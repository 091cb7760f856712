// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Whether something belongs to a user's applications.

use std::collections::HashMap;

use hyper::StatusCode;
use serde::Deserialize;

use super::Gateway;
use crate::access::{Named, Person};
use crate::ari::{Refusal, Whereabouts, encode};
use crate::fleet::Slot;
use crate::index::Kind;
use crate::node::{Outgoing, Roster};

/// An application, as a node tells of it.
#[derive(Debug, Deserialize)]
struct Application {
    name: String,
    #[serde(default)]
    channel_ids: Vec<String>,
    #[serde(default)]
    bridge_ids: Vec<String>,
}

/// What each application of a node has: from kind and id to names.
pub(super) type Belongings = HashMap<(Kind, String), Vec<String>>;

impl Gateway {
    /// Refuses when it belongs to others. What nobody has is for the way to find out. On a node
    /// that is named, what is there counts, and not what else has the same id.
    pub(super) async fn check_belongs(
        &self,
        roster: &Roster,
        person: &Person,
        named: &Named,
        at: Option<Slot>,
    ) -> Result<(), Refusal> {
        let (kind, id) = (named.kind, named.id.as_str());
        let owner = self.index.owner(kind, id).filter(|owner| {
            roster.member(owner.slot).is_some() && at.is_none_or(|at| at == owner.slot)
        });
        let name = owner.and_then(|owner| self.index.app_name(owner.app?));
        if name.is_some_and(|name| person.has_app(&name)) {
            return Ok(());
        }
        // Others may have it as well as the one that is known.
        let is_theirs = match owner.map(|owner| owner.slot).or(at) {
            Some(slot) => self.node_says(roster, person, slot, kind, id).await?,
            None => match self.ask(roster, kind, id).await? {
                Whereabouts::At(slot) => self.node_says(roster, person, slot, kind, id).await?,
                Whereabouts::Unsure(who) => return Err(Refusal::unsure(&who)),
                _ => !named.is_loose,
            },
        };
        if is_theirs {
            Ok(())
        } else {
            Err(Refusal::forbidden(format!("this {} is not this user's", kind.word())))
        }
    }

    async fn node_says(
        &self,
        roster: &Roster,
        person: &Person,
        slot: Slot,
        kind: Kind,
        id: &str,
    ) -> Result<bool, Refusal> {
        let (kind, id) = match kind {
            Kind::Playback | Kind::LiveRecording => {
                match self.target(roster, slot, kind, id).await? {
                    Some(target) => target,
                    None => return Ok(true),
                }
            }
            _ => (kind, id.to_owned()),
        };
        let belongings = self.belongings(roster, slot).await?;
        let apps = belongings.get(&(kind, id.clone()));
        if apps.is_some_and(|apps| apps.iter().any(|app| person.has_app(app))) {
            if let Some([app]) = apps.map(Vec::as_slice) {
                self.index.learn(kind, &id, slot, Some(self.index.app(app)));
            }
            return Ok(true);
        }
        // A bridge that nobody is in is nobody's yet.
        Ok(kind == Kind::Bridge && apps.is_none())
    }

    /// What a playback or a recording is of.
    async fn target(
        &self,
        roster: &Roster,
        slot: Slot,
        kind: Kind,
        id: &str,
    ) -> Result<Option<(Kind, String)>, Refusal> {
        #[derive(Deserialize)]
        struct Targeted {
            target_uri: String,
        }
        let mut path = format!("/ari/{}/", kind.folder());
        encode(id, &mut path);
        let body = self.read_of(roster, slot, path).await?;
        let told: Option<Targeted> = body.and_then(|body| serde_json::from_slice(&body).ok());
        Ok(told.and_then(|told| match told.target_uri.split_once(':')? {
            ("channel", id) => Some((Kind::Channel, id.to_owned())),
            ("bridge", id) => Some((Kind::Bridge, id.to_owned())),
            _ => None,
        }))
    }

    pub(super) async fn belongings(
        &self,
        roster: &Roster,
        slot: Slot,
    ) -> Result<Belongings, Refusal> {
        let body = self.read_of(roster, slot, "/ari/applications".to_owned()).await?;
        let apps: Option<Vec<Application>> =
            body.and_then(|body| serde_json::from_slice(&body).ok());
        let apps = apps.ok_or_else(|| Refusal::unavailable("a node does not tell whose it is"))?;
        let mut belongings = Belongings::new();
        for app in apps {
            let channels = app.channel_ids.into_iter().map(|id| (Kind::Channel, id));
            let bridges = app.bridge_ids.into_iter().map(|id| (Kind::Bridge, id));
            for belonging in channels.chain(bridges) {
                belongings.entry(belonging).or_default().push(app.name.clone());
            }
        }
        Ok(belongings)
    }

    /// `None`: there is no such thing.
    async fn read_of(
        &self,
        roster: &Roster,
        slot: Slot,
        path: String,
    ) -> Result<Option<bytes::Bytes>, Refusal> {
        let Some(member) = roster.member(slot) else { return Ok(None) };
        let outgoing = Outgoing::get(path, self.config.nodes.question_timeout);
        let eid = &member.node.eid;
        match member.client.fetch(&outgoing).await {
            Ok((StatusCode::OK, body)) => Ok(Some(body)),
            Ok((StatusCode::NOT_FOUND, _)) => Ok(None),
            Ok((status, _)) => Err(Refusal::unavailable(format!("node {eid} says {status}"))),
            Err(error) => Err(Refusal::unavailable(format!("node {eid} {error}"))),
        }
    }
}
