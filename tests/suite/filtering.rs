// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! `exclude_events` and `include_channelvarset_events`, and how they are counted.

use rig::{Message, Version, seconds};
use serde_json::Value;

use crate::clients::{Clients, call_into, messages_until, text, waiting_channel, with_calls};
use crate::pair::{AmqpConf, Pair, counter};

on_each_version!(
    excluded_events_are_left_out_of_every_source_and_counted,
    what_the_manager_topic_carries_is_left_out_by_its_type,
    only_the_variables_that_are_included_are_told_of,
    a_reload_changes_what_is_left_out,
);

fn excluded_events_are_left_out_of_every_source_and_counted(version: Version) {
    let filtered = |conf: AmqpConf| {
        conf.stasis("publish_ami_events", "all")
            .stasis("exclude_events", "channelDIALPLAN, *Userevent ,playback*,NEWexten")
    };
    let is_excluded = |name: &str| {
        ["ChannelDialplan", "ChannelUserevent", "UserEvent", "Newexten"].contains(&name)
            || name.starts_with("Playback")
    };
    let pair = Pair::furnished(version, filtered, with_calls);
    let asterisk = &pair.asterisk;
    let sources = ["stasis.app.demo", "stasis.channel.#", "ami.#"];
    let sources = sources.map(|keys| pair.consumer(&[keys]));
    assert_eq!(asterisk.ari().post("/amqp/Demo").status, 204);
    let all = "eventSource=channel:,bridge:,endpoint:,deviceState:";
    asterisk.ari().post(&format!("/applications/Demo/subscription?{all}")).ok();
    let clients = Clients::start(asterisk);
    let begin = clients.mark();
    sources.iter().for_each(|source| drop(messages_until(source, &begin)));
    clients.ari_until(&begin);
    clients.ami_until(&begin);
    let before = counter(asterisk, "filtered");

    waiting_channel(asterisk);
    call_into(asterisk, "Demo");

    let end = clients.mark();
    let come = sources.each_ref().map(|source| messages_until(source, &end));
    let counted = counter(asterisk, "filtered") - before;
    for message in come.iter().flatten() {
        assert!(!is_excluded(message.name()), "{message:?}");
    }
    let has = |messages: &[Message], name| messages.iter().any(|message| message.name() == name);
    for (source, name) in [(0, "ChannelCreated"), (0, "Dial"), (1, "Dial"), (2, "Newchannel")] {
        assert!(has(&come[source], name), "no {name}");
    }

    let ari: Vec<String> = kinds(&clients.ari_until(&end), "type");
    let ami: Vec<String> = kinds(&clients.ami_until(&end), "Event");
    let count = |names: &[String], wanted: &[&str]| {
        let count = names.iter().filter(|name| wanted.contains(&name.as_str())).count();
        assert!(count > 0, "no {wanted:?} to leave out");
        count
    };
    let of_channels = ["ChannelUserevent", "PlaybackStarted", "PlaybackFinished"];
    // Those of channels would have come twice, once by the application.
    let expected = 2 * count(&ari, &of_channels)
        + count(&ari, &["ChannelDialplan"])
        + count(&ami, &["UserEvent", "Newexten"]);
    assert_eq!(counted, expected as u64);
}

/// Those that are told by the type of their message are told right.
fn what_the_manager_topic_carries_is_left_out_by_its_type(version: Version) {
    let without_user_events = |conf: AmqpConf| {
        conf.stasis("exclude_events", "UserEvent").stasis("publish_channel_events", "no")
    };
    let pair = Pair::furnished(version, without_user_events, |builder| {
        let says = ["Answer()", "Set(BEFORE=1)", "UserEvent(Hello)", "Set(AFTER=1)", "Wait(60)"];
        builder.extension("says", &says)
    });
    let asterisk = &pair.asterisk;
    let consumer = pair.consumer(&["ami.#"]);
    let say = || {
        let there = "endpoint=Local/stay@default&context=default&extension=says";
        asterisk.ari().post(&format!("/channels?{there}")).ok();
    };
    let until = |name: &str, variable: Option<&str>| {
        consumer.drain_until(name, seconds(20), |message| {
            message.name() == name
                && variable.is_none_or(|variable| message.json()["data"]["Variable"] == variable)
        })
    };
    say();
    let come = until("VarSet", Some("AFTER"));
    assert!(come.iter().all(|message| message.name() != "UserEvent"), "{come:?}");
    assert_eq!(counter(asterisk, "filtered"), 1);

    let without_variables = pair.conf().stasis("publish_channel_events", "no");
    pair.reload(&without_variables.stasis("exclude_events", "varset"));
    consumer.drain();
    say();
    let come = until("UserEvent", None);
    assert!(come.iter().all(|message| message.name() != "VarSet"), "{come:?}");
    assert!(counter(asterisk, "filtered") > 1);
}

fn kinds(events: &[Value], key: &str) -> Vec<String> {
    events.iter().map(|event| text(&event[key])).collect()
}

fn only_the_variables_that_are_included_are_told_of(version: Version) {
    let included = |conf: AmqpConf| {
        conf.stasis("include_channelvarset_events", "MARK, WANTED, PREFIX_*")
            .stasis("exclude_events", "Dial")
    };
    let pair = Pair::with(version, included);
    let asterisk = &pair.asterisk;
    let sources = ["stasis.app.demo", "stasis.channel.#", "ami.varset"];
    let sources = sources.map(|keys| pair.consumer(&[keys]));
    assert_eq!(asterisk.ari().post("/amqp/Demo").status, 204);
    asterisk.ari().post("/applications/Demo/subscription?eventSource=channel:").ok();
    let clients = Clients::start(asterisk);
    let begin = clients.mark();
    sources.iter().for_each(|source| drop(messages_until(source, &begin)));
    let before = counter(asterisk, "filtered");

    for variable in ["WANTED", "wanted", "PREFIX_", "PREFIX_1", "X_PREFIX_", "OTHER"] {
        let channel = clients.anchor();
        asterisk.cli(&format!("dialplan set chanvar {channel} {variable} value"));
    }

    let end = clients.mark();
    let variables = |index: usize, key: &str| -> Vec<String> {
        let messages = messages_until(&sources[index], &end);
        messages.iter().map(|message| text(&message.json()["data"][key])).collect()
    };
    let wanted = ["WANTED", "PREFIX_", "PREFIX_1"];
    assert_eq!(variables(0, "variable"), wanted);
    assert_eq!(variables(1, "variable"), wanted);
    // The option is about ChannelVarset only, as the C module's.
    let all = ["WANTED", "wanted", "PREFIX_", "PREFIX_1", "X_PREFIX_", "OTHER"];
    assert_eq!(variables(2, "Variable"), all);
    assert_eq!(counter(asterisk, "filtered") - before, 2 * 3);
}

fn a_reload_changes_what_is_left_out(version: Version) {
    let pair = Pair::start(version);
    let consumer = pair.consumer(&["stasis.channel.#"]);
    let clients = Clients::start(&pair.asterisk);
    messages_until(&consumer, &clients.mark());
    for (variables, comes) in [("MARK", false), ("", true), ("MARK,X", false), ("MARK,N*", true)] {
        pair.reload(&pair.conf().stasis("include_channelvarset_events", variables));
        let channel = clients.anchor();
        pair.asterisk.cli(&format!("dialplan set chanvar {channel} NOTE value"));
        let messages = messages_until(&consumer, &clients.mark());
        assert_eq!(messages.len(), usize::from(comes), "{variables}: {messages:?}");
    }
}
