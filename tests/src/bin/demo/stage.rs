// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The whole system: each step ends when the server serves, and says what was seen of it.

use std::time::Instant;

use rig::root::Root;
use rig::{
    App, Asterisk, Broker, Consul, Dispatcher, Gateway, Ground, Kamailio, Version, eventually,
    seconds,
};
use serde_json::{Value, json};

use crate::places::Places;
use crate::print::step;

/// The name of the application that the conference is.
pub(crate) const APP: &str = "conf";
pub(crate) const EXCHANGE: &str = "asterisk";
const CONFERENCE: &str = "apps/conference/conference.py";

/// On a machine that is busy with others a node that lives can be silent for longer than by default.
const KAMAILIO: &str = "#!define NODE_PATIENCE 5000";

pub(crate) struct Stage<'a> {
    // In the order of their ends: each before what it uses.
    pub(crate) app: App,
    pub(crate) gateway: Gateway,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) kamailio: Kamailio,
    pub(crate) nodes: Vec<Asterisk>,
    pub(crate) ground: Ground<'a>,
}

/// Where a root has to be made first, that shows its own progress.
pub(crate) fn provide_roots() {
    for root in [Root::Testing, Root::Bullseye] {
        let _ = root.path();
    }
}

/// The broker, apart from [`Stage`] that borrows it.
pub(crate) fn broker(places: &Places) -> Broker {
    step("RabbitMQ", || {
        let broker = Broker::at(places.amqp, places.management);
        let version = Root::Testing.version("rabbitmq-server");
        (format!("{version} serves on 127.0.0.1:{}", broker.port()), broker)
    })
}

/// Consul, and a virtual host of the broker.
pub(crate) fn ground<'a>(broker: &'a Broker, places: &Places) -> Ground<'a> {
    let consul = step("Consul", || {
        let consul = Consul::builder().http_port(places.consul).with(&json!({"ui": true})).start();
        let version = Root::Bullseye.version("consul");
        (format!("{version} has a leader, on 127.0.0.1:{}", consul.port()), consul)
    });
    Ground { consul, tenant: broker.named_tenant("demo") }
}

impl<'a> Stage<'a> {
    /// With so many nodes.
    pub(crate) fn set(ground: Ground<'a>, places: &Places, count: usize) -> Self {
        let nodes = step(&format!("Asterisk, {count} nodes, each with the four modules"), || {
            let nodes = ground.nodes(count, |node| node);
            (format!("{} have booted", Version::V22.root().version("asterisk")), nodes)
        });
        for (place, node) in nodes.iter().enumerate() {
            let name = letter(place);
            step(&format!("Node {name} in Consul"), || (registered(&ground, node), ()));
        }
        let (kamailio, dispatcher) = step("Kamailio, its list from Consul", || {
            let kamailio = Kamailio::at(places.sip, KAMAILIO);
            let dispatcher = ground.start_kamailio(&kamailio, &nodes);
            let version = Root::Testing.version("kamailio");
            let told =
                format!("{version} on 127.0.0.1:{} sends calls to {count} nodes", places.sip);
            (told, (kamailio, dispatcher))
        });
        let gateway = step("Gateway", || {
            let gateway = Gateway::at(
                places.gateway,
                ground.consul.port(),
                &[("amqp", &ground.gateway_amqp()), ("bridges", "trunk_timeout = \"30s\"")],
            );
            gateway.wait_ready();
            ground.wait_gateway(&gateway, count);
            let port = gateway.port();
            (format!("on 127.0.0.1:{port} has {count} nodes, and their events"), gateway)
        });
        let app = step(&format!("python {CONFERENCE}"), || {
            let app = ground.app(&gateway, CONFERENCE, &[]);
            eventually("the app in Consul", seconds(30), || {
                let copies = ground.consul.health(&format!("{APP}-app"));
                let checks = copies.iter().filter_map(|copy| copy["Checks"].as_array()).flatten();
                let states: Vec<&Value> = checks.map(|check| &check["Status"]).collect();
                let is_well = !states.is_empty() && states.iter().all(|state| *state == "passing");
                if is_well { Ok(()) } else { Err(format!("{states:?}")) }
            });
            let put = ground.consul.kv_keys(&format!("applications/{APP}"));
            assert!(!put.is_empty(), "the app has put no key");
            (format!("consumes; it is passing in Consul, and has put the key {}", put[0]), app)
        });
        for (place, node) in nodes.iter().enumerate() {
            step(&format!("Application \"{APP}\" on node {}", letter(place)), || {
                ground.wait_application(node, APP);
                ("is there, in Asterisk and in Consul".to_owned(), ())
            });
        }
        Self { app, gateway, dispatcher, kamailio, nodes, ground }
    }

    /// The name of the node with this SIP port.
    pub(crate) fn node_at(&self, port: u16) -> usize {
        let found = self.nodes.iter().position(|node| node.sip_port() == port);
        found.unwrap_or_else(|| panic!("no node has SIP port {port}"))
    }
}

/// What Consul has of a node that is passing.
fn registered(ground: &Ground<'_>, node: &Asterisk) -> String {
    let told = ground.wait_node(node, "passing");
    let (service, port) = (&told["Service"], node.sip_port());
    assert_eq!(service["Port"], port, "Consul has another SIP port: {told}");
    let text = |name: &str| service[name].as_str().unwrap_or_default().to_owned();
    format!("service {}, id {}, {}:{port}: passing", text("Service"), text("ID"), text("Address"))
}

/// What the nodes are called, in the order of their starts.
pub(crate) fn letter(place: usize) -> char {
    char::from(b'a' + u8::try_from(place).unwrap_or(u8::MAX - b'a'))
}

/// How long ago, for a reader.
pub(crate) fn since(begun: Instant) -> String {
    format!("{:.1} s", begun.elapsed().as_secs_f64())
}
