// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Twenty-five Asterisk nodes that register themselves and are dispatched to at once.

use std::thread;
use std::time::Instant;

use rig::ground::Ground;
use rig::wait::poll;
use rig::{Asterisk, Broker, Call, Consul, Dispatcher, Kamailio, eventually, seconds};
use serde_json::{Value, json};

use crate::latency::Latency;
use crate::plan::Plan;
use crate::system::{NO_FLOOD, counted, started};
use crate::usage::Part;

const NODES: usize = 25;
const RATE: u32 = 20;

#[derive(Debug)]
pub(crate) struct Wide {
    /// From the first process to the last registration.
    pub(crate) registered_s: f64,
    /// From the last registration to Kamailio's own list.
    pub(crate) listed_ms: f64,
    pub(crate) memory_mib: f64,
    pub(crate) calls: u32,
    pub(crate) failed: u32,
    /// Calls that the node with the fewest and the one with the most got.
    pub(crate) least: u32,
    pub(crate) most: u32,
    pub(crate) setup: Option<Latency>,
    /// From the order to drain a node to Kamailio's list without it.
    pub(crate) drained_ms: f64,
    /// Of the calls after that: those that failed, and those that the drained node got.
    pub(crate) drained_failed: u32,
    pub(crate) strayed: u32,
}

pub(crate) fn run(plan: &Plan, broker: &Broker) -> Wide {
    let ground = Ground { consul: Consul::start(), tenant: broker.tenant() };
    let kamailio = Kamailio::new(NO_FLOOD);
    let address = format!("address = \"127.0.0.1:{}\"", ground.consul.port());
    let _dispatcher = Dispatcher::start(&address, &kamailio);
    eventually("a list", seconds(20), || {
        if kamailio.list().is_empty() { Err("none") } else { Ok(()) }
    });
    kamailio.start();

    let since = Instant::now();
    let (nodes, (registered, listed)) = thread::scope(|scope| {
        let watching = scope.spawn(|| watch(&ground, &kamailio));
        let nodes = started(&ground, NODES);
        (nodes, watching.join().unwrap_or_else(|_| panic!("25 nodes were not seen")))
    });
    let memory = Part::new("Asterisk", nodes.iter().map(|node| node.process().pid())).memory_mib();

    let call = Call::towards(kamailio.port(), "9000", seconds(10), 1, 1);
    let _ = call.outcome(seconds(30));
    let before: Vec<u32> = processed(&nodes);
    let call = calls(&kamailio, plan.wide);
    let shares: Vec<u32> =
        processed(&nodes).iter().zip(before).map(|(now, before)| now - before).collect();
    let times = call.answer_times();

    let (drained, drained_ms) = drain(&kamailio, &nodes);
    let before = counted(drained, "processed");
    let second = calls(&kamailio, plan.wide);
    nodes.iter().for_each(Asterisk::assert_alive);
    kamailio.assert_alive();
    Wide {
        registered_s: (registered - since).as_secs_f64(),
        listed_ms: (listed - registered).as_secs_f64() * 1000.0,
        memory_mib: memory / NODES as f64,
        calls: plan.wide,
        failed: plan.wide - answered(&call),
        least: shares.iter().copied().min().unwrap_or(0),
        most: shares.iter().copied().max().unwrap_or(0),
        setup: crate::times::latency(&times),
        drained_ms,
        drained_failed: plan.wide - answered(&second),
        strayed: counted(drained, "processed") - before,
    }
}

/// When Consul had all nodes, passing, and when Kamailio had.
fn watch(ground: &Ground<'_>, kamailio: &Kamailio) -> (Instant, Instant) {
    let until = |what: &str, is_there: &dyn Fn() -> usize| {
        eventually(what, seconds(240), || match is_there() {
            NODES => Ok(Instant::now()),
            count => Err(count),
        })
    };
    let passing = || {
        let path = "/v1/health/service/asterisk?passing";
        ground.consul.request("GET", path, None).ok().as_array().map_or(0, Vec::len)
    };
    let registered = until("25 nodes in Consul", &passing);
    (registered, until("25 nodes in Kamailio", &|| kamailio.destinations().len()))
}

/// Calls to all nodes, until all have ended.
fn calls(kamailio: &Kamailio, count: u32) -> Call {
    let call = Call::silent(kamailio.port(), "9000", seconds(10), (count, RATE), 9);
    // It says of each that failed; here they are counted.
    let _ = call.outcome(seconds(u64::from(count / RATE) + 60));
    call
}

/// One node is told to take no more: it, and milliseconds until Kamailio's list has it no more.
fn drain<'a>(kamailio: &Kamailio, nodes: &'a [Asterisk]) -> (&'a Asterisk, f64) {
    let drained = nodes.first().unwrap_or_else(|| panic!("no node"));
    let since = Instant::now();
    drained.cli("discovery set maintenance on");
    let port = drained.sip_port();
    let gone = poll(seconds(30), || {
        let is_there = kamailio.destinations().iter().any(|(listed, _)| *listed == port);
        if is_there { Err("it is listed") } else { Ok(()) }
    });
    gone.unwrap_or_else(|seen| panic!("the drained node: {seen}"));
    (drained, since.elapsed().as_secs_f64() * 1000.0)
}

fn answered(call: &Call) -> u32 {
    u32::try_from(call.answer_times().len()).unwrap_or(0)
}

fn processed(nodes: &[Asterisk]) -> Vec<u32> {
    nodes.iter().map(|node| counted(node, "processed")).collect()
}

impl Wide {
    pub(crate) fn json(&self) -> Value {
        json!({
            "nodes": NODES,
            "registered_s": self.registered_s,
            "listed_ms": self.listed_ms,
            "memory_mib_per_node": self.memory_mib,
            "calls": self.calls,
            "failed": self.failed,
            "least": self.least,
            "most": self.most,
            "setup_ms": self.setup.map(Latency::json),
            "drained_ms": self.drained_ms,
            "drained_failed": self.drained_failed,
            "strayed": self.strayed,
        })
    }

    /// What, and how much, as it is printed.
    pub(crate) fn rows(&self) -> Vec<(&'static str, String)> {
        let setup = |figure: fn(Latency) -> f64| {
            self.setup.map_or("-".to_owned(), |setup| format!("{:.0}", figure(setup)))
        };
        let due = self.calls / NODES as u32;
        vec![
            (
                "from the first start to the last registration, s",
                format!("{:.1}", self.registered_s),
            ),
            ("from there to Kamailio's list, ms", format!("{:.0}", self.listed_ms)),
            ("memory of a node at rest, MiB", format!("{:.0}", self.memory_mib)),
            ("calls, 20 a second; failed", format!("{}; {}", self.calls, self.failed)),
            ("share of a node: due; least; most", format!("{due}; {}; {}", self.least, self.most)),
            (
                "INVITE to 200 OK, p50; p99, ms",
                format!("{}; {}", setup(|s| s.p50), setup(|s| s.p99)),
            ),
            ("from a drain to Kamailio's list, ms", format!("{:.0}", self.drained_ms)),
            (
                "as many calls after that: failed; at the drained node",
                format!("{}; {}", self.drained_failed, self.strayed),
            ),
        ]
    }
}
