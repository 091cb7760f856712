// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! `res_consul_stasis_app`: a key of Consul's is an application and a service, for as long as it is
//! there.

use std::time::Instant;

use rig::consumer::Message;
use rig::{Asterisk, Consul, Consumer, Version, eventually, seconds};
use serde_json::{Value, json};

use crate::clients::{call_into, text, with_calls};
use crate::fleet::{
    APPS, CONSUL, ConsulConf, DISCOVERY, Fleet, app_id, apps, call_that_stays, load, load_all,
    node, registered_apps, unload, wait_app, wait_exactly, wait_gone, wait_status,
};
use crate::pair::{self, AmqpConf};

on_each_version!(
    a_key_makes_an_application_and_a_service_and_takes_them_away,
    an_application_has_any_name_its_key_has,
    folders_and_other_prefixes_make_none,
    a_call_into_it_has_its_events_at_the_broker,
    what_is_taken_away_elsewhere_comes_back,
    what_a_crash_leaves_behind_is_cleaned_at_the_next_start,
    prefix_and_switch_are_followed_at_a_reload,
    an_unload_takes_all_away_and_the_calls_live,
    every_stop_takes_all_away,
);

/// All events of applications.
fn consumer(fleet: &Fleet) -> Consumer {
    Consumer::topic(&fleet.tenant.url(), "asterisk", &["stasis.app.#"])
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// An event that only this application is told of arrives at the broker, with its name.
#[track_caller]
fn assert_publishes(asterisk: &Asterisk, consumer: &Consumer, app: &str, event: &str) {
    let path = format!("/events/user/{event}?application={}", encoded(app));
    let posted = asterisk.ari().post(&path);
    assert_eq!(posted.status, 204, "{app}: {posted:?}");
    let is_it = |message: &Message| message.json()["data"]["eventname"] == *event;
    let message = consumer.next_where(event, seconds(10), is_it);
    assert_eq!(message.json()["application"], app);
}

/// How often the log has a text.
fn logged(asterisk: &Asterisk, text: &str) -> usize {
    asterisk.log().matches(text).count()
}

fn a_key_makes_an_application_and_a_service_and_takes_them_away(version: Version) {
    let fleet = Fleet::start(version);
    let (consul, asterisk, ari) = (&fleet.consul, &fleet.asterisk, fleet.asterisk.ari());
    let consumer = consumer(&fleet);
    assert_eq!(apps(asterisk), [""; 0]);

    consul.kv_put("applications/demo", "");
    fleet.wait_app("demo");
    let id = app_id(asterisk, "demo");
    let service = consul.service(&id).expect("a service");
    let eid = asterisk.entity_id();
    assert_eq!(service["Service"]["ID"], *id);
    assert_eq!(service["Service"]["Service"], "demo");
    assert_eq!(service["Service"]["Tags"], json!([eid]));
    assert_eq!(consul.checks_of(&id).len(), 0, "an application has no check of its own");
    assert_eq!(consul.health("demo").len(), 1);
    assert_publishes(asterisk, &consumer, "demo", "first");

    // Its value is a revision: it lives on, with what a client has subscribed it to.
    ari.post("/applications/demo/subscription?eventSource=deviceState:Stasis:x").ok();
    for value in ["1", "2", ""] {
        consul.kv_put("applications/demo", value);
    }
    consul.kv_put("applications/other", "7");
    fleet.wait_app("other");
    let subscribed = ari.get("/applications/demo").ok();
    assert_eq!(subscribed["device_names"], json!(["Stasis:x"]), "it was made anew: {subscribed}");
    assert_publishes(asterisk, &consumer, "demo", "second");
    let shown = asterisk.cli("consul show applications");
    for name in ["demo", "other"] {
        assert!(shown.contains(name), "no {name} in: {shown}");
    }

    consul.kv_delete("applications/demo");
    fleet.wait_no_app("demo");
    assert_eq!(ari.get("/applications/demo").status, 404);
    wait_exactly(consul, asterisk, &["other"]);
    consul.kv_put_many(&[("applications/demo", ""), ("applications/third", "")]);
    wait_exactly(consul, asterisk, &["demo", "other", "third"]);
    assert_publishes(asterisk, &consumer, "demo", "third");
    consul.kv_delete_tree("applications/");
    wait_exactly(consul, asterisk, &[]);
    asterisk.assert_alive();
}

fn an_application_has_any_name_its_key_has(version: Version) {
    let fleet = Fleet::start(version);
    let (consul, asterisk) = (&fleet.consul, &fleet.asterisk);
    let consumer = consumer(&fleet);
    let long = "n".repeat(200);
    let wide = "\u{65e5}".repeat(200);
    let names = [
        "two words",
        " blanks around ",
        "a/b",
        "a//b",
        "a///b",
        "/first",
        "//first",
        "./dot",
        "a/../b",
        "..",
        ".",
        "\u{fc}ber/\u{65e5}\u{672c}",
        "Case",
        "case",
        "CASE",
        "what?is=this#here&there",
        "100%",
        "a%2Fb",
        "quote\"s and 'others'",
        "back\\slash",
        "semi;colon",
        "{brace}",
        "<a>",
        "tab\there",
        &long,
        &wide,
    ];
    let pairs: Vec<_> = names.iter().map(|name| (format!("applications/{name}"), "")).collect();
    consul.kv_put_many(&pairs);
    wait_exactly(consul, asterisk, &names);
    for name in ["two words", "a//b", "a/../b", "CASE", "\u{fc}ber/\u{65e5}\u{672c}", "100%", &wide]
    {
        assert_publishes(asterisk, &consumer, name, "here");
    }
    // Each is ended as what it is, and none takes another along.
    for (index, name) in names.iter().enumerate() {
        consul.kv_delete(&format!("applications/{name}"));
        if index % 5 == 0 {
            wait_exactly(consul, asterisk, &names[index + 1..]);
        }
    }
    wait_exactly(consul, asterisk, &[]);
    let mut complaints = asterisk.complaints();
    complaints.retain(|line| !line.contains("health warning"));
    assert_eq!(complaints, [""; 0], "names were complained of");
}

/// The C module made an application without a name of the folder's own key.
fn folders_and_other_prefixes_make_none(version: Version) {
    let fleet = Fleet::start(version);
    let (consul, asterisk) = (&fleet.consul, &fleet.asterisk);
    for key in [
        "applications/",
        "applications/folder/",
        "applications//",
        "applications/a/b/",
        "applications",
        "applicationsx",
        "Applications/upper",
        "app/demo",
        "x/applications/demo",
    ] {
        consul.kv_put(key, "");
    }
    consul.kv_put("applications/folder/inside", "");
    wait_exactly(consul, asterisk, &["folder/inside"]);
    let known = asterisk.ari().get("/applications").ok();
    let known: Vec<String> =
        known.as_array().expect("a list").iter().map(|app| text(&app["name"])).collect();
    assert_eq!(known, ["folder/inside"]);
    consul.kv_delete_tree("applications/folder");
    wait_exactly(consul, asterisk, &[]);
    assert_eq!(consul.services().len(), 1, "the node itself: {:?}", consul.services());
}

fn a_call_into_it_has_its_events_at_the_broker(version: Version) {
    let fleet = Fleet::furnished(version, Consul::start(), |conf| conf, with_calls);
    let asterisk = &fleet.asterisk;
    let consumer = consumer(&fleet);
    fleet.consul.kv_put("applications/FromConsul", "1");
    fleet.wait_app("FromConsul");
    call_into(asterisk, "FromConsul");
    let messages = consumer.drain_until("StasisEnd", seconds(20), |m| m.name() == "StasisEnd");
    assert_eq!(messages[0].name(), "StasisStart", "{:?}", messages[0]);
    assert_eq!(messages[0].json()["data"]["args"], json!(["one", "two words", "a: b"]));
    for message in &messages {
        assert_eq!(message.json()["application"], "FromConsul");
        assert_eq!(message.headers["application_name"], "FromConsul");
        assert_eq!(message.routing_key, "stasis.app.fromconsul");
    }
    for kind in ["PlaybackStarted", "ChannelEnteredBridge"] {
        assert!(messages.iter().any(|message| message.name() == kind), "no {kind}");
    }
    asterisk.assert_alive();
}

fn what_is_taken_away_elsewhere_comes_back(version: Version) {
    let fleet = Fleet::start(version);
    let (consul, asterisk) = (&fleet.consul, &fleet.asterisk);
    let consumer = consumer(&fleet);
    for name in ["one", "two"] {
        consul.kv_put(&format!("applications/{name}"), "");
    }
    wait_exactly(consul, asterisk, &["one", "two"]);

    consul.deregister(&app_id(asterisk, "one"));
    eventually("the service to come back", seconds(10), || {
        let registered = registered_apps(consul, asterisk);
        if registered == ["one", "two"] { Ok(()) } else { Err(format!("{registered:?}")) }
    });

    // One that says something else, and one of an application there is no key for.
    let eid = asterisk.entity_id();
    for (name, service, tags) in [
        ("two", "zwei", json!(["somebody's"])),
        ("none", "none", json!([eid])),
        ("untagged", "untagged", json!([])),
    ] {
        let service = json!({"ID": app_id(asterisk, name), "Name": service, "Tags": tags});
        consul.request("PUT", "/v1/agent/service/register", Some(&service)).ok();
    }
    let elsewhere = json!({"ID": "stasis/00:00:00:00:00:01/none", "Name": "none", "Tags": [eid]});
    consul.request("PUT", "/v1/agent/service/register", Some(&elsewhere)).ok();
    eventually("the services to be right", seconds(15), || {
        let service = consul.service(&app_id(asterisk, "two"));
        let two = service.is_some_and(|two| two["Service"]["Tags"] == json!([eid]));
        let registered = registered_apps(consul, asterisk);
        // The one without our tag is not looked for.
        let right = registered.iter().all(|name| ["one", "two", "untagged"].contains(&&**name));
        if two && right { Ok(()) } else { Err(format!("{:?}", consul.services())) }
    });
    assert!(consul.service("stasis/00:00:00:00:00:01/none").is_some(), "it is another node's");

    let made = "publishing the events of application 'one'";
    assert_eq!(logged(asterisk, made), 1);
    assert_eq!(asterisk.ari().delete("/amqp/one").status, 204);
    eventually("the application to be created again", seconds(10), || {
        let count = logged(asterisk, made);
        if count == 2 { Ok(()) } else { Err(count) }
    });
    fleet.wait_app("one");
    assert_publishes(asterisk, &consumer, "one", "again");
    asterisk.assert_alive();
}

fn what_a_crash_leaves_behind_is_cleaned_at_the_next_start(version: Version) {
    let fleet = Fleet::start(version);
    let consul = &fleet.consul;
    let names = ["stays", "goes", "goes//too"];
    for name in names {
        consul.kv_put(&format!("applications/{name}"), "");
    }
    wait_exactly(consul, &fleet.asterisk, &names);
    fleet.asterisk.kill();
    for name in &names[1..] {
        consul.kv_delete(&format!("applications/{name}"));
    }
    assert_eq!(registered_apps(consul, &fleet.asterisk).len(), 3, "a crash deregisters nothing");

    let amqp = AmqpConf::new(&fleet.tenant.url()).text();
    let again = node(version, &amqp, &fleet.conf()).entity_id(fleet.asterisk.entity_id()).start();
    load_all(&again);
    wait_exactly(consul, &again, &["stays"]);
    wait_status(consul, again.entity_id(), "passing");
}

/// The C module obeyed neither: the prefix of the file was overwritten by the default, and after a
/// reload the keys of one were matched with the other.
fn prefix_and_switch_are_followed_at_a_reload(version: Version) {
    let fleet = Fleet::with(version, Consul::start(), |conf| conf.stasis_app("app_prefix", "a/b/"));
    let (consul, asterisk) = (&fleet.consul, &fleet.asterisk);
    let at = |prefix: &str| fleet.conf().stasis_app("app_prefix", prefix);
    for key in ["a/b/first", "a/both", "applications/third", "a/b/both", "applications/both"] {
        consul.kv_put(key, "");
    }
    wait_exactly(consul, asterisk, &["both", "first"]);
    asterisk.ari().post("/applications/both/subscription?eventSource=deviceState:Stasis:x").ok();

    fleet.reload(APPS, &fleet.conf());
    wait_exactly(consul, asterisk, &["both", "third"]);
    let kept = asterisk.ari().get("/applications/both").ok();
    assert_eq!(kept["device_names"], json!(["Stasis:x"]), "it was made anew");
    consul.kv_put("a/b/late", "");
    consul.kv_put("applications/late", "");
    wait_exactly(consul, asterisk, &["both", "late", "third"]);
    fleet.reload(APPS, &at("none/"));
    wait_exactly(consul, asterisk, &[]);
    fleet.reload(APPS, &at("a/b/"));
    wait_exactly(consul, asterisk, &["both", "first", "late"]);

    // A bad one: what was stays.
    let mark = asterisk.log_mark();
    asterisk.write_conf("consul.conf", &at("/slash/").text());
    let answer = asterisk.cli(&format!("module reload {APPS}.so"));
    assert!(!answer.contains("reloaded successfully"), "{answer}");
    let line = asterisk.wait_log_after(mark, "app_prefix");
    assert!(line.contains("ERROR[") && line.contains("/slash/"), "{line}");
    consul.kv_put("a/b/after", "");
    wait_exactly(consul, asterisk, &["after", "both", "first", "late"]);

    fleet.reload(APPS, &at("a/b/").stasis_app("enabled", "no"));
    wait_exactly(consul, asterisk, &[]);
    consul.kv_put("a/b/off", "");
    fleet.reload(APPS, &at("a/b/"));
    wait_exactly(consul, asterisk, &["after", "both", "first", "late", "off"]);
    fleet.wait_passing();

    // All three off, the one the others need last, and on again.
    let conf = at("a/b/");
    let off = conf.text().replace("[general]\nenabled = yes", "[general]\nenabled = no");
    asterisk.write_conf("consul.conf", &off);
    crate::fleet::reload(asterisk, APPS);
    wait_exactly(consul, asterisk, &[]);
    crate::fleet::reload(asterisk, DISCOVERY);
    wait_gone(consul, fleet.id());
    crate::fleet::reload(asterisk, CONSUL);
    consul.kv_put("a/b/off", "");
    asterisk.write_conf("consul.conf", &conf.text());
    for module in [CONSUL, DISCOVERY, APPS] {
        crate::fleet::reload(asterisk, module);
    }
    wait_exactly(consul, asterisk, &["after", "both", "first", "late", "off"]);
    fleet.wait_passing();
}

/// With the C module the watch's callback ran on in code that was gone.
fn an_unload_takes_all_away_and_the_calls_live(version: Version) {
    let fleet = Fleet::start(version);
    let (consul, asterisk, ari) = (&fleet.consul, &fleet.asterisk, fleet.asterisk.ari());
    for name in ["one", "two"] {
        consul.kv_put(&format!("applications/{name}"), "");
    }
    wait_exactly(consul, asterisk, &["one", "two"]);
    let call = call_that_stays(asterisk, "one");
    // Asterisk keeps what another module needs.
    for needed in [CONSUL, crate::fleet::AMQP] {
        let refused = asterisk.cli(&format!("module unload {needed}.so"));
        assert!(refused.contains("Unable to unload"), "{refused}");
    }
    for round in 1..=5 {
        let since = Instant::now();
        unload(asterisk, APPS);
        let took = since.elapsed();
        assert!(took < seconds(6), "the unload took {took:?}");
        assert!(!asterisk.process().maps(&format!("{APPS}.so")), "it is still mapped");
        assert_eq!(apps(asterisk), [""; 0]);
        assert_eq!(registered_apps(consul, asterisk), [""; 0]);
        assert_eq!(ari.get(&call).ok()["state"], "Up");
        // Nobody is there to be told of it.
        consul.kv_put(&format!("applications/while away {round}"), "");
        load(asterisk, APPS);
        fleet.wait_app("one");
        fleet.wait_app(&format!("while away {round}"));
    }
    fleet.wait_passing();
    assert_eq!(ari.delete(&call).status, 204);
    asterisk.assert_alive();
}

fn every_stop_takes_all_away(version: Version) {
    type Stop = fn(&Asterisk) -> std::process::ExitStatus;
    let stops: [(&str, Stop); 3] = [
        ("core stop now", Asterisk::stop_now),
        ("SIGTERM", Asterisk::terminate),
        ("core stop gracefully", Asterisk::stop_gracefully),
    ];
    let tenant = rig::Broker::shared().tenant();
    let consul = Consul::start();
    let amqp = AmqpConf::new(&tenant.url()).text();
    let names = ["one", "two/three", "four//five"];
    for name in names {
        consul.kv_put(&format!("applications/{name}"), "");
    }
    for (how, stop) in stops {
        let asterisk = node(version, &amqp, &ConsulConf::new(consul.port())).start();
        load_all(&asterisk);
        pair::wait_for_state(&asterisk, "connected");
        wait_exactly(&consul, &asterisk, &names);
        wait_app(&consul, &asterisk, "one");
        wait_status(&consul, asterisk.entity_id(), "passing");
        let status = stop(&asterisk);
        assert!(status.success(), "{how}: {status}");
        let left: Vec<(String, Value)> = consul.services().into_iter().collect();
        assert!(left.is_empty(), "after {how}: {left:?}");
    }
}
