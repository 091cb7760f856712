// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Thousands of mixed requests: each reaches the node that owns what it is about, and none twice,
//! by what came to the nodes and by what they say themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;

use rig::{eventually, seconds};
use serde_json::Value;

use crate::gateway_fleet::{Site, scenarios, text};

scenarios!(a_new_gateway_knows_what_is_there, [alone: none_is_misrouted_and_none_repeated]);

const CALLS: usize = 30;
const CLIENTS: usize = 4;
const ROUNDS: usize = 500;
/// Requests of a round.
const ROUND: usize = 5;

fn none_is_misrouted_and_none_repeated() {
    let site =
        Site::three(&[("log", "level = \"info\""), ("nodes", "placement = \"least_loaded\"")]);
    let events = site.app("many");
    let calls: Vec<(String, Value)> = (0..CALLS).map(|_| site.call("many")).collect();
    let before: Vec<usize> = site.posts.iter().map(|post| post.requests().len()).collect();
    let questions = site.gateway.metric("gateway_questions_total");
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (site, calls) = (&site, &calls);
            scope.spawn(move || rounds(site, calls, client));
        }
    });

    let owners: BTreeMap<&str, &str> =
        calls.iter().map(|(id, eid)| (id.as_str(), eid.as_str().expect("an id"))).collect();
    let (mut seen, mut total) = (BTreeMap::new(), 0);
    for (post, before) in site.posts.iter().zip(before) {
        for line in post.requests().split_off(before) {
            total += 1;
            let id = line.split(['/', '?']).nth(2).unwrap_or_default();
            if let Some(owner) = owners.get(id) {
                assert_eq!(*owner, post.eid(), "misrouted: {line}");
            }
            *seen.entry(line).or_insert(0) += 1;
        }
    }
    // What is sent once must come once: each of these has a number of its own.
    let numbered = seen.iter().filter(|(line, _)| line.contains("number-"));
    let numbered: Vec<(&String, &i32)> = numbered.collect();
    assert_eq!(numbered.len(), CLIENTS * ROUNDS * 2);
    assert!(numbered.iter().all(|(_, count)| **count == 1), "repeated");
    assert!(total >= CLIENTS * ROUNDS * ROUND, "{total}");
    assert_eq!(site.gateway.metric("gateway_questions_total"), questions, "nobody had to be asked");

    // Each call was made once: there is one StasisStart for each, on its own node.
    for (post, events) in site.posts.iter().zip(&events) {
        let begun: Vec<String> = events
            .drain()
            .iter()
            .filter(|event| event["type"] == "StasisStart")
            .map(|event| text(&event["channel"]["id"]))
            .collect();
        let own: BTreeSet<&str> =
            owners.iter().filter(|(_, eid)| **eid == post.eid()).map(|(id, _)| *id).collect();
        assert_eq!(begun.len(), own.len(), "{begun:?}");
        assert!(begun.iter().all(|id| own.contains(id.as_str())));
        // The least loaded is chosen each time.
        assert_eq!(own.len(), CALLS / 3);
    }
    for post in &site.posts {
        assert_eq!(post.asterisk.ari().get("/bridges").ok(), serde_json::json!([]));
    }
    for (id, _) in &calls {
        site.ari().delete(&format!("/channels/{id}")).ok();
    }
    site.gateway.assert_alive();
}

/// One client: sets, reads, and looks; and makes and ends a bridge, wherever it comes to.
fn rounds(site: &Site, calls: &[(String, Value)], client: usize) {
    let ari = site.ari();
    for round in 0..ROUNDS {
        let (id, eid) = &calls[(round * 7 + client * 11) % calls.len()];
        let number = format!("number-{client}-{round}");
        let name = format!("V{client}");
        ari.post(&format!("/channels/{id}/variable?variable={name}&value={number}")).ok();
        let told = ari.get(&format!("/channels/{id}/variable?variable={name}")).ok();
        assert_eq!(told["value"], number.as_str());
        let told = ari.get(&format!("/channels/{id}")).ok();
        assert_eq!(&told["asterisk_id"], eid);
        let bridge = ari.post(&format!("/bridges?name={number}")).ok();
        let path = format!("/bridges/{}", text(&bridge["id"]));
        assert_eq!(ari.delete(&path).status, 204, "{bridge}");
    }
}

fn a_new_gateway_knows_what_is_there() {
    let site = Site::three(&[]);
    let _app = site.app("before");
    let calls: Vec<(String, Value)> = (0..6).map(|_| site.call("before")).collect();
    let bridge = site.ari().post("/bridges").ok();
    let other = rig::Gateway::start(site.consul.port(), &[]);
    eventually("the other gateway to have read the fleet", seconds(20), || {
        let known = other.metric("gateway_index{kind=\"channel\"}");
        if known >= 6.0 { Ok(()) } else { Err(known) }
    });
    for (id, eid) in &calls {
        let told = other.ari().get(&format!("/channels/{id}")).ok();
        assert_eq!(&told["asterisk_id"], eid);
    }
    let told = other.ari().get(&format!("/bridges/{}", text(&bridge["id"]))).ok();
    assert_eq!(told["asterisk_id"], bridge["asterisk_id"]);
    assert_eq!(other.metric("gateway_questions_total"), 0.0);
    other.assert_alive();
}
