// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A client that was written for one Asterisk, unmodified: its script comes to the same before one
//! Asterisk and before the gateway, though there each thing that it makes is on another node.

use std::collections::BTreeMap;
use std::thread;

use rig::{AmqpConf, Broker, Builder, Consul, Version, client, eventually, seconds};
use serde_json::Value;

use crate::fleet::{AMQP, APPS, load, node};
use crate::gateway_fleet::{Post, Site, scenarios};
use crate::member::quick;
use crate::pair;

scenarios!(a_client_of_one_asterisk_sees_no_difference);

/// What the script calls: its other side comes to the application by the dialplan.
fn with_script(node: Builder) -> Builder {
    node.extension("script", &["Stasis(script,in)", "Hangup()"])
}

/// What the gateway needs for bridges over several nodes.
fn spanning(consul: &Consul, amqp: &str) -> Post {
    let node = node(Version::V22, amqp, &quick(consul.port())).trunk("a-secret-of-the-trunk");
    let post = Post::of(consul, with_script(node));
    load(&post.asterisk, AMQP);
    load(&post.asterisk, APPS);
    post
}

fn a_client_of_one_asterisk_sees_no_difference() {
    let tenant = Broker::shared().tenant();
    let amqp = AmqpConf::new(&tenant.url()).text();
    let url = format!("url = \"{}\"", tenant.url());
    // In turn: two calls and their bridge are on three nodes. A machine that others work on takes
    // its time for a call between them.
    let more = [
        ("amqp", url.as_str()),
        ("nodes", "placement = \"round_robin\""),
        ("bridges", "trunk_timeout = \"30s\""),
    ];
    let (plain, site) = thread::scope(|scope| {
        let plain = scope.spawn(|| {
            let asterisk = with_script(pair::node(Version::V22, "")).start();
            client::script(&asterisk.ari()).unwrap_or_else(|error| panic!("Asterisk: {error}"))
        });
        let site = Site::of(&[Version::V22; 3], &more, &|_, consul| spanning(consul, &amqp));
        (plain.join().expect("a transcript of Asterisk"), site)
    });
    eventually("the broker", seconds(30), || match site.gateway.metric("gateway_amqp_up") {
        1.0 => Ok(()),
        state => Err(state),
    });
    let fleet = client::script(&site.ari()).unwrap_or_else(|error| panic!("gateway: {error}"));
    assert_same(&plain, &fleet);
    for post in &site.posts {
        let has_part = post.requests().iter().any(|line| line.contains("/addChannel?"));
        assert!(has_part, "the bridge was not on node {}", post.eid());
    }
    site.gateway.assert_alive();
}

/// Says each step, and each event's subject, that is not the same.
#[track_caller]
fn assert_same(plain: &Value, fleet: &Value) {
    let mut differences = Vec::new();
    let steps = |of: &Value| of["steps"].as_array().cloned().expect("steps");
    for (one, other) in steps(plain).iter().zip(&steps(fleet)) {
        if one != other {
            differences.push(format!("Asterisk: {one}\ngateway:  {other}"));
        }
    }
    assert_eq!(steps(plain).len(), steps(fleet).len());
    let events = |of: &Value| -> BTreeMap<String, Value> {
        serde_json::from_value(of["events"].clone()).expect("events")
    };
    let (ours, theirs) = (events(plain), events(fleet));
    for name in ours.keys().chain(theirs.keys()) {
        if ours.get(name) != theirs.get(name) {
            let of = |events: &BTreeMap<String, Value>| events.get(name).cloned();
            differences.push(format!(
                "{name}:\nAsterisk: {:?}\ngateway:  {:?}",
                of(&ours),
                of(&theirs)
            ));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}
