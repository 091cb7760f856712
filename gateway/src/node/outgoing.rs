// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A request to a node, made by us: nothing of a client's head is in it but what was looked at.

use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use hyper::header::HeaderValue;

/// The request.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub method: Method,
    /// Path and query, encoded.
    pub target: String,
    pub content_type: Option<HeaderValue>,
    pub body: Bytes,
    /// The longest wait for the head of the answer.
    pub timeout: Duration,
}

impl Outgoing {
    /// A question that changes nothing.
    pub(crate) fn get(target: String, timeout: Duration) -> Self {
        Self { method: Method::GET, target, content_type: None, body: Bytes::new(), timeout }
    }

    /// Whether it may be sent again when a connection ended under it.
    pub(crate) fn is_safe(&self) -> bool {
        self.method == Method::GET
    }
}
