// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The line that each request which may change something leaves in the log.

use std::fmt::Display;
use std::time::Duration;

use hyper::{Method, StatusCode};

use crate::config::Log;

/// A request that is over. Its path comes without the query, which may hold a person's words or a
/// key.
pub(crate) struct Audited<'a> {
    pub id: &'a str,
    pub user: Option<&'a str>,
    pub peer: &'a dyn Display,
    pub method: &'a Method,
    pub path: &'a str,
    pub status: StatusCode,
    pub node: Option<&'a str>,
    pub took: Duration,
}

/// Writes it, if it is wanted.
pub(crate) fn audit(settings: &Log, of: &Audited<'_>) {
    let is_changing = !matches!(*of.method, Method::GET | Method::HEAD | Method::OPTIONS);
    if !is_changing || !settings.audit {
        return;
    }
    tracing::info!(
        target: "audit",
        request = of.id,
        user = of.user.unwrap_or("-"),
        peer = %of.peer,
        method = %of.method,
        path = ?of.path,
        status = of.status.as_u16(),
        node = of.node.unwrap_or("-"),
        ms = u64::try_from(of.took.as_millis()).unwrap_or(u64::MAX),
    );
}
