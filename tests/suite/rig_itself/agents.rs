// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Consul agents: their data, tokens, TLS and members.

use std::path::Path;

use rig::certificates::Certificates;
use rig::root::Root;
use rig::{Consul, eventually, seconds};
use serde_json::{Value, json};

const ID: &str = "stasis/02:00:00:00:00:99/demo app";

#[track_caller]
fn register(consul: &Consul, id: &str) {
    let check = json!({"CheckID": format!("{id}/ttl"), "TTL": "60s", "Status": "passing"});
    let service = json!({"ID": id, "Name": "demo", "Port": 5060, "Check": check});
    consul.request("PUT", "/v1/agent/service/register", Some(&service)).ok();
}

#[test]
fn a_persistent_agent_keeps_what_it_has_until_it_is_wiped() {
    let consul = Consul::builder().persistent().start();
    register(&consul, ID);
    consul.kv_put("applications/demo", "7");
    let port = consul.port();

    consul.kill();
    assert!(consul.try_request("GET", "/v1/status/leader", None).is_err());
    consul.start_again();
    assert_eq!(consul.port(), port);
    assert!(consul.service(ID).is_some());
    // A leader reads its log after it is one.
    eventually("the key", seconds(20), || match consul.kv_keys("") {
        keys if keys == ["applications/demo"] => Ok(()),
        keys => Err(format!("{keys:?}")),
    });

    consul.stop();
    consul.start_again();
    assert!(consul.service(ID).is_some());

    consul.leave();
    consul.wipe();
    consul.start_again();
    assert_eq!(consul.service(ID), None);
    assert!(consul.services().is_empty());
    assert!(consul.kv_keys("").is_empty());
}

#[test]
fn an_agent_in_development_mode_keeps_nothing() {
    let consul = Consul::start();
    register(&consul, ID);
    consul.stop();
    consul.start_again();
    assert!(consul.services().is_empty());
}

#[test]
fn a_frozen_agent_answers_when_it_thaws() {
    let consul = Consul::start();
    consul.freeze();
    let answer = std::thread::scope(|scope| {
        let request = scope.spawn(|| consul.request("GET", "/v1/agent/services", None));
        eventually("the request to be sent", seconds(10), || match established(consul.port()) {
            0 => Err("no connection"),
            _ => Ok(()),
        });
        assert!(!request.is_finished());
        consul.thaw();
        request.join().expect("a thawed agent answers")
    });
    assert_eq!(answer.ok(), json!({}));
}

/// The connections to a port, as the kernel lists those of 127.0.0.1 (proc(5), `net/tcp`).
fn established(port: u16) -> usize {
    let listed = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let remote = format!(" 0100007F:{port:04X} 01 ");
    listed.lines().filter(|line| line.contains(&remote)).count()
}

#[test]
fn services_show_their_checks_and_an_operators_maintenance() {
    let consul = Consul::start();
    assert_eq!(consul.service(ID), None);
    register(&consul, ID);
    register(&consul, "another");

    let service = consul.service(ID).expect("it is registered");
    assert_eq!(service["AggregatedStatus"], "passing");
    assert_eq!(service["Service"]["Port"], 5060);
    assert_eq!(consul.services().keys().collect::<Vec<_>>(), ["another", ID]);
    let checks = consul.checks_of(ID);
    assert_eq!(checks.keys().collect::<Vec<_>>(), [&format!("{ID}/ttl")]);
    assert_eq!(consul.maintenance_of(ID), None);

    consul.set_maintenance(ID, true, "new disks & more");
    assert_eq!(consul.maintenance_of(ID).as_deref(), Some("new disks & more"));
    assert_eq!(consul.service(ID).expect("it is there")["AggregatedStatus"], "maintenance");
    assert_eq!(consul.maintenance_of("another"), None);
    consul.set_maintenance(ID, false, "");
    assert_eq!(consul.maintenance_of(ID), None);

    consul.deregister(ID);
    assert_eq!(consul.service(ID), None);
}

#[test]
fn keys_of_any_form_come_and_go_by_the_thousand() {
    let consul = Consul::start();
    let pairs: Vec<(String, String)> = (0..2000)
        .map(|number| (format!("apps//ä b/../{number:04}?"), number.to_string()))
        .collect();
    consul.kv_put_many(&pairs);
    consul.kv_put("apps", [0, 255]);
    assert_eq!(consul.kv_keys("apps//").len(), 2000);
    assert_eq!(consul.kv_keys("apps//")[1999], pairs[1999].0);

    consul.kv_delete(&pairs[0].0);
    consul.kv_delete("none such");
    assert_eq!(consul.kv_keys("apps//").len(), 1999);
    consul.kv_delete_tree("apps//");
    assert_eq!(consul.kv_keys(""), ["apps"]);
}

#[test]
fn a_snapshot_takes_the_index_back() {
    let consul = Consul::start();
    let index = |key: &str| {
        consul.request("GET", &format!("/v1/kv/{key}"), None).ok()[0]["ModifyIndex"].clone()
    };
    consul.kv_put("a", "1");
    let before = index("a");
    let snapshot = consul.snapshot();
    consul.kv_put("a", "2");
    consul.kv_put("b", "2");
    assert_ne!(index("a"), before);

    consul.restore(&snapshot);
    eventually("the key of before", seconds(10), || {
        let now = index("a");
        if now == before { Ok(()) } else { Err(now) }
    });
    assert_eq!(consul.kv_keys(""), ["a"]);
}

#[test]
fn without_the_right_token_an_agent_denies() {
    let consul = Consul::builder().persistent().default_deny().start();
    let path = "/v1/kv/applications/demo";
    let status = |token: &str| consul.request_as(token, "GET", path, None).status;
    consul.kv_put("applications/demo", "1");
    assert_eq!(status(""), 403);
    assert_eq!(status(consul.management_token()), 200);

    let token = consul.policy_token(r#"key_prefix "applications/" { policy = "read" }"#);
    assert_eq!(status(&token), 200);
    let put = |token: &str| consul.request_as(token, "PUT", path, Some(&json!(2))).status;
    assert_eq!(put(&token), 403);
    consul.set_rules(&token, r#"key_prefix "applications/" { policy = "write" }"#);
    assert_eq!(put(&token), 200);

    consul.kill();
    consul.start_again();
    assert_eq!(put(&token), 200);
    consul.revoke_token(&token);
    assert_eq!(status(&token), 403);
}

#[test]
fn tls_takes_the_authority_and_where_it_is_demanded_a_clients_certificate() {
    let ours = Certificates::new();
    let strict = Consul::builder().tls(&ours, true).start();
    let lenient = Consul::builder().tls(&ours, false).start();
    let named_otherwise = Certificates::naming("DNS:elsewhere.example");
    let elsewhere = Consul::builder().tls(&named_otherwise, false).start();

    let listed = nodes(&strict, &ours, true).expect("a client with a certificate");
    assert!(listed.contains("rig"), "{listed}");
    // The refusal may come while the client is writing: what it says of it varies.
    nodes(&strict, &ours, false).expect_err("a client without a certificate");
    nodes(&lenient, &ours, false).expect("a client without a certificate");
    let unknown = nodes(&lenient, &Certificates::new(), false).expect_err("another authority");
    assert!(unknown.contains("unknown authority"), "{unknown}");
    let misnamed = nodes(&elsewhere, &named_otherwise, false).expect_err("another's name");
    assert!(misnamed.contains("127.0.0.1 because"), "{misnamed}");
    // The rig's own way in.
    assert_eq!(strict.request("GET", "/v1/agent/services", None).status, 200);
}

/// Asks by HTTPS, with Consul's own client.
fn nodes(
    consul: &Consul,
    certificates: &Certificates,
    with_certificate: bool,
) -> Result<String, String> {
    let option = |name: &str, file: &Path| format!("-{name}={}", file.display());
    let (certificate, key) = certificates.client();
    let command = Root::Bullseye
        .command("consul")
        .bind(certificates.folder())
        .args(["catalog", "nodes"])
        .arg(format!("-http-addr=https://127.0.0.1:{}", consul.https_port()))
        .arg(option("ca-file", &certificates.ca()));
    if with_certificate {
        command.arg(option("client-cert", &certificate)).arg(option("client-key", &key)).run()
    } else {
        command.run()
    }
}

#[test]
fn two_agents_have_one_catalog() {
    let first = Consul::builder().default_deny().start();
    let second = Consul::builder().joining(&first).start();
    assert_ne!(first.node(), second.node());
    register(&first, "one");
    register(&second, "two");

    wait_for_health(&first, [(first.node(), "passing"), (second.node(), "passing")]);
    assert_eq!(first.services().keys().collect::<Vec<_>>(), ["one"]);

    second.kill();
    wait_for_health(&first, [(first.node(), "passing"), (second.node(), "critical")]);
    second.start_again();
    assert!(second.services().contains_key("two"));
    wait_for_health(&first, [(first.node(), "passing"), (second.node(), "passing")]);
}

/// Nodes with the service, and what the agents think of the nodes.
#[track_caller]
fn wait_for_health(consul: &Consul, wanted: [(&str, &str); 2]) {
    eventually("the health of both nodes", seconds(60), || {
        let found = consul.health("demo");
        let mut seen: Vec<(&str, &str)> = found.iter().filter_map(node_health).collect();
        seen.sort_unstable();
        if seen == wanted { Ok(()) } else { Err(format!("{seen:?}")) }
    });
}

fn node_health(entry: &Value) -> Option<(&str, &str)> {
    let checks = entry["Checks"].as_array()?;
    let check = checks.iter().find(|check| check["CheckID"] == "serfHealth")?;
    Some((entry["Node"]["Node"].as_str()?, check["Status"].as_str()?))
}
