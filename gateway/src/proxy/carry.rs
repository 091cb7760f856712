// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! From a request to its answer.

use super::missed::Missed;
use super::reply::{Reply, failure};
use super::span::is_of_bridge_elsewhere;
use super::{Gateway, Task};
use crate::access::{Verdict, judge};
use crate::ari::{Answers, Does, Known, Plan, Refusal, Whereabouts, route};
use crate::bridges::Spans;
use crate::fleet::Slot;
use crate::index::Kind;
use crate::node::Roster;

/// Nodes that a create is offered to, while none of them can be reached.
const OFFERS: usize = 3;
/// More things than a request can name.
const QUESTIONS: usize = 64;

impl Gateway {
    /// Carries it out.
    pub(crate) async fn carry(&self, task: &Task) -> Reply {
        match self.try_carry(task).await {
            Ok(reply) => reply,
            Err(refusal) => failure(&refusal),
        }
    }

    async fn try_carry(&self, task: &Task) -> Result<Reply, Refusal> {
        let roster = self.roster();
        let mut is_filtered = false;
        match judge(&task.person, &task.request()) {
            Verdict::Allowed => {}
            Verdict::Filtered => is_filtered = true,
            Verdict::Refused(refusal) => return Err(refusal),
            Verdict::IfTheirs(named) => {
                let node = task.node.as_deref().and_then(|eid| roster.fleet.by_eid(eid));
                let at = node.map(|node| node.slot);
                for named in &named {
                    self.check_belongs(&roster, &task.person, named, at).await?;
                }
            }
        }
        if task.operation.path == "bridges/{bridgeId}"
            && let Some(reply) = self.of_span(task, &roster).await?
        {
            return Ok(reply);
        }
        let mut answers = Answers::new();
        let mut offers = 0;
        let app = task.request().app().map(|app| self.index.app(&app));
        loop {
            match self.plan(task, &roster, &answers) {
                Plan::Ask(kind, id) => {
                    if answers.len() >= QUESTIONS {
                        return Err(Refusal::bad("too many things are named at once"));
                    }
                    let found = self.ask(&roster, kind, &id).await?;
                    answers.insert((kind, id), found);
                }
                Plan::AskEndpoint => {
                    let mut parts = task.names.iter().map(|(_, value)| value.as_str());
                    let technology = parts.next().unwrap_or_default();
                    let resource = parts.next().unwrap_or_default();
                    let slot = self.ask_endpoint(&roster, technology, resource).await?;
                    return self
                        .to_one(task, &roster, slot, None, None, app)
                        .await
                        .map_err(Into::into);
                }
                Plan::One { slot, made, ends } => {
                    let may_move = matches!(task.operation.does, Does::Creates(_) | Does::Sends)
                        && task.node.is_none();
                    match self.to_one(task, &roster, slot, made, ends, app).await {
                        Ok(reply) if is_of_bridge_elsewhere(task, &reply) => {
                            return self.to_bridge_elsewhere(task, &roster, slot, reply).await;
                        }
                        Err(Missed { sent: false, .. }) if may_move && offers < OFFERS => {
                            offers += 1
                        }
                        other => return other.map_err(Into::into),
                    }
                }
                Plan::Span { home, parts } => return self.span(task, &roster, home, &parts).await,
                Plan::Many { slots, merge } => {
                    return self.to_many(task, &roster, &slots, merge, is_filtered).await;
                }
                Plan::Spread(parts) => return self.to_each(task, &roster, parts).await,
                Plan::Events => {
                    return Err(Refusal::bad("events come by a websocket"));
                }
                Plan::Refuse(refusal) => return Err(refusal),
            }
        }
    }

    /// As far as it is known without a question.
    pub(super) fn whereabouts(
        &self,
        roster: &Roster,
        spans: &Spans,
        kind: Kind,
        id: &str,
    ) -> Whereabouts {
        if kind == Kind::Channel && spans.is_leg(id) {
            return Whereabouts::Nobody;
        }
        let span = spans.get(id).filter(|_| kind == Kind::Bridge);
        if let Some(home) = span.and_then(|span| roster.fleet.by_eid(&span.home)) {
            return Whereabouts::At(home.slot);
        }
        match self.index.owner(kind, id) {
            Some(owner) if roster.member(owner.slot).is_some() => Whereabouts::At(owner.slot),
            _ => Whereabouts::Unknown,
        }
    }

    fn plan(&self, task: &Task, roster: &Roster, answers: &Answers) -> Plan {
        let spans = self.bridges.spans();
        let asked = |kind: Kind, id: &str| {
            answers.get(&(kind, id.to_owned())).cloned().unwrap_or(Whereabouts::Unknown)
        };
        let whereabouts = |kind: Kind, id: &str| match self.whereabouts(roster, &spans, kind, id) {
            Whereabouts::Unknown => asked(kind, id),
            known => known,
        };
        let askable: Vec<Slot> = match task.operation.does {
            Does::Owned(_) | Does::OwnedEnds(_) | Does::OwnedMakes(..) => Vec::new(),
            _ => roster.askable().iter().map(|member| member.node.slot).collect(),
        };
        let known = Known {
            fleet: &roster.fleet,
            whereabouts: &whereabouts,
            asked: &asked,
            choose: &|app| self.choose(roster, app),
            may_span: self.config.bridges.span,
            askable: &askable,
        };
        route(&task.request(), &known)
    }
}
