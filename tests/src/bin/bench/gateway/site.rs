// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Two nodes, a call on one of them, and the three ways to it.

use std::time::Duration;

use rig::{Ari, AriEvents, Asterisk, Consul, Gateway, Version, eventually, seconds};
use serde_json::Value;

use super::nginx::Nginx;
use super::target::{Load, Target};
use super::{tree, wrk};

const APP: &str = "bench";
/// Of the call; an application asks for such all the time.
const VARIABLE: &str = "CAMPAIGN";
const VALUE: &str = "spring";

/// Without the dialplan's own lines.
const LOGGER: &str = "[general]\n[logfiles]\nfull => notice,warning,error\n";

/// As in production; the rig's is for debugging.
pub(super) const LOG: (&str, &str) = ("log", "level = \"info\"");

pub(super) struct Site {
    nodes: Vec<Asterisk>,
    /// Which of them has the call.
    owner: usize,
    path: String,
    gateway: Gateway,
    nginx: Nginx,
    /// They hold the application.
    _events: Vec<AriEvents>,
    _consul: Consul,
}

impl Site {
    pub(super) fn start() -> Self {
        let consul = Consul::start();
        let nodes: Vec<Asterisk> = (0..2).map(|_| node(&consul)).collect();
        let gateway = Gateway::start(consul.port(), &[LOG]);
        wait_nodes(&gateway, nodes.len());
        let events = nodes.iter().map(|node| node.ari().events(APP)).collect();
        let made = gateway.ari().post(&format!("/channels?endpoint=Local/stay@default&app={APP}"));
        let call = made.ok();
        let owner = nodes.iter().position(|node| call["asterisk_id"] == node.entity_id());
        let owner = owner.unwrap_or_else(|| panic!("the call is on neither node: {call}"));
        let path = format!("/channels/{}/variable", call["id"].as_str().unwrap_or_default());
        let set = format!("{path}?variable={VARIABLE}&value={VALUE}");
        eventually("the call to be in the application", seconds(20), || {
            let answer = gateway.ari().post(&set);
            if answer.status == 204 { Ok(()) } else { Err(answer.body) }
        });
        let nginx = Nginx::start(nodes[owner].http_port());
        let path = format!("{path}?variable={VARIABLE}");
        Self { nodes, owner, path, gateway, nginx, _events: events, _consul: consul }
    }

    /// The node that has the call.
    pub(super) fn owner(&self) -> &Asterisk {
        &self.nodes[self.owner]
    }

    /// Asks for the call's variable in one way.
    pub(super) fn shoot(&self, target: Target, lasts: Duration) -> Load {
        match target {
            Target::Directly => self.load(&self.owner().ari(), None, lasts),
            Target::Nginx => {
                // It passes on the login.
                let own = self.owner().ari();
                let (user, password) = own.login();
                let ari = Ari::new(self.nginx.port, user, password);
                self.load(&ari, Some(self.nginx.process.pid()), lasts)
            }
            Target::Gateway => self.shoot_by(&self.gateway, lasts),
        }
    }

    /// Asks by another gateway.
    pub(super) fn shoot_by(&self, gateway: &Gateway, lasts: Duration) -> Load {
        self.load(&gateway.ari(), Some(gateway.process().pid()), lasts)
    }

    fn load(&self, ari: &Ari, proxy: Option<u32>, lasts: Duration) -> Load {
        let answer = ari.get(&self.path).ok();
        assert_eq!(answer["value"], VALUE, "{answer}");
        let before = proxy.map(tree::cpu_time);
        let mut load = wrk::ask(&ari.url(&self.path), &ari.authorization(), lasts);
        load.cpu = proxy.zip(before).map(|(proxy, before)| {
            let used = tree::cpu_time(proxy).saturating_sub(before);
            used.as_secs_f64() * 1e6 / load.requests as f64
        });
        load
    }

    /// Nothing was asked of all nodes: the index knew.
    pub(super) fn assert_routed_by_index(&self) {
        assert_eq!(self.gateway.metric("gateway_questions_total"), 0.0);
        self.gateway.assert_alive();
        self.nodes.iter().for_each(Asterisk::assert_alive);
    }

    /// The call, as its node describes it.
    pub(super) fn channel(&self) -> Value {
        let path = self.path.split("/variable").next().unwrap_or_default();
        self.owner().ari().get(path).ok()
    }

    /// Memory of the gateway with these two nodes.
    pub(super) fn memory(&self) -> u64 {
        self.gateway.process().rss_bytes()
    }
}

/// Waits until the gateway has so many nodes.
pub(super) fn wait_nodes(gateway: &Gateway, count: usize) {
    eventually(&format!("{count} nodes to be passing"), seconds(20), || {
        let seen = gateway.metric("gateway_nodes{kind=\"passing\"}");
        if seen == count as f64 { Ok(()) } else { Err(seen) }
    });
}

fn node(consul: &Consul) -> Asterisk {
    let conf = format!(
        "[general]\nenabled = yes\n[consul]\nport = {}\n\
         [discovery]\ndiscovery_ip = 127.0.0.1\ncheck_interval = 3s\n",
        consul.port()
    );
    let node = Asterisk::builder(Version::V22)
        .conf("logger.conf", LOGGER)
        .conf("consul.conf", conf)
        .module("res_consul")
        .module("res_consul_discovery")
        .extension("stay", &["Answer()", "Wait(3600)"])
        .start();
    eventually("the node to be passing", seconds(20), || {
        let service = consul.service(node.entity_id()).unwrap_or(Value::Null);
        if service["AggregatedStatus"] == "passing" { Ok(()) } else { Err(service) }
    });
    node
}
