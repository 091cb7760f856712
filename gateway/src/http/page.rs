// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The status page: three files that are part of the program, and what they show, as JSON.

use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use serde::Serialize;

use crate::fleet::ConsulState;
use crate::index::Kind;
use crate::proxy::{Gateway, Reply, text};

/// Nothing from elsewhere, and nothing in a frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[derive(Serialize)]
struct Status<'a> {
    /// Since this process began.
    uptime_ms: u128,
    consul: String,
    channels: usize,
    bridges: usize,
    playbacks: usize,
    recordings: usize,
    /// Answered since the beginning.
    requests: u64,
    /// Of the nodes since the beginning; none without RabbitMQ.
    events: Option<u64>,
    nodes: Vec<NodeStatus<'a>>,
    applications: Vec<AppStatus>,
}

#[derive(Serialize)]
struct NodeStatus<'a> {
    id: &'a str,
    address: String,
    version: &'a str,
    state: &'static str,
    weight: u32,
    channels: usize,
    bridges: usize,
    /// A node that has channels of the same ids: both want a `systemname`.
    clashes_with: Option<&'a str>,
}

#[derive(Serialize)]
struct AppStatus {
    name: String,
    channels: usize,
}

/// Whether a path is one of the page's.
pub(super) fn is_of_page(path: &str) -> bool {
    matches!(path, "/" | "/page.css" | "/page.js" | "/status.json")
}

/// What is at one of them.
pub(super) fn page(path: &str, gateway: &Gateway) -> Reply {
    let ok = StatusCode::OK;
    let mut reply = match path {
        "/page.css" => text(ok, "text/css", include_str!("page/page.css")),
        "/page.js" => text(ok, "text/javascript", include_str!("page/page.js")),
        "/status.json" => match status(gateway) {
            Ok(body) => text(ok, "application/json", body),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", error.to_string()),
        },
        _ => text(ok, "text/html; charset=utf-8", include_str!("page/index.html")),
    };
    let headers = reply.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

/// As JSON.
fn status(gateway: &Gateway) -> serde_json::Result<Vec<u8>> {
    let fleet = gateway.watch.fleet.borrow().clone();
    let index = &gateway.index;
    let nodes = fleet.nodes.iter().map(|node| {
        let clashing = index.clashes_with(node.slot).and_then(|other| fleet.by_slot(other));
        let scheme = if node.origin.is_https { "https" } else { "http" };
        NodeStatus {
            id: &node.eid,
            address: format!("{scheme}://{}:{}", node.origin.host, node.origin.port),
            version: &node.version,
            state: node.state.word(),
            weight: node.weight,
            channels: index.count_of(Kind::Channel, node.slot),
            bridges: index.count_of(Kind::Bridge, node.slot),
            clashes_with: clashing.map(|other| other.eid.as_str()),
        }
    });
    let apps = index.apps(Kind::Channel).into_iter().filter_map(|(app, channels)| {
        Some(AppStatus { name: index.app_name(app)?.to_string(), channels })
    });
    let mut applications: Vec<AppStatus> = apps.collect();
    applications.sort_by(|one, other| one.name.cmp(&other.name));
    let consul = match &*gateway.watch.consul.borrow() {
        ConsulState::Answers => "answers".to_owned(),
        ConsulState::Fails(reason) => reason.to_string(),
        _ => "has not answered yet".to_owned(),
    };
    serde_json::to_vec(&Status {
        uptime_ms: gateway.began.elapsed().as_millis(),
        consul,
        channels: index.count(Kind::Channel),
        bridges: index.count(Kind::Bridge),
        playbacks: index.count(Kind::Playback),
        recordings: index.count(Kind::LiveRecording),
        requests: gateway.metrics.answered(),
        events: gateway.exchange.as_ref().map(|_| gateway.metrics.taken()),
        nodes: nodes.collect(),
        applications,
    })
}
