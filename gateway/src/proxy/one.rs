// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! To one node, and its answer passed on.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Body as _;
use hyper::header::{CONTENT_DISPOSITION, CONTENT_TYPE, LOCATION};
use hyper::{Response, StatusCode};
use serde::Deserialize;

use super::missed::Missed;
use super::reply::{self, Body, Reply};
use super::stamp::stamped;
use super::{Gateway, Task};
use crate::ari::{Does, Made, Refusal};
use crate::fleet::Slot;
use crate::index::{App, Kind};
use crate::node::{Member, NodeBody, NodeError, Roster};

/// Answers up to here are read before they are passed on, so that they can be stamped.
const STAMPED: u64 = 1 << 20;

impl Gateway {
    pub(super) async fn to_one(
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
        let request = task.request();
        let second_half = match task.operation.does {
            Does::Creates(makes) if makes.kind == Kind::Channel => request.second_half(),
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
            if let Some(half) = &second_half {
                self.index.learn(Kind::Channel, half, slot, app);
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
        reply::name_node(&mut reply, eid);
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
}
