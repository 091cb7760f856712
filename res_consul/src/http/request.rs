// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A request and its answer.

use std::fmt;
use std::time::Duration;

/// How a request is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Put,
    Post,
    Delete,
}

impl Method {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let known = [Self::Get, Self::Put, Self::Post, Self::Delete];
        known.into_iter().find(|method| method.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: Method,
    /// From `/v1/` on, with its query, percent-encoded.
    pub(crate) path: String,
    pub(crate) body: Option<Vec<u8>>,
    /// How long Consul may take to answer beyond what any request may.
    pub(crate) wait: Duration,
    /// The most bytes of an answer.
    pub(crate) limit: usize,
}

impl Request {
    /// How messages name it.
    pub(crate) fn named(&self) -> String {
        format!("{} {}", self.method, super::named(&self.path))
    }
}

/// An answer, of any status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// `X-Consul-Index` as it came.
    pub(crate) index: Option<String>,
    /// Consul says that the token may not see all there is, and there is nothing else.
    pub(crate) is_hidden: bool,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}
