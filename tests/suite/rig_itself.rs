// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The servers that every other scenario stands on.

mod agents;
mod faults;

use rig::{Asterisk, Broker, Call, Consul, Consumer, Phone, Version, eventually, seconds};
use serde_json::json;

on_each_version!(asterisk_boots_answers_and_frees_all_it_made, a_sip_call_has_audio_both_ways,);

fn asterisk_boots_answers_and_frees_all_it_made(version: Version) {
    let asterisk =
        Asterisk::builder(version).entity_id("02:00:00:00:00:99").ref_debug(true).start();

    let info = asterisk.ari().get("/asterisk/info").ok();
    assert_eq!(info["system"]["entity_id"], "02:00:00:00:00:99");
    assert_eq!(asterisk.ari_reader().post("/channels?endpoint=Local/1@default").status, 403);

    let ami = asterisk.ami();
    let ping = ami.action("Ping", &[]);
    assert_eq!(ping.field("Ping"), "Pong");

    assert!(asterisk.cli("core show version").contains(match version {
        Version::V16 => "Asterisk 16.28",
        Version::V22 => "Asterisk 22.",
    }));
    assert_eq!(asterisk.complaints(), Vec::<String>::new());
    assert!(asterisk.stop_gracefully().success());
    assert_eq!(asterisk.leaks(".c"), []);
}

#[test]
fn an_ari_client_sees_a_local_call() {
    let asterisk = Asterisk::builder(Version::V22)
        .extension("100", &["Answer()", "UserEvent(Hello,Text: one: two)", "Wait(30)"])
        .start();
    let ami = asterisk.ami();
    let ari = asterisk.ari();
    let events = ari.events("smoke");

    let channel = ari.post("/channels?endpoint=Local/100@default&app=smoke").ok();
    let start = events.next_of("StasisStart", seconds(10));
    assert_eq!(start["channel"]["id"], channel["id"]);
    let hello = ami.next_of("UserEvent", seconds(10));
    assert_eq!((hello.field("UserEvent"), hello.field("Text")), ("Hello", "one: two"));
    let listed = ami.action("Command", &[("Command", "core show channels concise")]);
    assert_eq!(listed.values("Output").count(), 2, "{listed:?}");

    let id = channel["id"].as_str().expect("a channel has an id");
    assert_eq!(ari.delete(&format!("/channels/{id}")).status, 204);
    events.next_of("StasisEnd", seconds(10));
}

#[test]
fn a_phone_hears_what_is_said_to_it_and_knows_how_its_call_ended() {
    let asterisk = Asterisk::builder(Version::V22)
        .extension("echo", &["Answer()", "Echo()"])
        .extension("short", &["Answer()", "Hangup()"])
        .start();
    let call = |number: &str| Phone::call(asterisk.sip_port(), number, 440);

    let (echoed, ended, refused) = (call("echo"), call("short"), call("nobody"));
    assert_eq!(echoed.wait_answered(seconds(10)), asterisk.sip_port());
    echoed.wait_hears(seconds(1), &[440], &[440, 620], seconds(20));
    assert_eq!(ended.wait_over(seconds(10)), None);
    eventually("the refusal", seconds(10), || match refused.outcome() {
        Some(Err(404)) => Ok(()),
        other => Err(format!("{other:?}")),
    });

    assert!(echoed.is_up());
    echoed.hang_up();
    assert_eq!(echoed.wait_over(seconds(10)), Some(200));
    eventually("no call", seconds(10), || {
        let shown = asterisk.cli("core show channels count");
        if shown.contains("0 active channels") { Ok(()) } else { Err(shown) }
    });
}

#[test]
fn a_consumer_gets_what_the_broker_is_given() {
    let tenant = Broker::shared().tenant();
    let consumer = Consumer::topic(&tenant.url(), "asterisk", &["stasis.#"]);

    assert!(!tenant.publish("asterisk", "ami.hangup", &json!({}), "not for us"));
    let headers = json!({"name": "StasisStart", "sequence": 7});
    assert!(tenant.publish("asterisk", "stasis.app.demo", &headers, r#"{"a":1}"#));

    let message = consumer.next(seconds(5));
    assert_eq!(message.routing_key, "stasis.app.demo");
    assert_eq!((message.name(), message.sequence()), ("StasisStart", Some(7)));
    assert_eq!(message.json(), json!({"a": 1}));
}

#[test]
fn a_consul_agent_keeps_a_key() {
    let consul = Consul::start();
    assert_eq!(
        consul.request("PUT", "/v1/kv/applications/demo", Some(&json!(1))).ok(),
        json!(true)
    );
    assert_eq!(consul.request("GET", "/v1/kv/applications/demo?raw", None).ok(), json!(1));
}

fn a_sip_call_has_audio_both_ways(version: Version) {
    let asterisk = Asterisk::builder(version).extension("100", &["Answer()", "Echo()"]).start();
    let events = asterisk.ari().events_with("app=watch&subscribeAll=true");

    let call = Call::place(&asterisk, "100", seconds(60));
    let channel = events.next_of("ChannelCreated", seconds(10))["channel"].clone();
    assert_eq!(channel["caller"]["number"], "4711");
    let id = channel["id"].as_str().expect("a channel has an id");
    eventually("50 packets each way", seconds(10), || match asterisk.rtp_packets(id) {
        (50.., 50..) => Ok(()),
        (received, sent) => Err(format!("{received} received, {sent} sent")),
    });

    assert_eq!(asterisk.ari().delete(&format!("/channels/{id}")).status, 204);
    call.wait(seconds(10));
}
