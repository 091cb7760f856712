// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Two nodes with one id: said loudly, never fought over, and over by itself.

use rig::{Asterisk, Consul, Proxy, Version, eventually, seconds};
use serde_json::{Value, json};

use crate::fleet::{ConsulConf, node, wait_gone, wait_status};
use crate::member::{quick, register, unregister, wait_output};

on_each_version!(
    with_one_agent_the_second_stands_aside_until_the_first_has_gone,
    with_two_agents_the_second_warns_until_the_first_has_died,
    what_stood_aside_and_died_is_cleared_away,
);

const ID: &str = "02:00:00:0d:0b:1e";

/// One of several nodes with the same entity id.
fn twin(version: Version, conf: &ConsulConf) -> Asterisk {
    let asterisk = node(version, "", conf).entity_id(ID).start();
    register(&asterisk);
    asterisk
}

fn at(port: u16, address: &str) -> ConsulConf {
    quick(port).discovery("discovery_ip", address)
}

fn aside(address: &str) -> String {
    format!("{ID}@{address}:5060")
}

/// The error, of which there is one.
#[track_caller]
fn assert_told(asterisk: &Asterisk, holder: &str) {
    let line = asterisk.wait_log("duplicate identity");
    assert!(line.contains("ERROR") && line.contains(&format!("'{ID}'")), "{line}");
    assert!(line.contains(holder) && line.contains("entityid"), "{line}");
    let log = asterisk.log();
    let errors = log.lines().filter(|line| line.contains("ERROR["));
    assert_eq!(errors.count(), 1, "{log}");
}

fn with_one_agent_the_second_stands_aside_until_the_first_has_gone(version: Version) {
    let consul = Consul::start();
    let proxy = Proxy::to(consul.port());
    let first = twin(version, &at(consul.port(), "127.0.1.1"));
    let before = wait_status(&consul, ID, "passing");
    let second = twin(version, &at(proxy.port(), "127.0.1.2"));

    let aside = aside("127.0.1.2");
    let reason = wait_output(&consul, &aside, "warning", "duplicate identity: ");
    assert!(reason.contains("127.0.1.1 port 5060"), "{reason}");
    let service = consul.service(&aside).expect("it is there")["Service"].take();
    assert_eq!(service["Meta"]["conflict"], ID);
    assert_eq!(
        (&service["Service"], &service["Address"]),
        (&json!("asterisk"), &json!("127.0.1.2"))
    );
    assert_told(&second, "127.0.1.1 port 5060");

    // Over several looks of both, neither touches what is the other's, nor its own again.
    let registrations = proxy.requests_to("PUT /v1/agent/service/register");
    let looks = proxy.requests_to("PUT /v1/agent/check/update");
    eventually("the second to look again", seconds(20), || {
        let now = proxy.requests_to("PUT /v1/agent/check/update");
        if now > looks + 4 { Ok(()) } else { Err(now) }
    });
    assert_eq!(proxy.requests_to("PUT /v1/agent/service/register"), registrations);
    assert_eq!(
        consul.service(ID).map(|service| service["Service"].clone()),
        Some(before["Service"].clone())
    );
    assert_eq!(wait_status(&consul, ID, "passing")["Service"], before["Service"]);
    assert_eq!(first.complaints(), [""; 0]);

    // A reload, or another life, is no way to take it.
    second.cli("module reload res_consul_discovery.so");
    unregister(&second);
    wait_gone(&consul, &aside);
    assert_eq!(wait_status(&consul, ID, "passing")["Service"], before["Service"]);
    register(&second);
    wait_output(&consul, &aside, "warning", "duplicate identity: ");

    unregister(&first);
    // It is looked for every 15 s.
    let service = eventually("the second to take its id", seconds(30), || {
        let service = consul.service(ID).unwrap_or_default();
        if service["AggregatedStatus"] == "passing" { Ok(service) } else { Err(service) }
    });
    assert_eq!(service["Service"]["Address"], "127.0.1.2");
    assert_eq!(service["Service"]["Meta"]["conflict"], Value::Null);
    wait_gone(&consul, &aside);
    second.wait_log("the id '02:00:00:0d:0b:1e' is this node's alone now");
    unregister(&second);
    assert_eq!(consul.services().len(), 0);
}

fn with_two_agents_the_second_warns_until_the_first_has_died(version: Version) {
    let consul = Consul::start();
    let other = Consul::builder().joining(&consul).start();
    let first = twin(version, &at(consul.port(), "127.0.1.1"));
    wait_status(&consul, ID, "passing");
    eventually("the catalog to have it", seconds(10), || match consul.health("asterisk").len() {
        1 => Ok(()),
        count => Err(count),
    });

    let second = twin(version, &at(other.port(), "127.0.1.2"));
    let reason = wait_output(&other, ID, "warning", "duplicate identity: ");
    assert!(reason.contains(&format!("Consul's node '{}'", consul.node())), "{reason}");
    let service = other.service(ID).expect("it is there")["Service"].take();
    assert_eq!(service["Meta"]["conflict"], ID);
    assert_told(&second, "127.0.1.1 port 5060");
    wait_status(&consul, ID, "passing");
    assert_eq!(first.complaints(), [""; 0]);

    first.kill();
    wait_output(&consul, ID, "critical", "TTL expired");
    eventually("the second to have its id alone", seconds(30), || {
        let service = other.service(ID).unwrap_or_default();
        let is_marked = service["Service"]["Meta"]["conflict"] == ID;
        let is_passing = service["AggregatedStatus"] == "passing";
        if is_passing && !is_marked { Ok(()) } else { Err(service) }
    });
    // The first comes back, and is the second now.
    let first = twin(version, &at(consul.port(), "127.0.1.1"));
    wait_output(&consul, ID, "warning", "duplicate identity: ");
    assert_told(&first, "127.0.1.2 port 5060");
    wait_status(&other, ID, "passing");
    unregister(&first);
    unregister(&second);
    eventually("the catalog to have none", seconds(10), || match &consul.health("asterisk")[..] {
        [] => Ok(()),
        left => Err(format!("{left:?}")),
    });
}

fn what_stood_aside_and_died_is_cleared_away(version: Version) {
    let consul = Consul::start();
    let first = twin(version, &at(consul.port(), "127.0.1.1"));
    wait_status(&consul, ID, "passing");
    let second = twin(version, &at(consul.port(), "127.0.1.2"));
    let aside = aside("127.0.1.2");
    wait_output(&consul, &aside, "warning", "duplicate identity: ");
    second.kill();
    drop(second);
    unregister(&first);
    let second = twin(version, &at(consul.port(), "127.0.1.2"));
    wait_status(&consul, ID, "passing");
    wait_gone(&consul, &aside);
    assert_eq!(second.complaints(), [""; 0]);
    unregister(&second);
    assert_eq!(consul.services().len(), 0);
}
