// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Who gets what: the types of exchange, and several applications beside each other.

use rig::{Consumer, Message, Version, eventually, seconds};
use serde_json::Value;

use crate::clients::{Clients, messages_until, text, waiting_channel};
use crate::contract::assert_labels;
use crate::pair::Pair;

on_each_version!(
    a_topic_exchange_routes_by_pattern,
    a_headers_exchange_routes_by_name_category_and_application,
    a_fanout_exchange_gives_all_to_everyone,
    a_direct_exchange_routes_by_whole_keys,
    two_applications_do_not_hear_of_each_other,
    applications_may_have_any_name,
);

/// A pair with one application that is told of all channels.
fn with_exchange(version: Version, kind: &str) -> Pair {
    let pair = Pair::with(version, |conf| conf.stasis("exchange_type", kind));
    add(&pair, "Demo");
    pair
}

fn add(pair: &Pair, app: &str) {
    let ari = pair.asterisk.ari();
    let app = encoded(app);
    assert_eq!(ari.post(&format!("/amqp/{app}")).status, 204);
    ari.post(&format!("/applications/{app}/subscription?eventSource=channel:")).ok();
}

fn encoded(app: &str) -> String {
    app.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// The key of each message that came in one stretch, once each.
fn keys(messages: &[Message]) -> Vec<&str> {
    let mut keys: Vec<&str> = messages.iter().map(|one| one.routing_key.as_str()).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

fn a_topic_exchange_routes_by_pattern(version: Version) {
    let pair = with_exchange(version, "topic");
    let of = |keys| pair.consumer(&[keys]);
    let [stasis, dials, all] = [of("stasis.*.channelvarset"), of("*.*.dial"), of("#")];
    let clients = Clients::start(&pair.asterisk);
    let mark = clients.mark();
    assert_eq!(keys(&messages_until(&stasis, &mark)), ["stasis.channel.channelvarset"; 0]);
    let of_mark = |message: &Message| message.json()["data"]["value"] == *mark;
    let dials = dials.next_where("Dial", seconds(10), |message| message.name() == "Dial");
    assert_eq!(dials.routing_key, "stasis.channel.dial");
    let of_app = |message: &Message| message.routing_key.starts_with("stasis.app.");
    all.next_where("mark", seconds(10), |message| of_app(message) && of_mark(message));
}

/// The bindings of Wazo's own consumers.
fn a_headers_exchange_routes_by_name_category_and_application(version: Version) {
    let pair = with_exchange(version, "headers");
    add(&pair, "other");
    let bound = |all: &[(&str, &str)]| Consumer::headers(&pair.tenant.url(), "asterisk", all);
    let of_app = bound(&[("category", "stasis"), ("application_name", "Demo")]);
    let of_name = bound(&[("category", "stasis"), ("name", "ChannelVarset")]);
    let of_both = bound(&[("name", "ChannelVarset"), ("application_name", "other")]);
    let of_ami = bound(&[("category", "ami")]);
    let of_none = bound(&[("category", "ami"), ("application_name", "Demo")]);
    let clients = Clients::start(&pair.asterisk);
    let begin = clients.mark();
    for consumer in [&of_app, &of_both, &of_ami] {
        messages_until(consumer, &begin);
    }
    waiting_channel(&pair.asterisk);
    let end = clients.mark();
    let of_app = messages_until(&of_app, &end);
    assert_eq!(keys(&of_app), ["stasis.app.demo"]);
    assert!(of_app.iter().any(|message| message.name() == "ChannelCreated"));
    assert_eq!(messages_until(&of_both, &end).len(), 0, "only marks are ChannelVarset");
    assert!(messages_until(&of_ami, &end).iter().all(|one| one.routing_key.starts_with("ami.")));
    let keys_of_name: Vec<String> = (0..6).map(|_| of_name.next(seconds(10)).routing_key).collect();
    for key in ["stasis.app.demo", "stasis.app.other", "stasis.channel.channelvarset"] {
        let count = keys_of_name.iter().filter(|one| *one == key).count();
        assert_eq!(count, 2, "two marks each: {keys_of_name:?}");
    }
    assert_eq!(of_none.drain(), []);
}

fn a_fanout_exchange_gives_all_to_everyone(version: Version) {
    let pair = with_exchange(version, "fanout");
    let consumers =
        ["", "else"].map(|key| Consumer::keys(&pair.tenant.url(), "asterisk", "fanout", &[key]));
    let clients = Clients::start(&pair.asterisk);
    let mark = clients.mark();
    for consumer in &consumers {
        let mut of_mark: Vec<String> = Vec::new();
        while of_mark.len() < 3 {
            let message = consumer.next(seconds(10));
            if message.json().to_string().contains(&mark) {
                of_mark.push(message.routing_key);
            }
        }
        of_mark.sort_unstable();
        let all = ["ami.varset", "stasis.app.demo", "stasis.channel.channelvarset"];
        assert_eq!(of_mark, all);
    }
}

fn a_direct_exchange_routes_by_whole_keys(version: Version) {
    let pair = with_exchange(version, "direct");
    let bound = |keys: &[&str]| Consumer::keys(&pair.tenant.url(), "asterisk", "direct", keys);
    let two = bound(&["stasis.app.demo", "stasis.channel.dial"]);
    let pattern = bound(&["stasis.#"]);
    let clients = Clients::start(&pair.asterisk);
    let messages = messages_until(&two, &clients.mark());
    assert_eq!(keys(&messages), ["stasis.app.demo", "stasis.channel.dial"]);
    assert_eq!(pattern.drain(), []);
}

fn two_applications_do_not_hear_of_each_other(version: Version) {
    let pair = Pair::start(version);
    let consumer = pair.consumer(&["stasis.app.#"]);
    let ari = pair.asterisk.ari();
    for app in ["One", "Two"] {
        assert_eq!(ari.post(&format!("/amqp/{app}")).status, 204);
    }
    let call = |app: &str| {
        let channel = ari.post(&format!("/channels?endpoint=Local/wait@default&app={app}")).ok();
        text(&channel["id"])
    };
    let calls = [call("One"), call("Two")];
    let mut messages = Vec::new();
    let mut hear_two = |kind: &str| {
        for _ in 0..2 {
            let is_last = |message: &Message| message.name() == kind;
            messages.extend(consumer.drain_until(kind, seconds(10), is_last));
        }
    };
    hear_two("StasisStart");
    for id in &calls {
        assert_eq!(ari.delete(&format!("/channels/{id}")).status, 204);
    }
    hear_two("StasisEnd");
    let mut told = [0, 0];
    for message in &messages {
        assert_labels(message, &pair.asterisk);
        let body = message.json();
        let app = text(&body["application"]);
        let index = usize::from(app == "Two");
        assert_eq!(message.routing_key, ["stasis.app.one", "stasis.app.two"][index]);
        // Each is told of both ends of its own call: the ends share the name up to the last digit.
        let other = &calls[1 - index];
        assert_ne!(body["data"]["channel"]["id"], **other, "{body}");
        told[index] += 1;
    }
    assert!(told[0] > 2 && told[1] > 2, "{told:?}");
}

fn applications_may_have_any_name(version: Version) {
    let pair = Pair::start(version);
    let consumer = pair.consumer(&["stasis.app.#"]);
    let ari = pair.asterisk.ari();
    let long = "Long".repeat(75);
    let umlauts = "ä".repeat(150);
    let names = ["My App", "UPPER", "Grüße ÄÖÜ", "a.b/c?d&e=f%", "\"quoted\\\"", &long, &umlauts];
    for name in names {
        add(&pair, name);
    }
    let listed = ari.get("/amqp").ok()["applications"].clone();
    let mut sorted = names.map(Value::from).to_vec();
    sorted.sort_by_key(text);
    assert_eq!(listed, Value::from(sorted));

    let clients = Clients::start(&pair.asterisk);
    let mark = clients.mark();
    let mut told = Vec::new();
    while told.len() < names.len() {
        let message = consumer.next(seconds(10));
        assert_labels(&message, &pair.asterisk);
        let body = message.json();
        if body["data"]["value"] == *mark {
            told.push(text(&body["application"]));
        }
    }
    told.sort_unstable();
    let mut names = names.map(str::to_owned);
    names.sort_unstable();
    assert_eq!(told, names);

    for name in &names {
        assert_eq!(ari.delete(&format!("/amqp/{}", encoded(name))).status, 204, "{name}");
    }
    let left = ari.get("/amqp").ok();
    assert_eq!(left["applications"], Value::Array(Vec::new()));
    eventually("Asterisk to forget them", seconds(10), || {
        let left = ari.get("/applications").ok();
        let watching = left.as_array().is_some_and(|left| left.len() == 1);
        if watching { Ok(()) } else { Err(left) }
    });
    pair.asterisk.assert_alive();
}
