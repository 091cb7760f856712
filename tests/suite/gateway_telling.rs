// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The gateway that tells the end of a node is killed at it, and the other one tells what is left.

use std::collections::{BTreeMap, BTreeSet};

use rig::{AriEvents, Consumer, Network, Towards, eventually, seconds};

use crate::gateway_fleet::{scenarios, text};
use crate::gateway_stage::{Stage, about, nothing_told_again, stay, synthetic};

scenarios!([alone: what_a_killed_gateway_has_not_told_the_other_tells]);

const CALLS: usize = 50;
/// Each call has two channels, and is in the application with one: three ends.
const ENDS: usize = 3 * CALLS;
/// Bytes a second: all of it takes some twenty seconds, and one of them a tenth.
const SLOW: u32 = 10_000;

fn what_a_killed_gateway_has_not_told_the_other_tells() {
    // Whoever tells waits for the broker's word, however slow the network is.
    let stage = Stage::with(2, &[("amqp", "timeout = \"60s\"")]);
    let sockets: Vec<AriEvents> =
        stage.gateways.iter().map(|gateway| gateway.ari().events("Calls")).collect();
    let bus = Consumer::topic(&stage.tenant.url(), "asterisk", &["stasis.app.calls"]);
    let (dying, living) = (&stage.nodes[0], &stage.nodes[1]);
    for _ in 0..CALLS {
        stay(&stage.gateways[0], dying.entity_id());
    }
    for events in &sockets {
        (0..CALLS).for_each(|_| drop(events.next_of("StasisStart", seconds(60))));
    }
    for gateway in &stage.gateways {
        stage.wait_metric(gateway, "gateway_held", 2.0 * CALLS as f64);
    }

    // Nothing goes to RabbitMQ until both know of the death: what one tells, the other then counts.
    stage.gates.iter().for_each(|gate| gate.be(Network::good().cut(Towards::Server)));
    let passed = stage.gates.each_ref().map(crate::gate::Gate::passed);
    dying.kill();
    for gateway in &stage.gateways {
        gateway.wait_log_after(0, "is dead:");
    }
    stage.gates.iter().for_each(|gate| gate.be(Network::good().throttle(SLOW)));
    let mut messages = Vec::new();
    eventually("the first ends", seconds(60), || {
        messages.extend(bus.drain());
        let count = synthetic(&messages).len();
        if count >= 10 { Ok(()) } else { Err(count) }
    });
    // The other one has only acknowledged.
    let sent = [0, 1].map(|place| stage.gates[place].passed() - passed[place]);
    let (teller, heir) = if sent[0] > sent[1] { (0, 1) } else { (1, 0) };
    stage.gateways[teller].process().kill();
    stage.gates[teller].shut();
    stage.gates[heir].open();
    assert_eq!(stage.consul.kv_keys("gateway/lock/end/").len(), 1, "it had the lock");

    // Consul ends the dead one's session, and with it its lock, after ten to twenty seconds.
    let ends = ends_told(&sockets[heir]);
    assert_eq!(ends.len(), ENDS);
    assert!(ends.values().all(|times| *times == 1), "{ends:?}");
    nothing_told_again(&sockets[heir], &stay(&stage.gateways[heir], living.entity_id()));
    stage.wait_metric(&stage.gateways[heir], "gateway_held", 2.0);
    // On the bus, too: what the dead one had told was not told again.
    messages.extend(bus.drain_until("the marker", seconds(20), |message| {
        message.name() == "StasisStart" && message.headers["asterisk_id"] == living.entity_id()
    }));
    let ids = synthetic(&messages);
    let different: BTreeSet<&&str> = ids.iter().collect();
    assert_eq!((ids.len(), different.len()), (ENDS, ENDS));
    let told = stage.gateways[heir].metric("gateway_events_total{kind=\"synthetic\"}");
    assert!(told > 0.0 && told < ENDS as f64, "the dead one told some: {told} of {ENDS} are ours");
    assert!(stage.consul.kv_keys("gateway/lock/end/").is_empty());
    stage.gateways[heir].assert_alive();
    living.assert_alive();
}

/// How often each end came, by its type and what it is of.
#[track_caller]
fn ends_told(events: &AriEvents) -> BTreeMap<(String, String), usize> {
    let mut ends = BTreeMap::new();
    while ends.values().sum::<usize>() < ENDS {
        let event = events.next(seconds(60));
        if event["synthetic"] == true {
            *ends.entry((text(&event["type"]), about(&event))).or_default() += 1;
        }
    }
    ends
}
