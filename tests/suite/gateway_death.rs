// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A node dies, and each application is told so once.

use std::collections::BTreeMap;
use std::time::Instant;

use rig::{AriEvents, Consumer, eventually, seconds};
use serde_json::Value;

use crate::fleet::load_all;
use crate::gateway_fleet::{scenarios, text};
use crate::gateway_stage::{Stage, about, nothing_told_again, stay, synthetic};

scenarios!([alone: the_end_of_a_node_is_told_once]);

const CALLS: usize = 50;

/// How often each end was told, by its type and what it is of.
type Ends = BTreeMap<(String, String), usize>;

/// Gathers ends until there are so many.
#[track_caller]
fn gather(events: &AriEvents, ends: &mut Ends, count: usize) {
    let limit = Instant::now() + seconds(30);
    while ends.values().sum::<usize>() < count {
        let left = limit.saturating_duration_since(Instant::now());
        let event = events.next(left);
        let kind = text(&event["type"]);
        if ["StasisEnd", "ChannelDestroyed", "BridgeDestroyed"].contains(&kind.as_str()) {
            assert_eq!(event["synthetic"], true, "{event}");
            *ends.entry((kind, about(&event))).or_default() += 1;
        }
    }
}

fn the_end_of_a_node_is_told_once() {
    let stage = Stage::start(2, "");
    let sockets: Vec<AriEvents> =
        stage.gateways.iter().map(|gateway| gateway.ari().events("Calls")).collect();
    let bus = Consumer::topic(&stage.tenant.url(), "asterisk", &["stasis.app.calls"]);
    let (dying, living) = (&stage.nodes[0], &stage.nodes[1]);
    let ari = stage.gateways[0].ari();
    let call = |node: &str| stay(&stage.gateways[0], node);
    let calls: Vec<String> = (0..CALLS).map(|_| call(dying.entity_id())).collect();
    let staying = call(living.entity_id());
    let bridge = text(&ari.post(&format!("/bridges?asteriskId={}", dying.entity_id())).ok()["id"]);
    for id in &calls[..2] {
        ari.post(&format!("/bridges/{bridge}/addChannel?channel={id}")).ok();
    }
    for events in &sockets {
        // Two nodes' events have no order between them.
        let (mut started, mut entered) = (0, 0);
        while (started, entered) != (CALLS + 1, 2) {
            match events.next(seconds(20))["type"].as_str() {
                Some("StasisStart") => started += 1,
                Some("ChannelEnteredBridge") => entered += 1,
                _ => {}
            }
        }
    }
    let since = Instant::now();
    dying.kill();
    let mut wanted = Ends::new();
    wanted.insert(("BridgeDestroyed".to_owned(), bridge), 1);
    for id in &calls {
        // An application that originates a Local channel is told of its other half too.
        let other = format!("{id};2");
        for (kind, id) in
            [("StasisEnd", id), ("ChannelDestroyed", id), ("ChannelDestroyed", &other)]
        {
            wanted.insert((kind.to_owned(), id.clone()), 1);
        }
    }
    let count = wanted.len();
    let mut told = vec![Ends::new(); sockets.len()];
    for (events, ends) in sockets.iter().zip(&mut told) {
        gather(events, ends, count);
    }
    let took = since.elapsed();
    eprintln!("the end of {CALLS} calls was told after {took:?}");
    // The check's three seconds and two more, and as much again for a machine with much to do.
    assert!(took < seconds(10), "{took:?}");
    // Then one more call: what was told twice would have come before it.
    let marker = call(living.entity_id());
    for (events, ends) in sockets.iter().zip(&mut told) {
        nothing_told_again(events, &marker);
        assert_eq!(*ends, wanted);
    }
    // On the bus as well; what comes twice would have the same id.
    let messages = bus.drain_until("the marker", seconds(20), |message| {
        message.name() == "StasisStart" && about(&message.json()["data"]) == marker
    });
    let ids = synthetic(&messages);
    assert_eq!(ids.len(), count, "{ids:?}");
    let gone = ari.get(&format!("/channels/{}", calls[0]));
    assert_eq!(gone.status, 404, "{gone:?}");
    ari.get(&format!("/channels/{staying}")).ok();
    comes_back(&stage, &sockets, &call);
    stage.gateways.iter().for_each(rig::Gateway::assert_alive);
}

/// It is a node like any other again, and killed at work it is told of again.
#[track_caller]
fn comes_back(stage: &Stage, sockets: &[AriEvents], call: &dyn Fn(&str) -> String) {
    let node = &stage.nodes[0];
    node.start_again();
    load_all(node);
    for gateway in &stage.gateways {
        stage.wait_metric(gateway, "gateway_nodes{kind=\"passing\"}", 2.0);
    }
    eventually("the application on the node that came back", seconds(20), || {
        let told = node.ari().get("/applications/Calls");
        if told.status == 200 { Ok(()) } else { Err(told.status) }
    });
    let id = call(node.entity_id());
    for events in sockets {
        let event: Value = events.next_of("StasisStart", seconds(20));
        assert_eq!(
            (about(&event), text(&event["asterisk_id"])),
            (id.clone(), node.entity_id().to_owned())
        );
    }
    // Now it is there again before anybody missed it.
    node.kill();
    node.start_again();
    load_all(node);
    for events in sockets {
        let mut ends = Ends::new();
        gather(events, &mut ends, 3);
        assert!(ends.values().all(|times| *times == 1), "{ends:?}");
        assert!(ends.keys().all(|(_, ended)| ended.trim_end_matches(";2") == id), "{ends:?}");
    }
}
