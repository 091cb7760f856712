// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! `res_consul_stasis_app`: what a key's value says of its application, and who else may have it.

use rig::consumer::Message;
use rig::{
    Answer, Ari, Asterisk, Broker, Call, Consul, Consumer, Pretender, Request, Version, eventually,
    seconds,
};
use serde_json::{Value, json};

use crate::fleet::{
    APPS, ConsulConf, Fleet, app_id, apps, call_that_stays, load_all, node, registered_apps,
    wait_app, wait_exactly, wait_gone,
};
use crate::pair::AmqpConf;

on_each_version!(
    event_filters_are_obeyed_and_changed_while_a_call_goes_on,
    subscriptions_follow_the_value,
    what_is_not_there_yet_is_subscribed_to_when_it_comes,
    a_bad_value_is_said_once_and_healed_by_a_good_one,
    an_application_of_another_client_is_left_to_it_until_it_is_free,
    an_application_that_another_client_takes_over_is_given_up_and_comes_back,
    without_anything_to_publish_it_waits_for_amqp,
    a_slow_agent_holds_up_no_application,
);

/// The events of application `demo`.
fn consumer(fleet: &Fleet) -> Consumer {
    Consumer::topic(&fleet.tenant.url(), "asterisk", &["stasis.app.demo"])
}

fn put(fleet: &Fleet, value: &Value) {
    fleet.consul.kv_put("applications/demo", value.to_string());
}

/// Waits until ARI shows the application so.
#[track_caller]
fn wait_shown(ari: &Ari, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
    eventually(&format!("application demo to have {what}"), seconds(10), || {
        let shown = ari.get("/applications/demo");
        if shown.status == 200 && fits(&shown.body) { Ok(shown.body) } else { Err(shown.body) }
    })
}

/// Tells the application an event of its own: what came before it to the broker.
#[track_caller]
fn until_marked(ari: &Ari, consumer: &Consumer, mark: &str) -> Vec<Message> {
    let posted = ari.post(&format!("/events/user/{mark}?application=demo"));
    assert_eq!(posted.status, 204, "{posted:?}");
    let is_mark = |message: &Message| message.json()["data"]["eventname"] == *mark;
    let mut messages = consumer.drain_until(mark, seconds(10), is_mark);
    messages.pop();
    messages
}

fn kinds(messages: &[Message]) -> Vec<&str> {
    let mut kinds: Vec<&str> = messages.iter().map(Message::name).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

/// How often the log has a text.
fn logged(asterisk: &Asterisk, text: &str) -> usize {
    asterisk.log().matches(text).count()
}

fn event_filters_are_obeyed_and_changed_while_a_call_goes_on(version: Version) {
    let fleet = Fleet::start(version);
    let ari = fleet.asterisk.ari();
    let consumer = consumer(&fleet);
    let has = |list: &'static str, names: &'static [&str]| {
        move |app: &Value| {
            let wanted: Value = names.iter().map(|name| json!({"type": name})).collect();
            app[list] == wanted
        }
    };
    put(&fleet, &json!({"events": {"allowed": [{"type": "StasisStart"}, "ChannelUserevent"]}}));
    fleet.wait_app("demo");
    let allowed = has("events_allowed", &["StasisStart", "ChannelUserevent"]);
    wait_shown(&ari, "what is allowed", allowed);
    let call = call_that_stays(&fleet.asterisk, "demo");
    let change = |value: &str| {
        let set = |name: &str| {
            ari.post(&format!("{call}/variable?variable={name}&value={value}")).ok();
        };
        set("NOTE");
        set("CALLERID(name)");
    };
    change("one");
    let mut told = until_marked(&ari, &consumer, "one");
    assert_eq!(kinds(&told), ["StasisStart"]);

    put(&fleet, &json!({"events": {"disallowed": [{"type": "ChannelVarset"}]}}));
    wait_shown(&ari, "what is not allowed", has("events_disallowed", &["ChannelVarset"]));
    wait_shown(&ari, "no more allowed alone", has("events_allowed", &[]));
    change("two");
    told.extend(until_named(&consumer, "ChannelCallerId"));

    fleet.consul.kv_put("applications/demo", "");
    wait_shown(&ari, "no filter", has("events_disallowed", &[]));
    change("three");
    told.extend(until_named(&consumer, "ChannelVarset"));
    // It is the call of before, of the application of before.
    assert_eq!(ari.delete(&call).status, 204);
    told.extend(until_named(&consumer, "StasisEnd"));
    told.extend(until_marked(&ari, &consumer, "end"));
    let of_kind = |kind: &str| told.iter().filter(|message| message.name() == kind).count();
    assert_eq!((of_kind("StasisStart"), of_kind("StasisEnd")), (1, 1));
    let notes: Vec<Value> = told
        .iter()
        .map(|message| message.json()["data"].take())
        .filter(|data| data["variable"] == "NOTE")
        .map(|data| data["value"].clone())
        .collect();
    assert_eq!(notes, ["three"]);
    assert_eq!(logged(&fleet.asterisk, "publishing the events of application 'demo'"), 1);
}

/// What came up to the first event of this name, with it.
#[track_caller]
fn until_named(consumer: &Consumer, name: &str) -> Vec<Message> {
    consumer.drain_until(name, seconds(10), |message| message.name() == name)
}

fn subscriptions_follow_the_value(version: Version) {
    let fleet = Fleet::start(version);
    let ari = fleet.asterisk.ari();
    let consumer = consumer(&fleet);
    ari.post("/bridges/there?type=mixing").ok();
    let light = |state: &str| {
        let set =
            ari.request("PUT", &format!("/deviceStates/Stasis:lamp?deviceState={state}"), None);
        assert_eq!(set.status, 204, "{set:?}");
    };
    put(
        &fleet,
        &json!({
            "subscriptions": ["deviceState:Stasis:lamp", "bridge:there", "endpoint:PJSIP/anonymous"]
        }),
    );
    fleet.wait_app("demo");
    wait_shown(&ari, "its three subscriptions", |app| {
        app["device_names"] == json!(["Stasis:lamp"])
            && app["bridge_ids"] == json!(["there"])
            && app["endpoint_ids"] == json!(["PJSIP/anonymous"])
    });
    light("INUSE");
    let call = Call::place(&fleet.asterisk, "call", seconds(1));
    consumer.next_where("the device", seconds(10), |message| {
        message.json()["data"]["device_state"] == json!({"name": "Stasis:lamp", "state": "INUSE"})
    });
    call.wait(seconds(20));
    consumer.next_where("the endpoint's channel", seconds(10), |message| {
        message.name() == "ChannelDestroyed"
            && message.json()["data"]["channel"]["name"]
                .as_str()
                .is_some_and(|name| name.starts_with("PJSIP/anonymous"))
    });

    // What a client has subscribed it to besides is not ours to take away.
    ari.post("/applications/demo/subscription?eventSource=deviceState:Stasis:theirs").ok();
    put(&fleet, &json!({"subscriptions": ["bridge:there"]}));
    wait_shown(&ari, "one subscription of ours", |app| {
        app["device_names"] == json!(["Stasis:theirs"])
            && app["bridge_ids"] == json!(["there"])
            && app["endpoint_ids"] == json!([])
    });
    consumer.drain();
    light("BUSY");
    ari.delete("/bridges/there").ok();
    let ended = consumer.next_where("the bridge", seconds(10), |m| m.name() == "BridgeDestroyed");
    assert_eq!(ended.json()["data"]["bridge"]["id"], "there");
    let kinds_after = until_marked(&ari, &consumer, "after");
    assert!(!kinds(&kinds_after).contains(&"DeviceStateChanged"), "{:?}", kinds(&kinds_after));
    assert_eq!(logged(&fleet.asterisk, "publishing the events of application 'demo'"), 1);
}

fn what_is_not_there_yet_is_subscribed_to_when_it_comes(version: Version) {
    let fleet = Fleet::start(version);
    let ari = fleet.asterisk.ari();
    let consumer = consumer(&fleet);
    put(&fleet, &json!({"subscriptions": ["bridge:late", "endpoint:PJSIP/late", "channel:late"]}));
    fleet.wait_app("demo");
    let missing = "application 'demo' is not subscribed to 'bridge:late' yet";
    fleet.asterisk.wait_log(missing);
    let shown = fleet.asterisk.cli("consul show applications");
    assert!(shown.contains("bridge:late"), "{shown}");
    assert_eq!(kinds(&until_marked(&ari, &consumer, "nothing")), [""; 0]);

    for life in 1..=2 {
        ari.post("/bridges/late?type=mixing").ok();
        wait_shown(&ari, "the bridge", |app| app["bridge_ids"] == json!(["late"]));
        ari.delete("/bridges/late").ok();
        let ended = |message: &Message| message.name() == "BridgeDestroyed";
        consumer.next_where(&format!("end {life} of the bridge"), seconds(10), ended);
    }
    let stay =
        "/channels/late?endpoint=Local/stay@default&context=default&extension=stay&priority=1";
    ari.post(stay).ok();
    wait_shown(&ari, "the channel", |app| {
        app["channel_ids"].as_array().is_some_and(|ids| ids.contains(&json!("late")))
    });
    // Said when it was missing and when it had ended, not at each try; nor does Asterisk.
    assert!(logged(&fleet.asterisk, missing) <= 3, "{}", fleet.asterisk.log());
    assert_eq!(logged(&fleet.asterisk, "Event source not found"), 0);
    fleet.asterisk.assert_alive();
}

fn a_bad_value_is_said_once_and_healed_by_a_good_one(version: Version) {
    let fleet = Fleet::start(version);
    let (asterisk, ari) = (&fleet.asterisk, fleet.asterisk.ari());
    let good = json!({"events": {"allowed": ["StasisStart"]}});
    let is_filtered = |app: &Value| app["events_allowed"] == json!([{"type": "StasisStart"}]);
    let is_free = |app: &Value| app["events_allowed"] == json!([]);
    let errors = || {
        let complaints = asterisk.complaints();
        complaints.iter().filter(|line| line.contains("key 'applications/demo'")).count()
    };
    let bad = [
        "{\"events\":",
        "demo",
        "[1]",
        "{\"events\":{\"allowed\":\"StasisStart\"}}",
        "{\"subscriptions\":[\"lamp\"]}",
        "\u{0}\u{1}\u{2}",
    ];
    for (index, value) in bad.iter().enumerate() {
        fleet.consul.kv_put("applications/demo", value);
        fleet.wait_app("demo");
        let line = eventually("the error", seconds(10), || {
            let complaints = asterisk.complaints();
            let mut ours = complaints.iter().filter(|line| line.contains("applications/demo"));
            ours.nth(index).cloned().ok_or_else(|| format!("{complaints:?}"))
        });
        assert!(line.contains("ERROR["), "{value}: {line}");
        wait_shown(&ari, "no filter", is_free);
        // Neither other keys nor the same value again are a reason to repeat it.
        fleet.consul.kv_put("applications/demo", value);
        fleet.consul.kv_put(&format!("applications/other {index}"), "");
        fleet.wait_app(&format!("other {index}"));
        assert_eq!(errors(), index + 1, "after {value}");

        put(&fleet, &good);
        wait_shown(&ari, "its filter", is_filtered);
        assert_eq!(errors(), index + 1, "after a good value");
    }
    assert_eq!(logged(asterisk, "publishing the events of application 'demo'"), 1);
    asterisk.assert_alive();
}

fn an_application_of_another_client_is_left_to_it_until_it_is_free(version: Version) {
    let fleet = Fleet::start(version);
    let (consul, asterisk, ari) = (&fleet.consul, &fleet.asterisk, fleet.asterisk.ari());
    let socket = ari.events("held");
    let left = "application 'held' belongs to another ARI client";
    for name in ["held", "free"] {
        consul.kv_put(&format!("applications/{name}"), "");
    }
    fleet.wait_app("free");
    asterisk.wait_log(left);
    // It is tried again and again, and changed, which is no reason to say it again.
    for value in ["1", "2", "3"] {
        consul.kv_put("applications/held", value);
        consul.kv_put(&format!("applications/free {value}"), "");
        fleet.wait_app(&format!("free {value}"));
    }
    eventually("the state to be shown", seconds(10), || {
        let shown = asterisk.cli("consul show applications");
        let held = shown.lines().any(|line| line.contains("held by another client"));
        if held { Ok(()) } else { Err(shown) }
    });
    assert_eq!(apps(asterisk), ["free", "free 1", "free 2", "free 3"]);
    assert_eq!(registered_apps(consul, asterisk), ["free", "free 1", "free 2", "free 3"]);
    assert_eq!(logged(asterisk, left), 1);
    // Nobody has taken it from the socket: this is the first it hears.
    assert_eq!(ari.post("/events/user/still?application=held").status, 204);
    assert_eq!(socket.next(seconds(10))["eventname"], "still");

    drop(socket);
    fleet.wait_app("held");
    // One that is held when its key goes: nothing is done to it.
    let socket = ari.events("theirs");
    consul.kv_put("applications/theirs", "");
    asterisk.wait_log("application 'theirs' belongs to another ARI client");
    consul.kv_delete("applications/theirs");
    consul.kv_put("applications/last", "");
    fleet.wait_app("last");
    assert_eq!(ari.post("/events/user/still?application=theirs").status, 204);
    assert_eq!(socket.next(seconds(10))["eventname"], "still");
    asterisk.assert_alive();
}

fn an_application_that_another_client_takes_over_is_given_up_and_comes_back(version: Version) {
    let fleet = Fleet::start(version);
    let (consul, asterisk, ari) = (&fleet.consul, &fleet.asterisk, fleet.asterisk.ari());
    let consumer = consumer(&fleet);
    // On 16 an entry with subscriptions outlives its client, and nothing tells it from an active
    // one: there the value has none.
    let value = match version {
        Version::V22 => json!({"subscriptions": ["deviceState:Stasis:lamp"]}),
        Version::V16 => json!({}),
    };
    put(&fleet, &value);
    fleet.wait_app("demo");
    for life in 1..=2 {
        let socket = ari.events("demo");
        wait_gone(consul, &app_id(asterisk, "demo"));
        assert_eq!(apps(asterisk), [""; 0]);
        let theirs = format!("theirs{life}");
        assert_eq!(ari.post(&format!("/events/user/{theirs}?application=demo")).status, 204);
        assert_eq!(socket.next_of("ChannelUserevent", seconds(10))["eventname"], *theirs);
        drop(socket);
        fleet.wait_app("demo");
        let messages = until_marked(&ari, &consumer, &format!("ours{life}"));
        assert_eq!(kinds(&messages), ["ApplicationReplaced"], "what was theirs was published");
    }
    if version == Version::V22 {
        wait_shown(&ari, "its subscription", |app| app["device_names"] == json!(["Stasis:lamp"]));
    }
    asterisk.assert_alive();
}

fn without_anything_to_publish_it_waits_for_amqp(version: Version) {
    let tenant = Broker::shared().tenant();
    let consul = Consul::start();
    let amqp = AmqpConf::new(&tenant.url()).text();
    let off = amqp.replace("enabled = yes", "enabled = no");
    let asterisk = node(version, &off, &ConsulConf::new(consul.port())).start();
    for name in ["one", "two"] {
        consul.kv_put(&format!("applications/{name}"), "");
    }
    load_all(&asterisk);
    let said = |asterisk: &Asterisk| {
        let complaints = asterisk.complaints();
        complaints.into_iter().filter(|line| line.contains("amqp.conf")).collect::<Vec<_>>()
    };
    eventually("it to be said", seconds(10), || {
        let said = said(&asterisk);
        if said.len() == 1 { Ok(()) } else { Err(format!("{said:?}\n{}", asterisk.log())) }
    });
    eventually("it to be shown", seconds(10), || {
        let shown = asterisk.cli("consul show applications");
        if shown.matches("AMQP off").count() == 2 { Ok(()) } else { Err(shown) }
    });
    assert_eq!(registered_apps(&consul, &asterisk), [""; 0]);

    asterisk.write_conf("amqp.conf", &amqp);
    crate::fleet::reload(&asterisk, crate::fleet::AMQP);
    wait_exactly(&consul, &asterisk, &["one", "two"]);
    wait_app(&consul, &asterisk, "one");
    assert_eq!(said(&asterisk).len(), 1, "{:?}", said(&asterisk));
}

/// An agent that has three keys and answers nothing else.
fn only_keys(request: &Request) -> Answer {
    if !request.begins("GET /v1/kv/") {
        return Answer::never();
    }
    let keys = ["one", "two", "three"].map(|name| {
        json!({
            "Key": format!("applications/{name}"), "Value": null, "Flags": 0, "LockIndex": 0,
            "CreateIndex": 5, "ModifyIndex": 5,
        })
    });
    match request.query("index").as_deref() {
        Some("5") => Answer::never(),
        _ => Answer::consul(5, &json!(keys)),
    }
}

/// The C module asked Consul with its list locked, so one slow answer delayed everything.
fn a_slow_agent_holds_up_no_application(version: Version) {
    let tenant = Broker::shared().tenant();
    let pretender = Pretender::start(only_keys);
    let amqp = AmqpConf::new(&tenant.url()).text();
    let asterisk = node(version, &amqp, &ConsulConf::new(pretender.port())).start();
    load_all(&asterisk);
    eventually("the applications", seconds(10), || {
        let apps = apps(&asterisk);
        if apps == ["one", "three", "two"] { Ok(()) } else { Err(format!("{apps:?}")) }
    });
    let since = std::time::Instant::now();
    let shown = asterisk.cli("consul show applications");
    assert!(shown.contains("three"), "{shown}");
    crate::fleet::reload(&asterisk, APPS);
    crate::fleet::unload(&asterisk, APPS);
    let took = since.elapsed();
    assert!(took < seconds(8), "commands waited for the agent: {took:?}");
    assert_eq!(apps(&asterisk), [""; 0]);
    asterisk.assert_alive();
}
