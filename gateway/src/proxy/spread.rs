// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! An application's subscription, whose sources are on several nodes.

use bytes::Bytes;
use hyper::StatusCode;

use super::merge::{Answer, merge};
use super::missed::failed;
use super::reply::{self, Reply};
use super::{Gateway, Task};
use crate::ari::{Merge, Refusal};
use crate::fleet::Slot;
use crate::node::{Member, Outgoing, Roster};

impl Gateway {
    /// A subscription, each node's sources by themselves.
    pub(super) async fn to_each(
        &self,
        task: &Task,
        roster: &Roster,
        parts: Vec<(Slot, Vec<String>)>,
    ) -> Result<Reply, Refusal> {
        let mut answers = Vec::new();
        let is_named = |member: &Member| parts.iter().any(|(slot, _)| *slot == member.node.slot);
        let mut others = roster.askable();
        others.retain(|member| !is_named(member));
        for (slot, sources) in parts {
            let Some(member) = roster.member(slot) else { continue };
            let sources = sources.join(",");
            let more = Some(("eventSource", sources.as_str()));
            let query = task.params.query(more, Some("eventSource"));
            let outgoing = Outgoing {
                method: task.method.clone(),
                target: task.target() + &query,
                content_type: None,
                body: Bytes::new(),
                timeout: self.config.nodes.request_timeout,
            };
            let asked = self.fetch(member, &outgoing).await;
            let (status, body) = asked.map_err(|error| failed(member, &error))?;
            let answer = Answer { eid: member.node.eid.clone(), status, body };
            let is_owned = sources.contains("channel:") || sources.contains("bridge:");
            if is_owned && !status.is_success() {
                return Ok(reply::json(status, answer.body));
            }
            answers.push(answer);
        }
        // What the application has on the other nodes is in the answer too.
        let question = Outgoing::get(task.application(), self.config.nodes.question_timeout);
        for (member, asked) in self.ask_each(others, &question).await {
            if let Ok((StatusCode::OK, body)) = asked {
                let eid = member.node.eid.clone();
                answers.push(Answer { eid, status: StatusCode::OK, body });
            }
        }
        let (status, body) = merge(Merge::Objects, &answers, &|_, _| true);
        Ok(reply::json(status, body))
    }
}
