// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! TLS on every side: a gateway that speaks it to Consul and to its only node, which is a gateway
//! that speaks it to its clients, in front of an Asterisk.

use rig::certificates::Certificates;
use rig::gateway::PASSWORD;
use rig::{Consul, Gateway, Version, eventually, seconds};
use serde_json::json;

use crate::gateway_fleet::{Site, scenarios, text};
use crate::tls::lenient;

scenarios!(certificates_are_shown_and_checked, the_broker_proves_who_it_is);

fn certificates_are_shown_and_checked() {
    let certificates = Certificates::new();
    let site = Site::start(&[Version::V22], &[]);
    let _app = site.app("secret");
    let (certificate, key) = certificates.server();
    let tls = format!(
        "tls_cert_file = {:?}\ntls_key_file = {:?}",
        certificate.display().to_string(),
        key.display().to_string()
    );
    let back = Gateway::start_without_waiting(site.consul.port(), &[("http", &tls)]);

    let consul = Consul::builder().tls(&certificates, false).start();
    let node = json!({
        "ID": "back", "Name": "asterisk", "Address": "127.0.0.1", "Port": 5060,
        "Meta": {"eid": "back", "ari_port": back.port().to_string(), "ari_scheme": "https"},
    });
    consul.request("PUT", "/v1/agent/service/register", Some(&node)).ok();
    let address = format!("address = \"https://127.0.0.1:{}\"", consul.https_port());
    let trust = |certificates: &Certificates| {
        format!("ca_file = {:?}", certificates.ca().display().to_string())
    };
    let front = |of_consul: &str, of_nodes: &str| {
        let of_consul = format!("{address}\n{of_consul}");
        let of_nodes = format!("user = \"rig\"\npassword = \"{PASSWORD}\"\n{of_nodes}");
        Gateway::start_without_waiting(0, &[("consul", &of_consul), ("nodes", &of_nodes)])
    };

    let right = front(&trust(&certificates), &trust(&certificates));
    right.wait_ready();
    let call = eventually("a call through both", seconds(20), || {
        let answer = right.ari().post("/channels?endpoint=Local/stay@default&app=secret");
        if answer.status == 200 { Ok(answer.body) } else { Err(answer.body) }
    });
    let path = format!("/channels/{}", text(&call["id"]));
    assert_eq!(right.ari().get(&path).ok()["id"], call["id"]);
    right.ari().delete(&path).ok();

    let others = Certificates::new();
    for wrong in [front(&trust(&certificates), &trust(&others)), front(&trust(&certificates), "")] {
        wrong.wait_ready();
        let refused = wrong.ari().get("/channels");
        assert_eq!(refused.status, 503, "{refused:?}");
        wrong.assert_alive();
    }
    let careless = front(&trust(&certificates), "verify = false");
    careless.wait_ready();
    eventually("whoever answers to be believed", seconds(20), || {
        match careless.ari().get("/channels").status {
            200 => Ok(()),
            other => Err(other),
        }
    });
    let blind = front(&trust(&others), &trust(&certificates));
    blind.wait_log_after(0, "Consul: it cannot be reached");
    assert_eq!(blind.ari().get("/channels").status, 503);
    for gateway in [&back, &right, &careless, &blind] {
        gateway.assert_alive();
    }
}

fn the_broker_proves_who_it_is() {
    let (consul, tenant) = (Consul::start(), lenient().tenant());
    let gateway = |trust: &Certificates| {
        let url = tenant.tls_url();
        let trust = trust.ca().display().to_string();
        let amqp = format!("url = {url:?}\nca_file = {trust:?}");
        Gateway::start(consul.port(), &[("amqp", &amqp)])
    };
    let right = gateway(tenant.broker().certificates());
    right.wait_log_after(0, "RabbitMQ: connected");
    let others = Certificates::new();
    let wrong = gateway(&others);
    wrong.wait_log_after(0, "RabbitMQ: it cannot be reached: invalid peer certificate");
    for gateway in [&right, &wrong] {
        gateway.assert_alive();
        assert!(!gateway.log().contains(tenant.password()));
    }
}
