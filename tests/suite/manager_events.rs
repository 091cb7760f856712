// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! AMI events at the broker, compared with what a manager session is told of the same calls.

use std::collections::BTreeSet;

use rig::{Builder, Message, Version, seconds};
use serde_json::{Value, json};

use crate::clients::{
    Clients, assert_same, call_into, data, messages_until, text, waiting_channel, with_calls,
};
use crate::contract::assert_labels;
use crate::pair::{AmqpConf, Pair};

on_each_version!(
    what_the_manager_topic_carries_is_what_a_manager_session_is_told,
    with_all_everything_a_manager_session_is_told_comes,
    with_no_none_comes,
    a_field_keeps_its_whole_value,
    an_event_looks_the_same_from_both_sources,
);

/// Each channel event of AMI then has two fields `ChanVariable`.
fn with_repeated_fields(builder: Builder) -> Builder {
    with_calls(builder).append("manager.conf", "[general](+)\nchannelvars = NOTE,STASISSTATUS")
}

fn names(events: &[Value]) -> BTreeSet<String> {
    events.iter().map(|event| text(&event["Event"])).collect()
}

/// A call in one stretch: what came to the broker, and what to the session.
fn compared_call(pair: &Pair) -> (Vec<Value>, Vec<Value>) {
    let asterisk = &pair.asterisk;
    let consumer = pair.consumer(&["ami.#"]);
    let clients = Clients::start(asterisk);
    let _socket = asterisk.ari().events("Omega");
    let begin = clients.mark();
    messages_until(&consumer, &begin);
    clients.ami_until(&begin);

    waiting_channel(asterisk);
    call_into(asterisk, "Omega");

    let end = clients.mark();
    let messages = messages_until(&consumer, &end);
    messages.iter().for_each(|message| assert_labels(message, asterisk));
    let (mut ours, mut theirs) = (data(&messages), clients.ami_until(&end));
    for events in [&mut ours, &mut theirs] {
        // Asterisk tells of a device that is free again at leisure.
        events.retain(|event| event["Event"] != "DeviceStateChange" || event["State"] == "INUSE");
    }
    (ours, theirs)
}

fn what_the_manager_topic_carries_is_what_a_manager_session_is_told(version: Version) {
    let pair = Pair::furnished(version, |conf| conf, with_repeated_fields);
    let (ours, mut theirs) = compared_call(&pair);
    let carried = names(&ours);
    for name in ["LocalBridge", "UserEvent", "VarSet"] {
        assert!(carried.contains(name), "no {name} in {carried:?}");
    }
    for name in ["DialBegin", "Hangup", "Newchannel", "Newexten", "Newstate"] {
        assert!(!carried.contains(name), "the manager topic does not carry {name}");
    }
    theirs.retain(|event| carried.contains(&text(&event["Event"])));
    assert_same("manager topic", &ours, &theirs);
    assert!(ours.iter().any(|event| event["ChanVariable"].is_array()), "no repeated field");
}

fn with_all_everything_a_manager_session_is_told_comes(version: Version) {
    let all = |conf: AmqpConf| conf.stasis("publish_ami_events", "all");
    let pair = Pair::furnished(version, all, with_repeated_fields);
    let (ours, theirs) = compared_call(&pair);
    assert_same("all manager events", &ours, &theirs);
    let come = names(&ours);
    for name in ["DialBegin", "Hangup", "Newchannel", "Newexten", "Newstate", "UserEvent", "VarSet"]
    {
        assert!(come.contains(name), "no {name} in {come:?}");
    }
    assert!(ours.iter().all(|event| event["Privilege"].is_null()));
}

fn with_no_none_comes(version: Version) {
    let no = |conf: AmqpConf| conf.stasis("publish_ami_events", "no");
    let pair = Pair::furnished(version, no, with_calls);
    let consumer = pair.consumer(&["#"]);
    let clients = Clients::start(&pair.asterisk);
    let _socket = pair.asterisk.ari().events("Omega");
    call_into(&pair.asterisk, "Omega");
    let first = messages_until(&consumer, &clients.mark());
    assert!(first.iter().any(|message| message.name() == "ChannelUserevent"));
    // Once more: what AMI has of the first mark would be before this one.
    let second = messages_until(&consumer, &clients.mark());
    for message in first.iter().chain(&second) {
        assert!(message.routing_key.starts_with("stasis.channel."), "{message:?}");
    }
}

/// What the C module cut to its last word.
fn a_field_keeps_its_whole_value(version: Version) {
    const LONG: &str = "NoOp(PJSIP/bob,30,m(a b) http://h:80/x?a=b&c: d)";
    let pair = Pair::furnished(
        version,
        |conf| conf.stasis("publish_ami_events", "all"),
        |builder| {
            builder
                .extension("values", &["Set(CALLERID(name)=John Q Public)", LONG, "Wait(60)"])
                .append("manager.conf", "[general](+)\nchannelvars = ONE,TWO")
        },
    );
    let asterisk = &pair.asterisk;
    let consumer = pair.consumer(&["ami.#"]);
    let channel = asterisk
        .ari()
        .post("/channels?endpoint=Local/values@default&extension=wait&context=default")
        .ok();
    let of = |what: &str, wanted: &dyn Fn(&Value) -> bool| {
        let fits = |message: &Message| wanted(&message.json()["data"]);
        consumer.next_where(what, seconds(10), fits).json()["data"].clone()
    };
    let exten = of("NoOp", &|data| data["Event"] == "Newexten" && data["Application"] == "NoOp");
    assert_eq!(exten["AppData"], LONG[5..LONG.len() - 1]);
    assert_eq!(exten["CallerIDName"], "John Q Public");

    let name = text(&channel["name"]);
    let set = |variable: &str, value: &str| {
        asterisk.cli(&format!("dialplan set chanvar {name} {variable} \"{value}\""));
        of(variable, &|data| data["Event"] == "VarSet" && data["Variable"] == variable)
    };
    for value in [
        "a: b, c",
        "   three blanks before and two after  ",
        "10:20:30",
        "http://user@h:80/x?y=z#f",
        "Grüße, 世界 ☎",
        "'quotes' and a tail of blanks and colons : : ",
        ": colon first",
        "",
    ] {
        // AMI shows a variable's value as C would write it.
        let shown = value.replace('?', "\\?").replace('\'', "\\'");
        assert_eq!(set("VALUE", value)["Value"], shown);
    }
    assert_eq!(set("ONE", "1: a b")["ChanVariable"], json!(["ONE=1: a b", "TWO="]));
    assert_eq!(set("TWO", "2")["ChanVariable"], json!(["ONE=1: a b", "TWO=2"]));
}

fn an_event_looks_the_same_from_both_sources(version: Version) {
    let pair = Pair::with(version, |conf| conf);
    let asterisk = &pair.asterisk;
    let consumer = pair.consumer(&["ami.varset"]);
    let channel = waiting_channel(asterisk);
    let of_variable = |message: &Message| message.json()["data"]["Variable"] == "NOTE";
    let bodies = ["yes", "all"].map(|which| {
        pair.reload(&pair.conf().stasis("publish_ami_events", which));
        asterisk.cli(&format!("dialplan set chanvar {channel} NOTE \" a: b  c\""));
        String::from_utf8(consumer.next_where("NOTE", seconds(10), of_variable).body)
    });
    assert_eq!(bodies[0], bodies[1]);
}
