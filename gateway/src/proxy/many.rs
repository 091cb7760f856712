// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! To many nodes, and their answers merged.

use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};

use super::belongs::Belongings;
use super::merge::{Answer, Entry, merge};
use super::missed::Missed;
use super::reply::{self, Reply};
use super::{Gateway, Task};
use crate::ari::{Merge, Refusal};
use crate::bridges;
use crate::fleet::Slot;
use crate::index::Kind;
use crate::node::Roster;

/// The nodes that are not in a merged answer.
static MISSING: HeaderName = HeaderName::from_static("x-asterisk-missing");

impl Gateway {
    pub(super) async fn to_many(
        &self,
        task: &Task,
        roster: &Roster,
        slots: &[Slot],
        how: Merge,
        is_filtered: bool,
    ) -> Result<Reply, Refusal> {
        let mut outgoing = self.outgoing(task, None);
        outgoing.timeout = outgoing.timeout.min(self.config.nodes.question_timeout * 5);
        let members = slots.iter().filter_map(|slot| roster.member(*slot)).cloned().collect();
        let (mut answers, mut missing) = (Vec::new(), Vec::new());
        for (member, asked) in self.ask_each(members, &outgoing).await {
            let eid = member.node.eid.clone();
            match asked {
                Ok((status, body)) => answers.push(Answer { eid, status, body }),
                Err(error) => missing.push((member, error)),
            }
        }
        if answers.is_empty() {
            return Err(match missing.first() {
                Some((member, error)) => Missed::of(member, error, outgoing.is_safe()).refusal,
                None => Refusal::unavailable("no node can be reached"),
            });
        }
        let has_found = answers.iter().any(|answer| answer.status.is_success());
        if let (false, Some((member, error))) =
            (has_found, missing.iter().find(|(member, _)| member.node.state.is_up()))
        {
            return Err(Missed::of(member, error, outgoing.is_safe()).refusal);
        }
        let shown = match is_filtered {
            true => Some(self.shown(roster, &answers).await?),
            false => None,
        };
        let kind = match task.operation.area() {
            "channels" => Some(Kind::Channel),
            "bridges" => Some(Kind::Bridge),
            _ => None,
        };
        let (spans, area) = (self.bridges.spans(), task.operation.area());
        if task.operation.path == "bridges" {
            bridges::unite(&spans, &mut answers);
        }
        let shows_id = |eid: &str, id: &str| match (&shown, kind) {
            (None, _) => true,
            (Some(_), None) => task.person.has_app(id),
            (Some(shown), Some(kind)) => {
                let belongings = shown.iter().find(|(node, _)| node == eid);
                let apps = belongings.and_then(|(_, all)| all.get(&(kind, id.to_owned())));
                let known =
                    self.index.owner(kind, id).and_then(|owner| self.index.app_name(owner.app?));
                apps.is_some_and(|apps| apps.iter().any(|app| task.person.has_app(app)))
                    || known.is_some_and(|app| task.person.has_app(&app))
            }
        };
        let shows = |eid: &str, entry: &Entry<'_>| {
            !self.bridges.hides(&spans, area, eid, entry)
                && entry.id.as_deref().is_none_or(|id| shows_id(eid, id))
        };
        let (status, body) = merge(how, &answers, &shows);
        let mut reply = match status {
            StatusCode::NO_CONTENT => reply::empty(status),
            _ => reply::json(status, body),
        };
        let mut names: Vec<&str> =
            missing.iter().map(|(member, _)| member.node.eid.as_str()).collect();
        let failed = answers.iter().filter(|answer| answer.status.is_server_error());
        names.extend(failed.map(|answer| answer.eid.as_str()).filter(|_| status.is_success()));
        if let (false, Ok(value)) = (names.is_empty(), HeaderValue::from_str(&names.join(", "))) {
            reply.headers_mut().insert(MISSING.clone(), value);
        }
        Ok(reply)
    }

    async fn shown(
        &self,
        roster: &Roster,
        answers: &[Answer],
    ) -> Result<Vec<(String, Belongings)>, Refusal> {
        let mut shown = Vec::new();
        for answer in answers {
            if let Some(node) = roster.fleet.by_eid(&answer.eid) {
                shown.push((answer.eid.clone(), self.belongings(roster, node.slot).await?));
            }
        }
        Ok(shown)
    }
}
