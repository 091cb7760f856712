// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! One request of a client, once it is read.

use bytes::Bytes;
use hyper::Method;

use crate::access::Person;
use crate::ari::{BodyKind, Operation, Params, Request};

/// The request, and who makes it.
#[derive(Debug)]
pub(crate) struct Task {
    pub method: Method,
    pub operation: &'static Operation,
    pub names: Vec<(&'static str, String)>,
    pub params: Params,
    pub node: Option<String>,
    /// An id for what it makes, should it have none.
    pub id: String,
    pub body_kind: BodyKind,
    pub body: Bytes,
    pub person: Person,
}

impl Task {
    /// The bridge that the path names.
    pub(crate) fn bridge(&self) -> &str {
        self.names.first().map_or("", |(_, value)| value.as_str())
    }

    pub(super) fn request(&self) -> Request<'_> {
        Request {
            operation: self.operation,
            names: &self.names,
            params: &self.params,
            node: self.node.as_deref(),
            id: &self.id,
        }
    }
}
