// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A request as it goes to a node, counted.

use std::time::Instant;

use bytes::Bytes;
use hyper::header::HeaderValue;
use hyper::{Response, StatusCode};

use super::{Gateway, Task};
use crate::ari::{BodyKind, Made};
use crate::node::{Member, NodeBody, NodeError, Outgoing};

impl Gateway {
    pub(super) fn outgoing(&self, task: &Task, made: Option<&Made>) -> Outgoing {
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

    pub(super) async fn send(
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
