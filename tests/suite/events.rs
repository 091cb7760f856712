// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Events of applications and channels at the broker, compared with what ARI's own clients are told
//! of the same calls; and the numbers that all events bear.

use rig::{Broker, Consumer, Message, Version, seconds};
use serde_json::{Value, json};

use crate::clients::{
    Clients, assert_same, call_into, data, messages_until, text, waiting_channel, with_calls,
};
use crate::contract::{assert_labels, boot};
use crate::pair::{AmqpConf, Pair, load, node, unload, wait_for_state};

on_each_version!(
    an_application_is_told_what_an_ari_client_is_told,
    start_and_end_are_those_of_any_stasis_application,
    channel_events_are_those_of_an_ari_client,
    without_channel_events_those_of_applications_still_come,
    events_of_all_sources_are_numbered_without_a_gap,
);

/// What the channel topic has as JSON.
const OF_CHANNELS: [&str; 13] = [
    "ChannelDtmfReceived",
    "ChannelHangupRequest",
    "ChannelHold",
    "ChannelTalkingFinished",
    "ChannelTalkingStarted",
    "ChannelToneDetected",
    "ChannelTransfer",
    "ChannelUnhold",
    "ChannelUserevent",
    "ChannelVarset",
    "Dial",
    "PlaybackFinished",
    "PlaybackStarted",
];

const ALL: &str = "eventSource=channel:,bridge:,endpoint:,deviceState:";

fn an_application_is_told_what_an_ari_client_is_told(version: Version) {
    let pair = Pair::furnished(version, |conf| conf, with_calls);
    let asterisk = &pair.asterisk;
    let consumer = pair.consumer(&["stasis.app.#"]);
    assert_eq!(asterisk.ari().post("/amqp/Demo").status, 204);
    asterisk.ari().post(&format!("/applications/Demo/subscription?{ALL}")).ok();
    let clients = Clients::start(asterisk);
    let begin = clients.mark();
    messages_until(&consumer, &begin);
    clients.ari_until(&begin);

    clients.press("5");
    call_into(asterisk, "Demo");

    let end = clients.mark();
    let messages = messages_until(&consumer, &end);
    for message in &messages {
        assert_labels(message, asterisk);
        assert_eq!(message.routing_key, "stasis.app.demo");
        assert_eq!(message.json()["application"], "Demo");
    }
    let mut theirs = clients.ari_until(&end);
    theirs.iter_mut().for_each(|event| event["application"] = json!("Demo"));
    let (ours, theirs) = (comparable(data(&messages)), comparable(theirs));
    assert_same("application", &ours, &theirs);
    let call = &ours.iter().find(|event| event["type"] == "PlaybackStarted");
    let target = text(&call.expect("a playback")["playback"]["target_uri"]);
    assert_eq!(of_channel(&ours, &target), of_channel(&theirs, &target));
    assert!(of_channel(&ours, &target).len() > 10);
}

/// Without what only the application itself is told, and what depends on the moment: Asterisk gives
/// an event of a device the time at which it is shown, and tells of the device's rest at leisure.
fn comparable(mut events: Vec<Value>) -> Vec<Value> {
    events.retain(|event| {
        let device = &event["device_state"]["state"];
        !text(&event["type"]).starts_with("Stasis") && (device.is_null() || device == "INUSE")
    });
    for event in &mut events {
        if event["type"] == "DeviceStateChanged" {
            event["timestamp"] = Value::Null;
        }
    }
    events
}

/// The events of one channel's topic, whose order Asterisk keeps.
fn of_channel<'a>(events: &'a [Value], target: &str) -> Vec<&'a Value> {
    let id = target.trim_start_matches("channel:");
    let is_its = |event: &&Value| event["channel"]["id"] == *id && event["bridge"].is_null();
    events.iter().filter(is_its).collect()
}

fn start_and_end_are_those_of_any_stasis_application(version: Version) {
    let pair = Pair::furnished(version, |conf| conf, with_calls);
    let asterisk = &pair.asterisk;
    let consumer = pair.consumer(&["stasis.app.alpha"]);
    assert_eq!(asterisk.ari().post("/amqp/Alpha").status, 204);
    let socket = asterisk.ari().events("Omega");

    call_into(asterisk, "Alpha");
    call_into(asterisk, "Omega");

    for kind in ["StasisStart", "StasisEnd"] {
        let ours = consumer.next_where(kind, seconds(10), |message| message.name() == kind);
        assert_labels(&ours, asterisk);
        let theirs = socket.next_of(kind, seconds(10));
        assert_eq!(normal(&ours.json()["data"], "Alpha"), normal(&theirs, "Omega"));
    }
}

/// An event without what differs from call to call.
fn normal(event: &Value, app: &str) -> Value {
    let channel = &event["channel"];
    let mut normal = event.to_string().replace(app, "APP");
    for key in ["id", "name", "protocol_id", "creationtime"] {
        // 16 has no protocol_id.
        let value = channel[key].as_str().unwrap_or("none");
        normal = normal.replace(&format!("\"{value}\""), &format!("\"{key}\""));
    }
    normal = normal.replace(&text(&event["timestamp"]), "time");
    serde_json::from_str(&normal).expect("still JSON")
}

fn channel_events_are_those_of_an_ari_client(version: Version) {
    let pair = Pair::furnished(version, |conf| conf, with_calls);
    let asterisk = &pair.asterisk;
    let consumer = pair.consumer(&["stasis.channel.#"]);
    let clients = Clients::start(asterisk);
    let _socket = asterisk.ari().events("Omega");
    let begin = clients.mark();
    messages_until(&consumer, &begin);
    clients.ari_until(&begin);

    waiting_channel(asterisk);
    clients.press("7");
    call_into(asterisk, "Omega");

    let end = clients.mark();
    let messages = messages_until(&consumer, &end);
    messages.iter().for_each(|message| assert_labels(message, asterisk));
    let mut theirs = clients.ari_until(&end);
    theirs.retain(|event| OF_CHANNELS.contains(&text(&event["type"]).as_str()));
    for event in &mut theirs {
        let event = event.as_object_mut().expect("an event is an object");
        event.remove("application");
        event.remove("asterisk_id");
    }
    assert_same("channels", &data(&messages), &theirs);
    for kind in ["ChannelDtmfReceived", "ChannelUserevent", "Dial", "PlaybackStarted"] {
        assert!(theirs.iter().any(|event| event["type"] == kind), "no {kind}");
    }
}

fn without_channel_events_those_of_applications_still_come(version: Version) {
    let pair = Pair::furnished(
        version,
        |conf| conf.stasis("publish_channel_events", "no").stasis("publish_ami_events", "no"),
        with_calls,
    );
    let asterisk = &pair.asterisk;
    let consumer = pair.consumer(&["#"]);
    assert_eq!(asterisk.ari().post("/amqp/Demo").status, 204);
    asterisk.ari().post(&format!("/applications/Demo/subscription?{ALL}")).ok();
    let clients = Clients::start(asterisk);

    call_into(asterisk, "Demo");

    let messages = messages_until(&consumer, &clients.mark());
    assert!(messages.iter().any(|message| message.name() == "StasisEnd"));
    // Once more, so that a straggler of the first mark in another source would be seen.
    let more = messages_until(&consumer, &clients.mark());
    for message in messages.iter().chain(&more) {
        assert_eq!(message.routing_key, "stasis.app.demo");
    }
}

fn events_of_all_sources_are_numbered_without_a_gap(version: Version) {
    let tenant = Broker::shared().tenant();
    let conf = AmqpConf::new(&tenant.url()).stasis("publish_ami_events", "all");
    let asterisk = with_calls(node(version, &conf.text())).start();
    let clients = Clients::start(&asterisk);
    // Before the module, so that no event is missed.
    let consumer = Consumer::topic(&tenant.url(), "asterisk", &["#"]);

    let mut boots = Vec::new();
    for _ in 0..2 {
        load(&asterisk);
        wait_for_state(&asterisk, "connected");
        assert_eq!(asterisk.ari().post("/amqp/Demo").status, 204);
        call_into(&asterisk, "Demo");
        unload(&asterisk);
        // What was published is delivered before unload returns; a message of ours marks the end.
        tenant.publish("asterisk", "end", &json!({"name": "end"}), "{}");
        let mut messages =
            consumer.drain_until("end", seconds(20), |message| message.routing_key == "end");
        messages.pop();
        for (message, sequence) in messages.iter().zip(1..) {
            assert_eq!(message.sequence(), Some(sequence));
            assert_eq!(boot(message), boot(&messages[0]));
            assert_labels(message, &asterisk);
        }
        for source in ["stasis.app.", "stasis.channel.", "ami."] {
            let of_source = |message: &Message| message.routing_key.starts_with(source);
            assert!(messages.iter().any(of_source), "no event of {source}");
        }
        boots.push(boot(&messages[0]));
    }
    drop(clients);
    assert_ne!(boots[0], boots[1]);
}
