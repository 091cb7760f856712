// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Channels into a bridge and out of it, wherever they are, and the end of the whole bridge.

use bytes::Bytes;
use hyper::{Method, StatusCode};

use super::mend::is_up;
use super::node::{At, path, query};
use super::span::{Span, Trunk, is_near};
use super::trouble::Trouble;
use super::working::Working;
use crate::ari::Refusal;
use crate::fleet::Slot;
use crate::node::{NodeError, Outgoing, Roster};
use crate::proxy::{Gateway, Reply, Task, empty, failed, json};

/// The parameters of both operations, beside the channels.
const PARAMETERS: [&str; 4] = ["role", "absorbDTMF", "mute", "inhibitConnectedLineUpdates"];

impl Gateway {
    /// Puts each channel into the bridge on its own node, which is made to have it.
    pub(crate) async fn join(
        &self,
        task: &Task,
        roster: &Roster,
        home: Slot,
        parts: &[(Slot, Vec<String>)],
    ) -> Result<Reply, Refusal> {
        let id = task.bridge();
        let home = roster.fleet.by_slot(home).map_or("", |node| node.eid.as_str());
        let mut working = self.work_on(id).await?;
        let joined = async {
            let mut span = working.read().await?.unwrap_or_else(|| Span::at(home));
            for (slot, channels) in parts {
                let Some(node) = roster.fleet.by_slot(*slot) else { continue };
                if node.eid != span.home {
                    self.check_role(task, roster, &span.home).await?;
                    self.extend(&mut working, &mut span, roster, id, &node.eid).await?;
                }
                if let Some(refused) = self.pass_part(task, roster, *slot, channels).await? {
                    return Ok(refused);
                }
                if node.eid != span.home {
                    let home = At::new(self, roster, &span.home)?;
                    self.tell_members(home, id, channels).await;
                }
            }
            Ok(empty(StatusCode::NO_CONTENT))
        }
        .await;
        working.finish().await;
        joined
    }

    /// Takes each channel out of the bridge on its own node. A part nobody is left in goes later.
    pub(crate) async fn leave(
        &self,
        task: &Task,
        roster: &Roster,
        home: Slot,
        parts: &[(Slot, Vec<String>)],
    ) -> Result<Reply, Refusal> {
        let spans = self.bridges.spans();
        let is_there = |slot: Slot| {
            let node = roster.fleet.by_slot(slot);
            let span = spans.get(task.bridge());
            node.zip(span).is_some_and(|(node, span)| span.parts.contains_key(&node.eid))
        };
        for (slot, channels) in parts {
            // Of a channel that is elsewhere, the bridge's node says that it is not in it.
            let slot = if is_there(*slot) { slot } else { &home };
            if let Some(refused) = self.pass_part(task, roster, *slot, channels).await? {
                return Ok(refused);
            }
        }
        Ok(empty(StatusCode::NO_CONTENT))
    }

    /// Ends all parts of a bridge that is about to end at home.
    pub(crate) async fn dissolve(&self, roster: &Roster, id: &str) -> Result<(), Refusal> {
        let mut working = self.work_on(id).await?;
        let dissolved = async {
            let Some(span) = working.read().await? else { return Ok(()) };
            for (eid, trunk) in &span.parts {
                // A node that died has nothing left to be ended.
                let Ok(part) = At::new(self, roster, eid) else { continue };
                for ended in [part.hang_up(&trunk.near()).await, part.end(id).await] {
                    match ended {
                        Err(Trouble::Node(_, NodeError::Refused)) | Ok(()) => {}
                        Err(Trouble::Node(..)) if !is_up(roster, eid) => {}
                        Err(trouble) => return Err(trouble),
                    }
                }
            }
            working.erase().await
        }
        .await;
        working.finish().await;
        dissolved.map_err(Refusal::from)
    }

    /// Who announces in a holding bridge is heard on its own node, and by trunks from home: Asterisk
    /// takes one such channel for each bridge, which is the trunk's elsewhere.
    async fn check_role(&self, task: &Task, roster: &Roster, home: &str) -> Result<(), Trouble> {
        if task.params.given("role").is_none_or(|role| role != "announcer") {
            return Ok(());
        }
        let told = At::new(self, roster, home)?.bridge(task.bridge()).await?;
        match told.ok_or(Trouble::NoBridge)?.is_holding() {
            true => Err(Trouble::Announces(home.to_owned())),
            false => Ok(()),
        }
    }

    /// Makes the bridge span to this node, if it does not.
    pub(super) async fn extend(
        &self,
        working: &mut Working<'_>,
        span: &mut Span,
        roster: &Roster,
        id: &str,
        eid: &str,
    ) -> Result<(), Trouble> {
        let (home, part) = (At::new(self, roster, &span.home)?, At::new(self, roster, eid)?);
        if let Some(trunk) = span.parts.get(eid) {
            let near = trunk.near();
            let there = part.bridge(id).await?;
            if trunk.far.is_some() && there.is_some_and(|told| told.channels.contains(&near)) {
                return Ok(());
            }
            // Whoever began it did not come to its end.
            self.end_leg(part, &near).await?;
        }
        let told = home.bridge(id).await?.ok_or(Trouble::NoBridge)?;
        let trunk = Trunk::new();
        span.parts.insert(eid.to_owned(), trunk.clone());
        // Before it is made: what is known can be ended, whatever becomes of us.
        working.write(span).await?;
        let made = async {
            let far = self.connect(home, part, &told, &trunk).await?;
            span.parts.insert(eid.to_owned(), Trunk { far: Some(far.clone()), ..trunk.clone() });
            working.write(span).await?;
            self.join_ends(home, part, &told, (&trunk.near(), &far)).await
        }
        .await;
        if made.is_err() {
            self.retract(working, span, part, id).await;
        } else {
            tracing::info!(node = eid, "bridge {id} of node {} is on node {eid} too", span.home);
        }
        made
    }

    /// Takes a part back, as far as that can be done; the rest is mended later.
    async fn retract(&self, working: &mut Working<'_>, span: &mut Span, part: At<'_>, id: &str) {
        let Some(trunk) = span.parts.get(part.eid()) else { return };
        if part.hang_up(&trunk.near()).await.is_err() || !self.end_if_empty(part, id).await {
            return;
        }
        span.parts.remove(part.eid());
        let written = match span.parts.is_empty() {
            true => working.erase().await,
            false => working.write(span).await,
        };
        if let Err(trouble) = written {
            tracing::debug!("bridge {id}: {trouble}");
        }
    }

    /// Ends a part that has no members; whether it is gone.
    async fn end_if_empty(&self, part: At<'_>, id: &str) -> bool {
        let members = match part.bridge(id).await {
            Ok(told) => told
                .map_or(0, |told| told.channels.iter().filter(|channel| !is_near(channel)).count()),
            Err(_) => return false,
        };
        members == 0 && part.end(id).await.is_ok()
    }

    /// Sends the request to one node with its own channels. Its answer, when it refuses.
    async fn pass_part(
        &self,
        task: &Task,
        roster: &Roster,
        slot: Slot,
        channels: &[String],
    ) -> Result<Option<Reply>, Refusal> {
        let Some(member) = roster.member(slot) else {
            return Err(Refusal::unavailable("the node is gone"));
        };
        let channels = channels.join(",");
        let given: Vec<_> =
            PARAMETERS.iter().filter_map(|name| Some((*name, task.params.given(name)?))).collect();
        let mut pairs = vec![("channel", channels.as_str())];
        pairs.extend(given.iter().map(|(name, value)| (*name, value.as_ref())));
        let operation = task.operation.path.rsplit('/').next().unwrap_or_default();
        let outgoing = Outgoing {
            method: Method::POST,
            target: path("bridges", task.bridge()) + "/" + operation + &query(&pairs),
            content_type: None,
            body: Bytes::new(),
            timeout: self.config.nodes.request_timeout,
        };
        match self.fetch(member, &outgoing).await {
            Ok((status, _)) if status.is_success() => Ok(None),
            Ok((status, body)) => Ok(Some(json(status, body))),
            Err(error) => Err(failed(member, &error)),
        }
    }
}
