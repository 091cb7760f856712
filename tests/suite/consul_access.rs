// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Consul with ACLs: the policy of the documentation, and tokens that are refused.

use rig::{Asterisk, Consul, ConsulBuilder, Proxy, Version, eventually, seconds};
use serde_json::json;

use crate::fleet::{
    CONSUL, ConsulConf, DISCOVERY, Fleet, amqp, app_id, lines_with, load_all, node, reload,
    wait_app, wait_consul, wait_exactly, wait_gone, wait_status,
};

on_each_version!(
    the_policy_of_the_documentation_is_enough_for_all_that_the_modules_do,
    an_unknown_token_is_told_of_once_and_heals_with_another,
    a_token_without_rights_heals_when_its_policy_gives_them,
    a_token_file_is_read_again_when_its_token_is_refused,
    a_token_that_is_rotated_is_followed_without_a_reload,
    what_an_old_token_has_registered_goes_with_the_new_one,
    what_an_old_token_has_registered_goes_at_once,
);

/// The policy as `docs/consul.md` has it.
fn documented() -> &'static str {
    let documentation = include_str!("../../docs/consul.md");
    let (_, after) = documentation.split_once("```hcl\n").expect("a block of HCL in the docs");
    after.split_once("```").expect("the block's end").0
}

fn closed() -> Consul {
    default_deny().start()
}

fn default_deny() -> ConsulBuilder {
    Consul::builder().default_deny()
}

/// A node with all modules loaded that asks by way of the proxy.
fn asking(
    version: Version,
    proxy: &Proxy,
    furnish: impl FnOnce(ConsulConf) -> ConsulConf,
) -> Asterisk {
    let conf = furnish(ConsulConf::new(proxy.port()));
    let asterisk = node(version, &amqp(), &conf).start();
    load_all(&asterisk);
    asterisk
}

fn the_policy_of_the_documentation_is_enough_for_all_that_the_modules_do(version: Version) {
    let consul = closed();
    let token = consul.policy_token(documented());
    // Nothing is allowed without one.
    assert_eq!(consul.request_as("", "PUT", "/v1/kv/applications/x", None).status, 403);
    let fleet = Fleet::with(version, consul, |conf| conf.consul("token", &token));
    let Fleet { consul, asterisk, .. } = &fleet;

    consul.kv_put("applications/demo", "{\"subscriptions\": [\"deviceState:Custom:lamp\"]}");
    consul.kv_put("applications/more of them/x", "7");
    fleet.wait_app("demo");
    fleet.wait_app("more of them/x");
    consul.kv_delete("applications/demo");
    fleet.wait_no_app("demo");

    asterisk.cli("discovery set maintenance on");
    wait_status(consul, fleet.id(), "maintenance");
    asterisk.cli("discovery set maintenance off");
    fleet.wait_passing();

    consul.deregister(fleet.id());
    fleet.wait_passing();
    let tagged = fleet.conf().consul("token", &token).discovery("tags", "one,two");
    fleet.reload(DISCOVERY, &tagged);
    eventually("the new tags", seconds(10), || {
        let service = consul.service(fleet.id());
        match service {
            Some(service) if service["Service"]["Tags"] == json!(["one", "two"]) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });

    // Somebody else has the id: that is looked up before each registration.
    let other = Consul::builder().joining(consul).start();
    let check = json!({"CheckID": "other", "TTL": "60s", "Status": "passing"});
    let twin = json!({
        "ID": fleet.id(), "Name": "asterisk", "Address": "127.0.0.99", "Port": 5060, "Check": check,
    });
    other.request("PUT", "/v1/agent/service/register", Some(&twin)).ok();
    eventually("the other to be in the catalog", seconds(20), || {
        match consul.health("asterisk").len() {
            2 => Ok(()),
            count => Err(count),
        }
    });
    consul.deregister(fleet.id());
    eventually("the check to say who it is", seconds(10), || {
        let service = wait_status(consul, fleet.id(), "warning").to_string();
        if service.contains("is also at 127.0.0.99") { Ok(()) } else { Err(service) }
    });
    other.deregister(fleet.id());
    // It is looked for every 15 s.
    eventually("the node to be passing again", seconds(30), || {
        let service = consul.service(fleet.id()).unwrap_or_default();
        if service["AggregatedStatus"] == "passing" { Ok(()) } else { Err(service) }
    });

    let shown = wait_consul(asterisk, "reachable");
    assert!(!shown.contains("status 403"), "{shown}");
    assert_eq!(lines_with(asterisk, 0, "refuses"), [""; 0]);
    crate::fleet::unload_all_in_time(asterisk);
    wait_gone(consul, asterisk.entity_id());
    assert_eq!(consul.service(&app_id(asterisk, "more of them/x")), None);
}

/// Waits until Consul was asked so often since, whatever for.
#[track_caller]
fn wait_requests(proxy: &Proxy, count: usize) {
    let before = proxy.requests();
    eventually(&format!("{count} more requests"), seconds(30), || {
        let made = proxy.requests() - before;
        if made >= count { Ok(()) } else { Err(made) }
    });
}

fn an_unknown_token_is_told_of_once_and_heals_with_another(version: Version) {
    const WRONG: &str = "b1gs3cr3-0000-4000-8000-hunter200000";
    let consul = closed();
    let proxy = Proxy::to(consul.port());
    let asterisk = asking(version, &proxy, |conf| conf.consul("token", WRONG));
    let shown = wait_consul(&asterisk, "refused");
    assert!(shown.contains("/v1/") && shown.contains("status 403, ACL not found"), "{shown}");
    consul.kv_put("applications/demo", "");
    wait_requests(&proxy, 8);

    let warnings = lines_with(&asterisk, 0, "refuses the token");
    assert_eq!(warnings.len(), 1, "{warnings:#?}");
    for part in ["WARNING[", "ACL not found", "check the token and its policies"] {
        assert!(warnings[0].contains(part), "no {part:?} in: {}", warnings[0]);
    }
    // What is refused is not asked at full speed.
    assert!(proxy.requests() < 200, "{} requests", proxy.requests());
    assert!(!asterisk.log().contains(WRONG) && !shown.contains(WRONG));
    assert_eq!(consul.services().len(), 0);

    let right = consul.policy_token(documented());
    let conf = ConsulConf::new(proxy.port()).consul("token", &right);
    asterisk.write_conf("consul.conf", &conf.text());
    reload(&asterisk, CONSUL);
    wait_status(&consul, asterisk.entity_id(), "passing");
    wait_exactly(&consul, &asterisk, &["demo"]);
    wait_consul(&asterisk, "reachable");
}

fn a_token_without_rights_heals_when_its_policy_gives_them(version: Version) {
    let consul = closed();
    let proxy = Proxy::to(consul.port());
    let token = consul.policy_token("key_prefix \"elsewhere/\" { policy = \"read\" }");
    let asterisk = asking(version, &proxy, |conf| conf.consul("token", &token));
    let shown = wait_consul(&asterisk, "refused");
    assert!(shown.contains("Permission denied"), "{shown}");
    consul.kv_put("applications/demo", "");
    consul.set_rules(&token, documented());
    // The longest pause after a refusal is 15 s.
    eventually("the node to be registered", seconds(20), || {
        consul.service(asterisk.entity_id()).ok_or_else(|| asterisk.cli("consul show status"))
    });
    wait_app(&consul, &asterisk, "demo");
    wait_consul(&asterisk, "reachable");
    assert!(lines_with(&asterisk, 0, "refuses the token").len() <= 1);
}

fn a_token_file_is_read_again_when_its_token_is_refused(version: Version) {
    let consul = closed();
    let proxy = Proxy::to(consul.port());
    let conf = ConsulConf::new(proxy.port());
    let asterisk = node(version, &amqp(), &conf).start();
    let file = asterisk.folder().join("etc/token").display().to_string();
    let conf = conf.consul("token_file", &file);
    asterisk.write_conf("consul.conf", &conf.text());
    asterisk.write_conf("token", "not-yet-known\n");
    load_all(&asterisk);
    wait_consul(&asterisk, "refused");
    consul.kv_put("applications/demo", "");

    let right = consul.policy_token(documented());
    asterisk.write_conf("token", &format!("  {right}  \nand a second line\n"));
    eventually("the node to be registered", seconds(20), || {
        consul.service(asterisk.entity_id()).ok_or_else(|| asterisk.cli("consul show status"))
    });
    wait_app(&consul, &asterisk, "demo");
    wait_consul(&asterisk, "reachable");
    for text in [asterisk.log(), asterisk.cli("consul show settings")] {
        assert!(!text.contains(&right) && !text.contains("not-yet-known"), "{text}");
    }
}

/// A node whose token is in a file, and is that one.
fn with_token_file(version: Version, consul: &Consul, port: u16) -> (Asterisk, String) {
    let token = consul.policy_token(documented());
    let conf = ConsulConf::new(port);
    let asterisk = node(version, &amqp(), &conf).start();
    let file = asterisk.folder().join("etc/token").display().to_string();
    asterisk.write_conf("consul.conf", &conf.consul("token_file", &file).text());
    asterisk.write_conf("token", &token);
    load_all(&asterisk);
    wait_status(consul, asterisk.entity_id(), "passing");
    (asterisk, token)
}

/// Gives the node another token, and revokes the old one.
fn rotate(consul: &Consul, asterisk: &Asterisk, old: &str) {
    asterisk.write_conf("token", &consul.policy_token(documented()));
    consul.revoke_token(old);
}

/// A node that was registered, with applications, with a token that is revoked by now.
fn rotated(version: Version, consul: &Consul, port: u16) -> Asterisk {
    let (asterisk, old) = with_token_file(version, consul, port);
    for name in ["before", "kept"] {
        consul.kv_put(&format!("applications/{name}"), "");
        wait_app(consul, &asterisk, name);
        wait_catalog(consul, name, "be there", |_, count| count == 1);
    }
    rotate(consul, &asterisk, &old);
    asterisk
}

/// Waits for what the catalog, which all other nodes see, has of a service.
#[track_caller]
fn wait_catalog(consul: &Consul, name: &str, what: &str, fits: impl Fn(&str, usize) -> bool) {
    eventually(&format!("{name} to {what} in the catalog"), seconds(25), || {
        let found = consul.health(name);
        let text = json!(found).to_string();
        if fits(&text, found.len()) { Ok(()) } else { Err(text) }
    });
}

fn a_token_that_is_rotated_is_followed_without_a_reload(version: Version) {
    let consul = closed();
    let (asterisk, old) = with_token_file(version, &consul, consul.port());
    consul.kv_put("applications/before", "");
    wait_app(&consul, &asterisk, "before");
    let is_in = |text: &str, _| text.contains("_service_maintenance");
    asterisk.cli("discovery set maintenance on");
    wait_catalog(&consul, "asterisk", "be in maintenance", is_in);
    rotate(&consul, &asterisk, &old);
    // It was the old token's, and is to go from the catalog too, which sends the calls.
    asterisk.cli("discovery set maintenance off");
    wait_catalog(&consul, "asterisk", "be out of maintenance", |text, _| !is_in(text, 0));
    consul.kv_put("applications/after", "");
    wait_exactly(&consul, &asterisk, &["after", "before"]);
    asterisk.cli("discovery set maintenance on");
    wait_catalog(&consul, "asterisk", "be in maintenance", is_in);
    asterisk.cli("discovery set maintenance off");
    wait_catalog(&consul, "asterisk", "be out of maintenance", |text, _| !is_in(text, 0));
    wait_consul(&asterisk, "reachable");
    assert!(lines_with(&asterisk, 0, "refuses the token").len() <= 1);
    crate::fleet::unload_all_in_time(&asterisk);
}

/// The agent writes into the catalog with the token that something was registered with. With one
/// that is revoked, nothing changes there any more, and it never goes.
fn what_an_old_token_has_registered_goes_with_the_new_one(version: Version) {
    let consul = closed();
    let proxy = Proxy::to(consul.port());
    let asterisk = rotated(version, &consul, proxy.port());
    // With no time to register it again before.
    consul.kv_delete("applications/before");
    wait_catalog(&consul, "before", "be gone", |_, count| count == 0);
    consul.kv_put("applications/after", "");
    wait_exactly(&consul, &asterisk, &["after", "kept"]);
    for id in [asterisk.entity_id().to_owned(), app_id(&asterisk, "kept")] {
        eventually(&format!("{id} to be registered again"), seconds(20), || {
            let seen = proxy.seen();
            let register =
                |request: &&rig::Request| request.begins("PUT /v1/agent/service/register");
            let mut ours =
                seen.iter().filter(register).filter(|one| one.json()["ID"] == id.as_str());
            let tokens = |one: &rig::Request| one.header("X-Consul-Token").map(str::to_owned);
            let first = ours.next().and_then(tokens);
            if ours.any(|one| tokens(one) != first) { Ok(()) } else { Err("with the old token") }
        });
    }
    crate::fleet::unload_all(&asterisk);
    for name in ["after", "kept", "asterisk"] {
        wait_catalog(&consul, name, "be gone", |_, count| count == 0);
    }
}

/// With no time to register anything again: the unload is the first to need another token.
fn what_an_old_token_has_registered_goes_at_once(version: Version) {
    let consul = closed();
    let asterisk = rotated(version, &consul, consul.port());
    crate::fleet::unload_all_in_time(&asterisk);
    for name in ["before", "kept", "asterisk"] {
        wait_catalog(&consul, name, "be gone", |_, count| count == 0);
    }
}
