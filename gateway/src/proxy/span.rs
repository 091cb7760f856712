// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Bridges on several nodes, as requests see them.

use bytes::Bytes;
use hyper::{Method, StatusCode};

use super::reply::{self, Reply};
use super::stamp::stamped;
use super::{Gateway, Task};
use crate::access::Named;
use crate::ari::{Does, Refusal, Whereabouts};
use crate::fleet::Slot;
use crate::index::Kind;
use crate::node::Roster;

impl Gateway {
    /// What is otherwise with a bridge that spans: all its members are shown, whatever node is named,
    /// and all its parts end before it does.
    pub(super) async fn of_span(
        &self,
        task: &Task,
        roster: &Roster,
    ) -> Result<Option<Reply>, Refusal> {
        let spans = self.bridges.spans();
        let Some(span) = spans.get(task.bridge()) else { return Ok(None) };
        match task.method {
            Method::GET => {
                let told = self.whole_bridge(roster, task.bridge()).await;
                Ok(told.map(|(eid, body)| {
                    let body = stamped(&body, &eid).map_or(body, Bytes::from);
                    let mut reply = reply::json(StatusCode::OK, body);
                    reply::name_node(&mut reply, &eid);
                    reply
                }))
            }
            Method::DELETE if task.node.as_ref().is_none_or(|node| *node == span.home) => {
                self.dissolve(roster, task.bridge()).await?;
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    pub(super) async fn span(
        &self,
        task: &Task,
        roster: &Roster,
        home: Slot,
        parts: &[(Slot, Vec<String>)],
    ) -> Result<Reply, Refusal> {
        match task.operation.does {
            Does::Joins => self.join(task, roster, home, parts).await,
            _ if self.bridges.spans().get(task.bridge()).is_some() => {
                self.leave(task, roster, home, parts).await
            }
            // The bridge's node says that they are not in it.
            _ => {
                let sent = self.to_one(task, roster, home, None, None, None).await;
                sent.map_err(Into::into)
            }
        }
    }

    /// The node that was named has the channels, but not the bridge: of all channels of these ids
    /// its own are meant, and the bridge is where it is. Otherwise it is as the node has answered.
    pub(super) async fn to_bridge_elsewhere(
        &self,
        task: &Task,
        roster: &Roster,
        named: Slot,
        answer: Reply,
    ) -> Result<Reply, Refusal> {
        let home =
            match self.whereabouts(roster, &self.bridges.spans(), Kind::Bridge, task.bridge()) {
                Whereabouts::Unknown => self.ask(roster, Kind::Bridge, task.bridge()).await?,
                known => known,
            };
        let Whereabouts::At(home) = home else { return Ok(answer) };
        if home == named || !self.config.bridges.span {
            return Ok(answer);
        }
        if task.person.is_limited() {
            // Before, what the named node has was looked at, and it has no such bridge.
            let bridge = Named::new(Kind::Bridge, task.bridge());
            self.check_belongs(roster, &task.person, &bridge, None).await?;
        }
        let channels = task.params.all("channel");
        self.span(task, roster, home, &[(named, channels)]).await
    }
}

/// Whether channels of a node that the client named are to go into a bridge which is not there.
pub(super) fn is_of_bridge_elsewhere(task: &Task, answer: &Reply) -> bool {
    task.node.is_some()
        && matches!(task.operation.does, Does::Joins)
        && answer.status() == StatusCode::NOT_FOUND
}
