// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! One request of a client, once it is read.

use bytes::Bytes;
use hyper::Method;

use crate::access::Person;
use crate::ari::{BodyKind, Does, Found, Operation, Params, Path, Refusal, Request, encode, find};

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

/// An operation with the values of its path's parameters.
pub(crate) type Sought = (&'static Operation, Vec<(&'static str, String)>);

/// A request as it came, over HTTP or a websocket.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    pub method: Method,
    pub query: &'a str,
    pub content_type: Option<&'a str>,
    pub body: Bytes,
    /// The node that a header names.
    pub node: Option<String>,
}

/// Why there is nothing to be done.
#[derive(Debug)]
pub(crate) enum Unread {
    /// The path is one, and these are its methods.
    OtherMethods(Vec<&'static str>),
    Refused(Refusal),
}

impl From<Refusal> for Unread {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Task {
    /// The bridge that the path names.
    pub(crate) fn bridge(&self) -> &str {
        self.names.first().map_or("", |(_, value)| value.as_str())
    }

    /// The path for a node: every part encoded anew.
    pub(crate) fn target(&self) -> String {
        let mut target = "/ari".to_owned();
        let mut values = self.names.iter().map(|(_, value)| value.as_str());
        for part in self.operation.path.split('/') {
            target.push('/');
            if part.starts_with('{') {
                encode(values.next().unwrap_or_default(), &mut target);
            } else {
                target.push_str(part);
            }
        }
        target
    }

    /// The path of the application that the path names.
    pub(crate) fn application(&self) -> String {
        let mut target = "/ari/applications/".to_owned();
        encode(self.names.first().map_or("", |(_, value)| value.as_str()), &mut target);
        target
    }

    /// Finds the operation.
    pub(crate) fn find(method: &Method, path: &str) -> Result<Sought, Unread> {
        match find(method.as_str(), &Path::parse(path)?) {
            Found::Operation(operation, names) => Ok((operation, names)),
            Found::OtherMethods(methods) => Err(Unread::OtherMethods(methods)),
            Found::Nothing => Err(Refusal::not_found("Resource not found").into()),
        }
    }

    /// Reads the rest. `new_id` makes ids.
    pub(crate) fn read(
        (operation, names): Sought,
        draft: Draft<'_>,
        person: Person,
        new_id: fn() -> String,
    ) -> Result<Self, Refusal> {
        let body_kind = BodyKind::of(draft.content_type);
        let mut params = Params::parse(draft.query, body_kind, &draft.body)?;
        params.take("api_key");
        let in_query = params.take("asteriskId");
        let id = match operation.does {
            Does::Creates(_) | Does::OwnedMakes(..) => new_id(),
            _ => String::new(),
        };
        Ok(Self {
            method: draft.method,
            operation,
            names,
            params,
            node: draft.node.or(in_query),
            id,
            body_kind,
            body: draft.body,
            person,
        })
    }

    pub(crate) fn request(&self) -> Request<'_> {
        Request {
            operation: self.operation,
            names: &self.names,
            params: &self.params,
            node: self.node.as_deref(),
            id: &self.id,
        }
    }
}
