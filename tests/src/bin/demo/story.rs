// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! `make demo`: people on two nodes talk, one node is drained, one dies. Each line is something that
//! was waited for, and came.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rig::{Asterisk, Consumer, eventually, seconds};
use serde_json::Value;

use crate::cast::{Caller, PATIENCE, all_hear_each_other};
use crate::places::Places;
use crate::print::{act, say, step};
use crate::stage::{APP, EXCHANGE, Stage, broker, ground, letter, provide_roots, since};

/// How often Bob tries to come to another node than Alice. Kamailio deals a hundred calls out by
/// weight, in an order of its own: that half of them come to the same node in a row is no fault.
const TRIES: usize = 20;

pub(crate) fn run() -> bool {
    let begun = Instant::now();
    provide_roots();
    act("The servers");
    let places = Places::any();
    let broker = broker(&places);
    let ground = ground(&broker, &places);
    // From the first on.
    let events = Consumer::topic(&ground.tenant.url(), EXCHANGE, &["#"]);
    let stage = Stage::set(ground, &places, 2);

    act("Two people on two nodes, in one conference");
    let (alice, bob) = two_on_two_nodes(&stage);
    one_bridge(&stage, &alice, &bob);
    all_hear_each_other(&[&alice, &bob]);

    act(&format!("Node {} is drained, say for an upgrade", letter(alice.node)));
    let [carol, dave] = drained(&stage, &alice, &bob);
    all_hear_each_other(&[&alice, &bob, &carol, &dave]);
    undrained(&stage, alice.node);

    act(&format!(
        "Node {} is killed, with Alice's call and the home of the bridge",
        letter(alice.node)
    ));
    let erin = killed(&stage, &alice, &[&bob, &carol, &dave]);
    all_hear_each_other(&[&bob, &carol, &dave, &erin]);
    noticed(&stage, alice.node, bob.node);

    act("The end");
    ended(&stage, &[bob, carol, dave, erin]);
    told(&events);
    all_stop(stage);
    step("RabbitMQ", || {
        broker.stop();
        ("has ended".to_owned(), ())
    });
    say(&format!("{} in all. `make up` leaves such a system running, to call it.", since(begun)));
    true
}

fn two_on_two_nodes(stage: &Stage<'_>) -> (Caller, Caller) {
    let alice = Caller::dial(stage, "Alice", 440);
    for _ in 0..TRIES {
        let bob = Caller::dial(stage, "Bob", 620);
        if bob.node != alice.node {
            return (alice, bob);
        }
        step("Kamailio goes by weight, not in turn: Bob hangs up, to try again", || {
            bob.hang_up();
            ("his call has ended".to_owned(), ())
        });
    }
    panic!("{TRIES} calls came to node {}, and none to another", letter(alice.node));
}

/// The ids of a list's members.
fn channels(of: &Value) -> BTreeSet<String> {
    of.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// What one ARI address says of it, and what the two nodes do.
fn one_bridge(stage: &Stage<'_>, alice: &Caller, bob: &Caller) {
    let [home, other] = [alice, bob].map(|caller| &stage.nodes[caller.node]);
    step("The gateway, GET /ari/bridges/conf", || {
        let seen = eventually("both calls in one bridge", PATIENCE, || {
            let seen = stage.gateway.ari().get("/bridges/conf").body;
            if channels(&seen["channels"]).len() == 2 { Ok(seen) } else { Err(seen) }
        });
        assert_eq!(seen["asterisk_id"], home.entity_id(), "the home of the bridge: {seen}");
        let told = format!("one bridge with both calls, its home node {}", letter(alice.node));
        (told, ())
    });
    step("The trunk between the nodes", || {
        eventually("one trunk channel on each node", PATIENCE, || {
            match [home, other].map(trunks) {
                [1, 1] => Ok(()),
                seen => Err(format!("{seen:?}")),
            }
        });
        let listed = stage.gateway.ari().get("/channels").ok();
        let count = listed.as_array().map_or(0, Vec::len);
        assert_eq!(count, 2, "the gateway shows what is no caller's: {listed}");
        ("one channel on each; the gateway shows an app the two callers only".to_owned(), ())
    });
}

/// How many trunk channels a node has, as it says itself.
fn trunks(node: &Asterisk) -> usize {
    let listed = node.ari().get("/channels").ok();
    let is_trunk = |one: &&Value| {
        one["name"].as_str().is_some_and(|name| name.starts_with("PJSIP/gateway-trunk-"))
    };
    listed.as_array().into_iter().flatten().filter(is_trunk).count()
}

/// No new call comes to Alice's node, and hers goes on: who calls now is on Bob's.
///
/// Two do, so that three are left there when Alice's node is dead: with two, that node would not mix any
/// more, and mix again for the next, which Debian's Asterisk does not always do well (docs/gateway.md).
fn drained(stage: &Stage<'_>, alice: &Caller, bob: &Caller) -> [Caller; 2] {
    let (node, other) = (&stage.nodes[alice.node], &stage.nodes[bob.node]);
    let since_drain = Instant::now();
    step("asterisk -rx 'discovery drain'", || {
        node.cli("discovery drain");
        stage.ground.wait_node(node, "maintenance");
        let reason = stage.ground.consul.maintenance_of(node.entity_id()).unwrap_or_default();
        (format!("Consul: maintenance, \"{reason}\""), ())
    });
    step("Kamailio's destinations", || {
        stage.kamailio.wait_destinations(&[other], PATIENCE);
        let after = since(since_drain);
        (format!("only node {}, {after} after the drain", letter(bob.node)), ())
    });
    [("Carol", 830), ("Dave", 1010)].map(|(name, tone)| {
        let caller = Caller::dial(stage, name, tone);
        assert_eq!(caller.node, bob.node, "a drained node has got a call");
        caller
    })
}

fn undrained(stage: &Stage<'_>, place: usize) {
    let node = &stage.nodes[place];
    step("asterisk -rx 'discovery undrain'", || {
        node.cli("discovery undrain");
        stage.ground.wait_node(node, "passing");
        stage.kamailio.wait_destinations(&stage.nodes.iter().collect::<Vec<_>>(), PATIENCE);
        (format!("passing, and node {} gets calls again", letter(place)), ())
    });
}

/// SIGKILL, and somebody calls before anybody can know.
fn killed(stage: &Stage<'_>, alice: &Caller, left: &[&Caller]) -> Caller {
    step("kill -9", || {
        let node = &stage.nodes[alice.node];
        node.kill();
        let status = node.process().ended().expect("it was killed and waited for");
        (format!("node {}: {status}", letter(alice.node)), ())
    });
    let erin = Caller::dial(stage, "Erin", 1270);
    assert_eq!(erin.node, left[0].node, "nobody else can answer");
    step("Alice", || {
        alice.phone.wait_silence(seconds(1), PATIENCE);
        ("hears nothing any more: her call was that process".to_owned(), ())
    });
    step("Bob, Carol and Dave", || {
        for caller in left {
            assert!(caller.phone.is_up(), "{}'s call has ended", caller.name);
        }
        ("have not been hung up".to_owned(), ())
    });
    erin
}

/// Everybody knows in the end: Consul, Kamailio, gateway, app.
fn noticed(stage: &Stage<'_>, dead: usize, living: usize) {
    let (node, other) = (&stage.nodes[dead], &stage.nodes[living]);
    step("Consul and Kamailio", || {
        stage.ground.wait_node(node, "critical");
        stage.kamailio.wait_destinations(&[other], PATIENCE);
        (format!("node {} is critical, calls go to node {} only", letter(dead), letter(living)), ())
    });
    step("The bridge", || {
        eventually("the bridge on the living node", PATIENCE, || {
            let seen = stage.gateway.ari().get("/bridges/conf").body;
            let is_so = seen["asterisk_id"] == other.entity_id()
                && channels(&seen["channels"]).len() == 4
                && trunks(other) == 0;
            if is_so { Ok(()) } else { Err(seen) }
        });
        (format!("has node {} as its home, four calls and no trunk", letter(living)), ())
    });
    step("The app", || {
        stage.app.wait_health("to have four calls", |told| told["calls"] == 4);
        ("was told of the end of Alice's call: it has four".to_owned(), ())
    });
}

fn ended(stage: &Stage<'_>, callers: &[Caller]) {
    step("All hang up", || {
        callers.iter().for_each(Caller::hang_up);
        stage.app.wait_health("to have no calls", |told| told["calls"] == 0);
        ("each BYE was answered by its node; the app has no calls".to_owned(), ())
    });
}

/// What the broker was given to carry meanwhile.
fn told(events: &Consumer) {
    step("RabbitMQ has carried", || {
        let mut numbers: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
        let (mut all, mut of_app) = (0, 0);
        while let Some(message) = events.receive(Duration::from_millis(500)) {
            all += 1;
            of_app += u32::from(message.routing_key == format!("stasis.app.{APP}"));
            let node = message.headers.get("asterisk_id").and_then(Value::as_str);
            let of_node = numbers.entry(node.unwrap_or_default().to_owned()).or_default();
            of_node.extend(message.sequence());
        }
        assert_eq!(numbers.len(), 2, "events of two nodes: {:?}", numbers.keys());
        assert!(of_app > 0, "no events of the app");
        for (node, numbers) in &numbers {
            let span = numbers.last().zip(numbers.first()).map(|(last, first)| last - first + 1);
            assert_eq!(span, Some(numbers.len() as u64), "gaps in the numbers of {node}");
        }
        (format!("{all} events, {of_app} of them of the app; no gap in either node's numbers"), ())
    });
}

/// Each in order, and with a good status.
fn all_stop(stage: Stage<'_>) {
    step("App, gateway, dispatcher, Asterisk: stopping", || {
        let Stage { app, gateway, dispatcher, kamailio, nodes, ground } = stage;
        let ended = app.terminate();
        assert!(ended.success(), "the app: {ended}\n{}", app.log());
        assert!(!app.log().contains("Traceback"), "{}", app.log());
        let ended = gateway.terminate();
        assert!(ended.success(), "the gateway: {ended}");
        dispatcher.stop();
        kamailio.assert_alive();
        for node in nodes.iter().filter(|node| node.process().ended().is_none()) {
            let ended = node.stop_gracefully();
            assert!(ended.success(), "Asterisk: {ended}");
            let left = ground.consul.service(node.entity_id());
            assert_eq!(left, None, "a node that has stopped is in Consul");
        }
        ("all in order; the node has left Consul".to_owned(), ())
    });
}
