// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Nodes with all four modules, Consul, a vhost of RabbitMQ, and two gateways that know of each
//! other by Consul only.

use std::thread;

use rig::{
    AmqpConf, AriEvents, Asterisk, Broker, Consul, Gateway, Message, Tenant, Version, eventually,
    seconds,
};
use serde_json::Value;

use crate::fleet::{load_all, node};
use crate::gate::Gate;
use crate::gateway_fleet::text;
use crate::member::quick;

pub(crate) struct Stage {
    pub(crate) gateways: [Gateway; 2],
    /// Between each of them and RabbitMQ.
    pub(crate) gates: [Gate; 2],
    pub(crate) nodes: Vec<Asterisk>,
    pub(crate) tenant: Tenant<'static>,
    pub(crate) consul: Consul,
}

impl Stage {
    pub(crate) fn start(count: usize, events: &str) -> Self {
        Self::with(count, &[("events", events)])
    }

    /// One whose gateways have these lines in their configuration.
    pub(crate) fn with(count: usize, lines: &[(&str, &str)]) -> Self {
        let (consul, tenant) = (Consul::start(), Broker::shared().tenant());
        let amqp = AmqpConf::new(&tenant.url()).text();
        let nodes: Vec<Asterisk> = thread::scope(|scope| {
            let start = || {
                let asterisk = node(Version::V22, &amqp, &quick(consul.port())).start();
                load_all(&asterisk);
                asterisk
            };
            let starting: Vec<_> = (0..count).map(|_| scope.spawn(start)).collect();
            starting.into_iter().map(|one| one.join().expect("a node")).collect()
        });
        let gates = [(); 2].map(|()| Gate::to(tenant.broker().port()));
        let gateways = gates.each_ref().map(|gate| {
            gate.open();
            let amqp = format!("url = \"{}\"", gate.url(&tenant.url()));
            let own = [("amqp", amqp.as_str()), ("nodes", "placement = \"round_robin\"")];
            Gateway::start(consul.port(), &[own.as_slice(), lines].concat())
        });
        let stage = Self { gateways, gates, nodes, tenant, consul };
        for gateway in &stage.gateways {
            stage.wait_metric(gateway, "gateway_nodes{kind=\"passing\"}", count as f64);
            stage.wait_metric(gateway, "gateway_amqp_up", 1.0);
        }
        stage
    }

    #[track_caller]
    pub(crate) fn wait_metric(&self, gateway: &Gateway, name: &str, wanted: f64) {
        eventually(&format!("{name} to be {wanted}"), seconds(60), || {
            let seen = gateway.metric(name);
            if seen == wanted { Ok(()) } else { Err(seen) }
        });
    }

    /// A call in an application, by a gateway: its id, and its node's.
    #[track_caller]
    pub(crate) fn call(&self, gateway: &Gateway, app: &str) -> (String, String) {
        let path = format!("/channels?endpoint=Local/stay@default&app={app}&appArgs=one,two");
        let call = gateway.ari().post(&path).ok();
        (text(&call["id"]), text(&call["asterisk_id"]))
    }

    /// Waits until the applications in Consul are these, beside the gateway's own.
    #[track_caller]
    pub(crate) fn wait_keys(&self, wanted: &[&str]) {
        eventually(&format!("the keys {wanted:?}"), seconds(60), || {
            let keys = self.consul.kv_keys("applications/");
            let names: Vec<&str> =
                keys.iter().map(|key| key.trim_start_matches("applications/")).collect();
            let names: Vec<&str> = names.into_iter().filter(|name| *name != "_gateway").collect();
            if names == wanted { Ok(()) } else { Err(keys.join(" ")) }
        });
    }

    pub(crate) fn assert_alive(&self) {
        self.gateways.iter().for_each(Gateway::assert_alive);
        self.nodes.iter().for_each(Asterisk::assert_alive);
    }
}

/// The ids of an event's channel, or bridge.
pub(crate) fn about(event: &Value) -> String {
    let thing = event.get("channel").or(event.get("bridge"));
    thing.and_then(|thing| thing["id"].as_str()).unwrap_or_default().to_owned()
}

/// Has a node call an extension that stays, for application `Calls`: the channel's id.
#[track_caller]
pub(crate) fn stay(gateway: &Gateway, eid: &str) -> String {
    let path = format!("/channels?endpoint=Local/stay@default&app=Calls&asteriskId={eid}");
    text(&gateway.ari().post(&path).ok()["id"])
}

/// Waits for the beginning of call `marker`. What was told twice would have come before it.
#[track_caller]
pub(crate) fn nothing_told_again(events: &AriEvents, marker: &str) {
    loop {
        let event = events.next(seconds(20));
        assert!(event.get("synthetic").is_none(), "told twice: {event}");
        if event["type"] == "StasisStart" {
            assert_eq!(about(&event), marker);
            break;
        }
    }
}

/// The ids of what a gateway has told for a node that is dead.
pub(crate) fn synthetic(messages: &[Message]) -> Vec<&str> {
    let told = messages.iter().filter(|message| message.headers.contains_key("synthetic"));
    told.map(|message| message.message_id()).collect()
}
