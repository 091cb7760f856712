// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! All four modules with Consul away, killed, wiped and restarted: nothing that is up goes down,
//! and when it is back Consul has what there is, and there is what Consul has.

use std::time::{Duration, Instant};

use rig::{
    Asterisk, Broker, Builder, Consul, Consumer, Proxy, Tenant, Version, eventually, seconds,
};
use serde_json::json;

use crate::fleet::{
    APPS, CONSUL, ConsulConf, DISCOVERY, MODULES, app_id, apps, call_that_stays, load, node,
    registered_apps, unload, wait_exactly, wait_status,
};
use crate::pair::{AmqpConf, counter, wait_for_counter, wait_for_state};
use crate::traffic::{Arrived, ENDLESS, count_slowly, hang_up, keep_all, settle};

on_each_version!(
    a_node_boots_with_everything_down_and_finds_it_later,
    an_agent_killed_wiped_and_restarted_gets_all_back_and_no_event_is_lost,
    applications_stay_while_consul_is_away_and_follow_the_keys_after,
    an_agent_that_is_frozen_holds_up_no_unload,
    it_boots_in_any_order_of_modules_conf,
);

/// How soon Consul must have node and applications once it is there.
const SOON: Duration = seconds(5);
/// How soon after a loss of all it had.
const LATER: Duration = seconds(10);

/// Waits until the node is registered and passing, and exactly these applications are there.
#[track_caller]
fn wait_all(what: &str, within: Duration, consul: &Consul, asterisk: &Asterisk, names: &[&str]) {
    eventually(what, within, || {
        let node = consul.service(asterisk.entity_id());
        let passing = node.is_some_and(|node| node["AggregatedStatus"] == "passing");
        let (there, registered) = (apps(asterisk), registered_apps(consul, asterisk));
        if passing && there == names && registered == names {
            Ok(())
        } else {
            Err(format!("passing: {passing}, applications {there:?}, in Consul {registered:?}"))
        }
    });
}

/// A node that loads all four when it boots.
fn booting(version: Version, amqp: &str, consul: &ConsulConf) -> Builder {
    MODULES.into_iter().fold(node(version, amqp, consul), Builder::module)
}

/// How long a node takes to boot.
fn boot(builder: Builder) -> (Duration, Asterisk) {
    let since = Instant::now();
    let asterisk = builder.start();
    (since.elapsed(), asterisk)
}

fn a_node_boots_with_everything_down_and_finds_it_later(version: Version) {
    let broker = Broker::shared();
    let tenant = broker.tenant();
    let to_broker = Proxy::to(broker.port());
    to_broker.refuse();
    let url = tenant.url().replace(&broker.port().to_string(), &to_broker.port().to_string());
    let consul = Consul::builder().persistent().start();
    consul.kv_put_many(&[("applications/one", ""), ("applications/two", "")]);
    consul.kill();

    let (plain, without) = boot(Asterisk::builder(version));
    let conf = ConsulConf::new(consul.port());
    let (took, asterisk) = boot(booting(version, &AmqpConf::new(&url).text(), &conf));
    // A wait for either server would be seconds; what is compared is two starts on a busy machine.
    assert!(took < plain * 2 + seconds(2), "booted in {took:?}, without modules in {plain:?}");
    drop(without);
    for module in MODULES {
        let listed = asterisk.cli(&format!("module show like {module}.so"));
        assert!(listed.contains("Running"), "{listed}");
    }
    let uptime = asterisk.cli("core show uptime");
    assert!(uptime.contains("System uptime"), "{uptime}");
    assert_eq!(asterisk.ari().get("/amqp").ok()["applications"], json!([]));
    asterisk.cli("channel originate Local/stay@default extension stay@default");

    consul.start_again();
    let passing_or_warning = eventually("node and applications in Consul", SOON, || {
        let node = consul.service(asterisk.entity_id());
        let registered = registered_apps(&consul, &asterisk);
        match node {
            Some(node) if registered == ["one", "two"] => Ok(node),
            other => {
                Err(format!("{other:?}, {registered:?}\n{}", asterisk.cli("consul show status")))
            }
        }
    });
    // It says why it would rather not have calls.
    assert_eq!(passing_or_warning["AggregatedStatus"], "warning", "{passing_or_warning}");
    assert_eq!(apps(&asterisk), ["one", "two"]);

    to_broker.pass();
    wait_for_state(&asterisk, "connected");
    wait_status(&consul, asterisk.entity_id(), "passing");
    wait_exactly(&consul, &asterisk, &["one", "two"]);
    hang_up(&asterisk);
    asterisk.assert_alive();
}

/// A queue that keeps all that the tenant's node publishes.
fn keep(tenant: &Tenant<'_>) {
    keep_all(tenant, "asterisk", "lasting", "classic");
}

fn an_agent_killed_wiped_and_restarted_gets_all_back_and_no_event_is_lost(version: Version) {
    let tenant = Broker::shared().tenant();
    keep(&tenant);
    let consul = Consul::builder().persistent().start();
    let keys = [("applications/one", ""), ("applications/two", "1"), ("applications/three", "")];
    consul.kv_put_many(&keys);
    let names = ["one", "three", "two"];
    let amqp = AmqpConf::new(&tenant.url()).stasis("publish_ami_events", "no").text();
    let asterisk = booting(version, &amqp, &ConsulConf::new(consul.port())).start();
    wait_for_state(&asterisk, "connected");
    wait_all("all at first", LATER, &consul, &asterisk, &names);

    let channel = count_slowly(&asterisk, ENDLESS);
    wait_for_counter(&asterisk, "confirmed", seconds(20), 500);

    // Restarted with what it has on disk.
    consul.kill();
    consul.start_again();
    wait_all("all after a restart", LATER, &consul, &asterisk, &names);

    // A machine that was set up anew: the keys are there again, its services are not. Meanwhile the
    // modules may see an agent without any key, and then have no application.
    consul.kill();
    let before = counter(&asterisk, "confirmed");
    eventually("events to go on without Consul", seconds(10), || {
        let now = counter(&asterisk, "confirmed");
        if now > before + 100 { Ok(()) } else { Err(now) }
    });
    consul.wipe();
    consul.start_again();
    consul.kv_put_many(&keys);
    wait_all("all after a wipe", LATER, &consul, &asterisk, &names);
    assert!(!channel.is_done(), "the traffic was over before the outages");

    hang_up(&asterisk);
    let last = settle(&asterisk);
    assert_eq!(counter(&asterisk, "dropped"), 0);
    assert_eq!(counter(&asterisk, "republished"), 0);
    let arrived = Arrived::until(&Consumer::queue(&tenant.url(), "lasting"), last);
    arrived.assert_in_order();
    assert_eq!(arrived.repeats, 0);
    let numbers = arrived.messages().filter_map(|message| {
        let data = message.json()["data"].take();
        (data["variable"] == "I").then(|| data["value"].as_str()?.parse().ok())?
    });
    arrived.assert_counted_to(numbers.max().expect("the channel has counted"));
    asterisk.assert_alive();
}

fn applications_stay_while_consul_is_away_and_follow_the_keys_after(version: Version) {
    let tenant = Broker::shared().tenant();
    let consul = Consul::builder().persistent().start();
    let proxy = Proxy::to(consul.port());
    for name in ["stays", "goes", "changes"] {
        consul.kv_put(&format!("applications/{name}"), "");
    }
    let amqp = AmqpConf::new(&tenant.url()).text();
    let asterisk = booting(version, &amqp, &ConsulConf::new(proxy.port())).start();
    let ari = asterisk.ari();
    wait_for_state(&asterisk, "connected");
    wait_all("all at first", LATER, &consul, &asterisk, &["changes", "goes", "stays"]);
    let consumer = Consumer::topic(&tenant.url(), "asterisk", &["stasis.app.#"]);
    let call = call_that_stays(&asterisk, "stays");
    let started = |message: &rig::Message| message.name() == "StasisStart";
    consumer.next_where("StasisStart", seconds(10), started);

    proxy.refuse();
    proxy.cut();
    consul.kill();
    eventually("the loss to be seen", seconds(10), || {
        let shown = asterisk.cli("consul show status");
        if shown.contains("unreachable") { Ok(()) } else { Err(shown) }
    });
    // All is there and works; what is changed meanwhile, nobody here is told.
    assert_eq!(apps(&asterisk), ["changes", "goes", "stays"]);
    for name in ["changes", "goes", "stays"] {
        assert_eq!(ari.post(&format!("/events/user/away?application={name}")).status, 204);
        consumer.next_where(name, seconds(10), |message| {
            let event = message.json();
            event["application"] == name && event["data"]["eventname"] == "away"
        });
    }
    consul.start_again();
    consul.kv_delete("applications/goes");
    consul.kv_put("applications/comes", "");
    consul.kv_put("applications/changes", r#"{"events":{"allowed":["StasisStart"]}}"#);
    consul.kv_put("applications/short", "");
    consul.kv_delete("applications/short");
    consul.deregister(&app_id(&asterisk, "stays"));
    assert_eq!(apps(&asterisk), ["changes", "goes", "stays"]);

    proxy.pass();
    wait_all("what the keys say", LATER, &consul, &asterisk, &["changes", "comes", "stays"]);
    eventually("the filter of the new value", seconds(10), || {
        let shown = ari.get("/applications/changes").ok();
        let wanted = json!([{"type": "StasisStart"}]);
        if shown["events_allowed"] == wanted { Ok(()) } else { Err(shown) }
    });
    // The call in it has not noticed.
    assert_eq!(ari.get(&call).ok()["state"], "Up");
    assert_eq!(ari.delete(&call).status, 204);
    consumer.next_where("StasisEnd", seconds(10), |message| message.name() == "StasisEnd");
    let log = asterisk.log();
    assert_eq!(log.matches("publishing the events of application 'stays'").count(), 1);
    asterisk.assert_alive();
}

/// With a request of each kind under way that nobody answers.
fn an_agent_that_is_frozen_holds_up_no_unload(version: Version) {
    let tenant = Broker::shared().tenant();
    let consul = Consul::start();
    let proxy = Proxy::to(consul.port());
    consul.kv_put("applications/demo", "");
    let amqp = AmqpConf::new(&tenant.url()).text();
    let conf = ConsulConf::new(proxy.port()).consul("request_timeout", "60s");
    let conf = conf.discovery("check_interval", "3s");
    let asterisk = booting(version, &amqp, &conf).start();
    wait_for_state(&asterisk, "connected");
    for _ in 0..3 {
        wait_all("all", LATER, &consul, &asterisk, &["demo"]);
        consul.freeze();
        // Those of discovery, and that of the applications.
        let asked = || {
            let node =
                ["/v1/agent/health/", "/v1/agent/check/"].map(|path| proxy.requests_to(path));
            (node[0] + node[1], proxy.requests_to("/v1/agent/services"))
        };
        let before = asked();
        eventually("requests that are not answered", seconds(15), || match asked() {
            now if now.0 > before.0 && now.1 > before.1 => Ok(()),
            now => Err(format!("{now:?}, before {before:?}")),
        });
        for module in [DISCOVERY, APPS, CONSUL] {
            let since = Instant::now();
            unload(&asterisk, module);
            let took = since.elapsed();
            // Two seconds on a machine that has nothing else to do; a minute if it waited.
            assert!(took < seconds(20), "the unload of {module} took {took:?}");
        }
        consul.thaw();
        for module in [CONSUL, APPS, DISCOVERY] {
            load(&asterisk, module);
        }
    }
    wait_all("all at last", LATER, &consul, &asterisk, &["demo"]);
    asterisk.assert_alive();
}

/// Asterisk finds the order itself.
fn it_boots_in_any_order_of_modules_conf(version: Version) {
    let consul = Consul::start();
    consul.kv_put("applications/demo", "");
    let tenant = Broker::shared().tenant();
    let amqp = AmqpConf::new(&tenant.url()).text();
    let [one, two, three, four] = MODULES;
    for order in [[four, three, two, one], [three, four, one, two]] {
        let node = node(version, &amqp, &ConsulConf::new(consul.port()));
        let asterisk = order.into_iter().fold(node, Builder::module).start();
        wait_all("all", LATER, &consul, &asterisk, &["demo"]);
        assert!(asterisk.stop_gracefully().success());
        assert_eq!(consul.services().len(), 0, "{:?}", consul.services());
    }
}
