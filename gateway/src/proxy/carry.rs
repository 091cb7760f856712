// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! From a request to its answer.

use std::time::Instant;

use bytes::Bytes;
use futures_util::future::join_all;
use http_body_util::BodyExt;
use hyper::body::Body as _;
use hyper::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use hyper::{Method, Response, StatusCode};
use serde::Deserialize;

use super::belongs::Belongings;
use super::merge::{Answer, Entry, merge};
use super::reply::{self, Body, Reply, failure};
use super::stamp::stamped;
use super::{Gateway, Task};
use crate::access::{Verdict, judge};
use crate::ari::{Answers, BodyKind, Does, Known, Made, Merge, Plan, Refusal, Whereabouts, route};
use crate::bridges;
use crate::fleet::Slot;
use crate::index::{App, Kind};
use crate::node::{Member, NodeBody, NodeError, Outgoing, Roster};

/// Answers up to here are read before they are passed on, so that they can be stamped.
const STAMPED: u64 = 1 << 20;
/// Nodes that a create is offered to, while none of them can be reached.
const OFFERS: usize = 3;
/// More things than a request can name.
const QUESTIONS: usize = 64;

/// The node that answered.
pub(crate) static NODE: HeaderName = HeaderName::from_static("x-asterisk-id");
/// The nodes that are not in a merged answer.
static MISSING: HeaderName = HeaderName::from_static("x-asterisk-missing");

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
                for (kind, id) in named {
                    self.check_belongs(&roster, &task.person, kind, &id, at).await?;
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

    /// What is otherwise with a bridge that spans: all its members are shown, and all its parts end
    /// before it does.
    async fn of_span(&self, task: &Task, roster: &Roster) -> Result<Option<Reply>, Refusal> {
        let spans = self.bridges.spans();
        let Some(span) = spans.get(task.bridge()) else { return Ok(None) };
        match task.method {
            Method::GET => {
                let told = self.whole_bridge(roster, task.bridge()).await;
                Ok(told.map(|(eid, body)| {
                    let body = stamped(&body, &eid).map_or(body, Bytes::from);
                    let mut reply = reply::json(StatusCode::OK, body);
                    if let Ok(value) = HeaderValue::from_str(&eid) {
                        reply.headers_mut().insert(NODE.clone(), value);
                    }
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

    async fn span(
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

    fn plan(&self, task: &Task, roster: &Roster, answers: &Answers) -> Plan {
        let spans = self.bridges.spans();
        let whereabouts = |kind: Kind, id: &str| {
            if kind == Kind::Channel && spans.is_leg(id) {
                return Whereabouts::Nobody;
            }
            let span = spans.get(id).filter(|_| kind == Kind::Bridge);
            if let Some(home) = span.and_then(|span| roster.fleet.by_eid(&span.home)) {
                return Whereabouts::At(home.slot);
            }
            if let Some(found) = answers.get(&(kind, id.to_owned())) {
                return found.clone();
            }
            match self.index.owner(kind, id) {
                Some(owner) if roster.member(owner.slot).is_some() => Whereabouts::At(owner.slot),
                _ => Whereabouts::Unknown,
            }
        };
        let askable: Vec<Slot> = match task.operation.does {
            Does::Owned(_) | Does::OwnedEnds(_) | Does::OwnedMakes(..) => Vec::new(),
            _ => roster.askable().iter().map(|member| member.node.slot).collect(),
        };
        let known = Known {
            fleet: &roster.fleet,
            whereabouts: &whereabouts,
            choose: &|app| self.choose(roster, app),
            may_span: self.config.bridges.span,
            askable: &askable,
        };
        route(&task.request(), &known)
    }

    async fn to_one(
        &self,
        task: &Task,
        roster: &Roster,
        mut slot: Slot,
        made: Option<Made>,
        ends: Option<(Kind, String)>,
        app: Option<App>,
    ) -> Result<Reply, Missed> {
        let mut is_reserved = false;
        if let Some(made) = &made {
            // Before it leaves: events of it can be there before its answer is.
            match self.index.reserve(made.kind, &made.id, slot, app) {
                None => is_reserved = true,
                Some(owner)
                    if task.node.is_none() && matches!(task.operation.does, Does::Creates(_)) =>
                {
                    slot = owner.slot;
                }
                Some(_) => {}
            }
        }
        let other = match task.operation.does {
            Does::Creates(makes) if makes.kind == Kind::Channel => {
                task.params.given("otherChannelId")
            }
            _ => None,
        };
        let Some(member) = roster.member(slot) else {
            return Err(Missed::gone());
        };
        let outgoing = self.outgoing(task, made.as_ref());
        let sent = self.send(member, &outgoing).await;
        let answer = match sent {
            Ok(answer) => answer,
            Err(error) => {
                if let Some(made) = made.filter(|_| is_reserved && !error.may_have_happened()) {
                    self.index.forget(made.kind, &made.id);
                }
                return Err(Missed::of(member, &error, outgoing.is_safe()));
            }
        };
        let status = answer.status();
        if status.is_success() {
            if let Some((kind, id)) = &ends {
                self.index.forget_at(*kind, id, slot);
            }
            if let Some(other) = &other {
                self.index.learn(Kind::Channel, other, slot, app);
            }
            if task.operation.path == "channels/{channelId}/move"
                && let (Some(app), Some((_, id))) = (app, task.names.first())
            {
                self.index.learn(Kind::Channel, id, slot, Some(app));
            }
        } else {
            if let Some(made) = made.as_ref().filter(|_| is_reserved) {
                self.index.forget(made.kind, &made.id);
            }
            if status == StatusCode::NOT_FOUND
                && let Does::Owned(kind) | Does::OwnedEnds(kind) | Does::OwnedMakes(kind, _) =
                    task.operation.does
                && let Some((_, id)) = task.names.first()
            {
                // It is asked for next time, should it be elsewhere.
                self.index.forget_at(kind, id, slot);
            }
        }
        self.pass_on(member, answer, made.filter(|_| status.is_success()), app).await
    }

    /// Passes an answer on. A small object is stamped, and its id learnt; all else streams.
    async fn pass_on(
        &self,
        member: &Member,
        answer: Response<NodeBody>,
        made: Option<Made>,
        app: Option<App>,
    ) -> Result<Reply, Missed> {
        let (head, body) = answer.into_parts();
        let eid = member.node.eid.as_str();
        let content_type = head.headers.get(CONTENT_TYPE);
        let is_json =
            content_type.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
        let is_small = body.size_hint().upper().is_some_and(|size| size <= STAMPED);
        let body = if head.status.is_success() && is_json && is_small {
            let read = body.collect().await;
            let read = read.map_err(|_| Missed::of(member, &NodeError::Broken, false))?.to_bytes();
            if made.is_none() && self.bridges.is_leg(&read) {
                let refusal = Refusal::not_found(Kind::Channel.not_found());
                return Err(Missed { refusal, sent: true });
            }
            if let Some(made) = made {
                self.learn_made(member, &made, &read, app);
            }
            Body::Ours(stamped(&read, eid).map_or(read, Bytes::from).into())
        } else {
            Body::Nodes(Box::new(body))
        };
        let mut reply = Response::new(body);
        *reply.status_mut() = head.status;
        for name in [CONTENT_TYPE, CONTENT_DISPOSITION, LOCATION] {
            if let Some(value) = head.headers.get(&name) {
                reply.headers_mut().insert(name, value.clone());
            }
        }
        if let Ok(value) = HeaderValue::from_str(eid) {
            reply.headers_mut().insert(NODE.clone(), value);
        }
        Ok(reply)
    }

    fn learn_made(&self, member: &Member, made: &Made, body: &[u8], app: Option<App>) {
        #[derive(Deserialize)]
        struct Told {
            id: Option<String>,
            name: Option<String>,
        }
        let told: Option<Told> = serde_json::from_slice(body).ok();
        let told = told.and_then(|told| match made.kind {
            Kind::LiveRecording => told.name,
            _ => told.id,
        });
        let slot = member.node.slot;
        match told {
            Some(id) if id != made.id => {
                self.index.forget(made.kind, &made.id);
                self.index.learn(made.kind, &id, slot, app);
            }
            _ => self.index.learn(made.kind, &made.id, slot, app),
        }
    }

    async fn to_many(
        &self,
        task: &Task,
        roster: &Roster,
        slots: &[Slot],
        how: Merge,
        is_filtered: bool,
    ) -> Result<Reply, Refusal> {
        let mut outgoing = self.outgoing(task, None);
        outgoing.timeout = outgoing.timeout.min(self.config.nodes.question_timeout * 5);
        let members: Vec<&Member> = slots.iter().filter_map(|slot| roster.member(*slot)).collect();
        let asked = join_all(members.iter().map(|member| self.fetch(member, &outgoing))).await;
        let (mut answers, mut missing) = (Vec::new(), Vec::new());
        for (member, asked) in members.iter().zip(asked) {
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

    /// A subscription, each node's sources by themselves.
    async fn to_each(
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
            let (status, body) =
                asked.map_err(|error| Missed::of(member, &error, false).refusal)?;
            let answer = Answer { eid: member.node.eid.clone(), status, body };
            let is_owned = sources.contains("channel:") || sources.contains("bridge:");
            if is_owned && !status.is_success() {
                return Ok(reply::json(status, answer.body));
            }
            answers.push(answer);
        }
        // What the application has on the other nodes is in the answer too.
        let question = Outgoing::get(task.application(), self.config.nodes.question_timeout);
        let asked = join_all(others.iter().map(|member| self.fetch(member, &question))).await;
        for (member, asked) in others.iter().zip(asked) {
            if let Ok((StatusCode::OK, body)) = asked {
                let eid = member.node.eid.clone();
                answers.push(Answer { eid, status: StatusCode::OK, body });
            }
        }
        let (status, body) = merge(Merge::Objects, &answers, &|_, _| true);
        Ok(reply::json(status, body))
    }

    fn outgoing(&self, task: &Task, made: Option<&Made>) -> Outgoing {
        let more = made.and_then(|made| Some((made.parameter?, made.id.as_str())));
        let content_type = match task.body_kind {
            BodyKind::Json => Some(HeaderValue::from_static("application/json")),
            BodyKind::Form => Some(HeaderValue::from_static("application/x-www-form-urlencoded")),
            BodyKind::Ignored => None,
        };
        let has_body = content_type.is_some() && !task.body.is_empty();
        Outgoing {
            method: task.method.clone(),
            target: task.target() + &task.params.query(more, None),
            content_type: content_type.filter(|_| has_body),
            body: if has_body { task.body.clone() } else { Bytes::new() },
            timeout: self.config.nodes.request_timeout,
        }
    }

    async fn send(
        &self,
        member: &Member,
        outgoing: &Outgoing,
    ) -> Result<Response<NodeBody>, NodeError> {
        let since = Instant::now();
        let answer = member.client.send(outgoing).await;
        let outcome = answer.as_ref().map(Response::status).map_err(NodeError::word);
        self.metrics.note_node(&member.node.eid, outcome, since.elapsed());
        answer
    }

    /// The whole answer of a node, counted.
    pub(crate) async fn fetch(
        &self,
        member: &Member,
        outgoing: &Outgoing,
    ) -> Result<(StatusCode, Bytes), NodeError> {
        let since = Instant::now();
        let answer = member.client.fetch(outgoing).await;
        let outcome = answer.as_ref().map(|(status, _)| *status).map_err(NodeError::word);
        self.metrics.note_node(&member.node.eid, outcome, since.elapsed());
        answer
    }
}

/// Why a node gave no answer to what may have changed something.
pub(crate) fn failed(member: &Member, error: &NodeError) -> Refusal {
    Missed::of(member, error, false).refusal
}

/// No answer of a node.
struct Missed {
    refusal: Refusal,
    /// Whether the node may have got it.
    sent: bool,
}

impl Missed {
    fn gone() -> Self {
        Self { refusal: Refusal::unavailable("the node is gone"), sent: false }
    }

    fn of(member: &Member, error: &NodeError, is_safe: bool) -> Self {
        let message = format!("node {} {error}", member.node.eid);
        let sent = error.may_have_happened();
        let refusal = if sent && !is_safe {
            // Not to be repeated without a look: it may have been done.
            Refusal::new(504, format!("{message}: what was asked for may have been done"))
        } else {
            Refusal::unavailable(message)
        };
        Self { refusal, sent }
    }
}

impl From<Missed> for Refusal {
    fn from(missed: Missed) -> Self {
        missed.refusal
    }
}
