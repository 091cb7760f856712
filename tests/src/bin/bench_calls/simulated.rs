// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A thousand nodes in a real Consul, each a node of its catalogue with a service as
//! `res_consul_discovery` registers it.

use rig::Consul;
use serde_json::{Value, json};

use crate::ari;

/// The address of its service in Consul: what it is registered with, and how its checks stand.
pub(crate) fn register(consul: &Consul, node: u32, port: u16, is_well: bool) {
    let eid = ari::eid(node);
    let address = ari::address(node).to_string();
    let name = format!("node-{node:04}");
    let registration = json!({
        "Node": name,
        "Address": address,
        "Service": {
            "ID": eid,
            "Service": "asterisk",
            "Tags": ["asterisk"],
            "Address": address,
            "Port": 5060,
            "Meta": {
                "eid": eid,
                "ari_port": port.to_string(),
                "ari_scheme": "http",
                "version": "22.10.1",
            },
            "Weights": {"Passing": weight(node), "Warning": 1},
        },
        "Checks": [
            check(&name, "machine", "Machine", true, "Agent alive and reachable", ""),
            check(&name, &format!("service:{eid}"), "Asterisk", is_well, "0 calls", &eid),
        ],
    });
    consul.request("PUT", "/v1/catalog/register", Some(&registration)).ok();
}

/// What is said of the first node shows in where calls go: it gets each new one while it takes any.
fn weight(node: u32) -> u32 {
    if node == 0 { 65_535 } else { 1 }
}

fn check(node: &str, id: &str, name: &str, is_well: bool, output: &str, service: &str) -> Value {
    let status = if is_well { "passing" } else { "critical" };
    json!({
        "Node": node,
        "CheckID": id,
        "Name": name,
        "Status": status,
        "Output": output,
        "ServiceID": service,
        "ServiceName": if service.is_empty() { "" } else { "asterisk" },
    })
}
