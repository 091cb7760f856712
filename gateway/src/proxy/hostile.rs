// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Whatever a client sends, a node gets one of the catalogue's paths, every part encoded, or nothing:
//! from requests made at random, of what is special and what is not.

use bytes::Bytes;
use hyper::{Method, Uri};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::{Draft, Task};
use crate::access::{Person, anybody};
use crate::ari::{Found, Path, find};

const ROUNDS: u64 = 20_000;

const PIECES: [&str; 40] = [
    "a", "1732.5", ";2", "é", "%C3%A9", "%2F", "%2f..%2f", "..", ".", "%2e%2e", "%252e", "/", "//",
    "\\", "%5C", "%00", "%0d%0a", "\r\n", "\0", "\u{7f}", "%7F", "%ff", "%", "%2", "%zz", "?", "#",
    "&", "=", "+", "%20", " ", "\"", "<", "{", "@", ":", "\u{202e}", "%c2%85", "\u{ff0f}",
];

/// What is in names of real things.
const TAME: [&str; 9] = ["a", "1732.5", ";2", "é", "%C3%A9", "%2F", "%20", "@", ":"];

/// Of each length, with and without parameters; not all are paths of ARI.
const TEMPLATES: [&str; 16] = [
    "channels",
    "channels/*",
    "channels/*/play",
    "channels/*/play/*",
    "channels/*/snoop",
    "channels/*/variable",
    "bridges/*",
    "bridges/*/addChannel",
    "recordings/stored/*/file",
    "recordings/live/*",
    "applications/*/subscription",
    "asterisk/config/dynamic/*/*/*",
    "endpoints/*/*",
    "events/user/*",
    "deviceStates/*",
    "*/*/*",
];

const NAMES: [&str; 14] = [
    "channelId",
    "bridgeId",
    "name",
    "app",
    "appArgs",
    "endpoint",
    "media",
    "channel",
    "eventSource",
    "asteriskId",
    "api_key",
    "value",
    "variable",
    "originator",
];

const METHODS: [Method; 5] =
    [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS];

/// One request.
#[derive(Debug)]
struct Sent {
    method: Method,
    path: String,
    query: String,
    content_type: Option<&'static str>,
    body: String,
}

fn word(random: &mut StdRng) -> String {
    let pieces: &[&str] = if random.random_ratio(5, 6) { &TAME } else { &PIECES };
    let count = random.random_range(0..4);
    (0..count).filter_map(|_| pieces.choose(random).copied()).collect()
}

fn pairs(random: &mut StdRng) -> String {
    let count = random.random_range(0..4);
    let pairs = (0..count).map(|_| {
        let name = NAMES.choose(random).map(|name| (*name).to_owned());
        let name = if random.random_ratio(1, 8) { word(random) } else { name.unwrap_or_default() };
        format!("{name}={}", word(random))
    });
    pairs.collect::<Vec<_>>().join("&")
}

fn sent(random: &mut StdRng) -> Sent {
    let template = TEMPLATES.choose(random).copied().unwrap_or_default();
    let parts =
        template.split('/').map(|part| if part == "*" { word(random) } else { part.to_owned() });
    let path = format!("/{}", parts.collect::<Vec<_>>().join("/"));
    let (content_type, body) = match random.random_range(0..5) {
        0 => (Some("application/json"), format!("{{\"{}\": \"x\"}}", word(random))),
        1 => (Some("application/json"), word(random)),
        2 => (Some("application/x-www-form-urlencoded"), pairs(random)),
        _ => (None, String::new()),
    };
    Sent {
        method: METHODS.choose(random).cloned().unwrap_or_default(),
        path: if random.random_ratio(1, 40) { path } else { format!("/ari{path}") },
        query: pairs(random),
        content_type,
        body,
    }
}

/// What a node would be asked, if anything.
fn target(sent: &Sent, person: &Person) -> Option<(String, Task)> {
    let sought = Task::find(&sent.method, &sent.path).ok()?;
    let draft = Draft {
        method: sent.method.clone(),
        query: &sent.query,
        content_type: sent.content_type,
        body: Bytes::from(sent.body.clone()),
        node: None,
    };
    let task = Task::read(sought, draft, person.clone(), || "ours".to_owned()).ok()?;
    Some((task.target() + &task.params.query(Some(("channelId", &task.id)), None), task))
}

/// Why it must not reach a node.
fn fault(target: &str, task: &Task) -> Option<&'static str> {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\\\"<>{}#|^`".contains(&byte);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if !target.bytes().all(is_plain) {
        return Some("a byte that is not encoded");
    }
    if query.contains('?') || query.contains('/') {
        return Some("a query that is not encoded");
    }
    if query.contains("api_key=") || query.contains("asteriskId=") {
        return Some("what is for the gateway");
    }
    if target.parse::<Uri>().is_err() {
        return Some("no address");
    }
    let Ok(read) = Path::parse(path) else { return Some("a path that we would refuse") };
    let wanted = Found::Operation(task.operation, task.names.clone());
    if find(task.method.as_str(), &read) != wanted {
        return Some("another operation");
    }
    let parts: Vec<&str> = task.operation.path.split('/').collect();
    let written: Vec<&str> = path.split('/').skip(2).collect();
    let fits = |(wanted, written): (&&str, &&str)| wanted.starts_with('{') || wanted == written;
    let is_template = parts.len() == written.len() && parts.iter().zip(&written).all(fits);
    (!is_template).then_some("no path of the catalogue")
}

#[test]
fn what_a_node_gets_is_of_the_catalogue() {
    let person = anybody();
    let mut taken = 0;
    for seed in 0..ROUNDS {
        let sent = sent(&mut StdRng::seed_from_u64(seed));
        let Some((target, task)) = target(&sent, &person) else { continue };
        taken += 1;
        let fault = fault(&target, &task);
        assert_eq!(fault, None, "seed {seed}: {sent:?} became {target}");
    }
    // Enough are no nonsense.
    assert!(taken > ROUNDS / 10, "{taken}");
}

#[test]
fn a_target_that_is_wrong_is_found() {
    let sent = Sent {
        method: Method::GET,
        path: "/ari/channels/x".to_owned(),
        query: String::new(),
        content_type: None,
        body: String::new(),
    };
    let (_, task) = target(&sent, &anybody()).unwrap();
    assert_eq!(fault("/ari/channels/x", &task), None);
    for wrong in [
        "/ari/channels/x y",
        "/ari/channels/../x",
        "/ari/channels/%2e%2e",
        "/ari/channels/x/y",
        "/ari/channels/y",
        "/ari/channels/x?a=b/c",
        "/ari/channels/x?api_key=a",
        "/ari/channels/x\r\nHost: y",
        "//channels/x",
    ] {
        assert!(fault(wrong, &task).is_some(), "{wrong}");
    }
}
