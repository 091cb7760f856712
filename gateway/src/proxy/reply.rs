// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Answers to clients, and ARI's form of an error.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use serde_json::json;

use crate::ari::Refusal;
use crate::node::NodeBody;

/// The node that answered.
pub(crate) static NODE: HeaderName = HeaderName::from_static("x-asterisk-id");

/// A body of ours, or one that streams from a node.
#[derive(Debug)]
pub(crate) enum Body {
    Ours(Full<Bytes>),
    Nodes(Box<NodeBody>),
}

/// An answer to a client.
pub(crate) type Reply = Response<Body>;

impl HttpBody for Body {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        match self.get_mut() {
            Self::Ours(body) => {
                let polled = Pin::new(body).poll_frame(context);
                polled.map(|frame| frame.map(|frame| frame.map_err(|never| match never {})))
            }
            Self::Nodes(body) => Pin::new(body.as_mut()).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Ours(body) => body.is_end_stream(),
            Self::Nodes(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Ours(body) => body.size_hint(),
            Self::Nodes(body) => body.size_hint(),
        }
    }
}

/// Says which node has answered.
pub(super) fn name_node(reply: &mut Reply, eid: &str) {
    if let Ok(value) = HeaderValue::from_str(eid) {
        reply.headers_mut().insert(NODE.clone(), value);
    }
}

/// A whole answer.
pub(crate) fn text(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Reply {
    let mut reply = Response::new(Body::Ours(Full::new(body.into())));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
}

/// One of JSON.
pub(crate) fn json(status: StatusCode, body: impl Into<Bytes>) -> Reply {
    text(status, "application/json", body)
}

/// One without a body.
pub(crate) fn empty(status: StatusCode) -> Reply {
    let mut reply = Response::new(Body::Ours(Bytes::new().into()));
    *reply.status_mut() = status;
    reply
}

/// `{"message":"…"}`, as ARI's errors are.
pub(crate) fn failure(refusal: &Refusal) -> Reply {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut reply = json(status, json!({"message": refusal.message}).to_string());
    if let Some(seconds) = refusal.retry_after {
        reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if status == StatusCode::UNAUTHORIZED {
        let realm = HeaderValue::from_static("Basic realm=\"Asterisk REST Interface\"");
        reply.headers_mut().insert(WWW_AUTHENTICATE, realm);
    }
    reply
}
