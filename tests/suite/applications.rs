// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The life of applications: by ARI, beside other clients of ARI, and by a reload or unload.

use rig::{Ari, Consumer, Version, eventually, seconds};
use serde_json::{Value, json};

use crate::clients::{Clients, data, messages_until, text, waiting_channel};
use crate::contract::assert_labels;
use crate::pair::{Pair, counter, load, node, unload};

on_each_version!(
    an_application_is_created_shown_and_ended,
    the_name_of_a_websocket_is_left_to_it,
    a_websocket_may_take_an_application_over,
    an_application_that_was_told_of_much_can_be_created_again,
    an_application_with_a_call_in_it_can_be_created_again_and_the_call_lives,
    a_user_who_may_only_read_gets_the_state_and_changes_nothing,
    what_the_description_of_the_resource_says_is_so,
    the_event_filter_of_ari_is_obeyed,
    without_anything_to_publish_no_application_is_created,
    an_unload_ends_all_applications_and_a_load_can_create_them_again,
);

/// Names that Asterisk knows an application by.
fn known(ari: &Ari) -> Vec<String> {
    let listed = ari.get("/applications").ok();
    listed.as_array().expect("a list").iter().map(|app| text(&app["name"])).collect()
}

/// An event that only this application is told of arrives at the broker.
#[track_caller]
fn assert_published(ari: &Ari, consumer: &Consumer, app: &str, event: &str) {
    let posted = ari.post(&format!("/events/user/{event}?application={app}"));
    assert_eq!(posted.status, 204, "{posted:?}");
    let of_user = |message: &rig::Message| message.json()["data"]["eventname"] == *event;
    let message = consumer.next_where(event, seconds(10), of_user);
    assert_eq!(message.json()["application"], app);
}

fn an_application_is_created_shown_and_ended(version: Version) {
    let pair = Pair::start(version);
    let consumer = pair.consumer(&["stasis.app.demo"]);
    let ari = pair.asterisk.ari();
    assert_eq!(ari.get("/amqp").ok()["applications"], json!([]));
    for _ in 0..2 {
        assert_eq!(ari.post("/amqp/Demo").status, 204);
        assert_eq!(known(&ari), ["Demo"]);
    }
    assert_published(&ari, &consumer, "Demo", "first");

    let shown = ari.get("/amqp").ok();
    assert_eq!(shown["applications"], json!(["Demo"]));
    let connection = &shown["connections"][0];
    assert_eq!((&connection["name"], &connection["state"]), (&json!("bunny"), &json!("connected")));
    assert!(text(&connection["detail"]).contains(pair.tenant.user()), "{connection}");
    for name in ["events", "bytes", "unconfirmed_events", "unconfirmed_bytes", "unsaved_events"] {
        assert!(shown["queue"][name].is_u64(), "{shown}");
    }
    assert_eq!(shown["counters"]["seen"], counter(&pair.asterisk, "seen"));
    let times = ["p50_us", "p99_us", "max_us"].map(|name| shown["callback"][name].as_f64());
    assert!(times[0] > Some(0.0) && times[0] <= times[1] && times[1] <= times[2], "{shown}");

    assert_eq!(ari.delete("/amqp/Demo").status, 204);
    assert_eq!(known(&ari), [""; 0]);
    assert_eq!(ari.get("/applications/Demo").status, 404);
    assert_eq!(ari.get("/amqp").ok()["applications"], json!([]));
    for app in ["Demo", "Never"] {
        let reply = ari.delete(&format!("/amqp/{app}"));
        assert_eq!(reply.status, 404);
        assert!(text(&reply.body["message"]).contains(app), "{reply:?}");
    }
    assert_eq!(ari.post("/amqp/Demo").status, 204);
    assert_published(&ari, &consumer, "Demo", "second");
}

fn the_name_of_a_websocket_is_left_to_it(version: Version) {
    let pair = Pair::start(version);
    let ari = pair.asterisk.ari();
    let socket = ari.events("held");
    let reply = ari.post("/amqp/held");
    assert_eq!(reply.status, 409);
    assert!(text(&reply.body["message"]).contains("held"), "{reply:?}");
    assert_eq!(ari.delete("/amqp/held").status, 404);
    assert_eq!(known(&ari), ["held"]);
    assert_eq!(ari.get("/amqp").ok()["applications"], json!([]));
    // The first thing it is told: nobody has replaced it.
    assert_eq!(ari.post("/events/user/still?application=held").status, 204);
    let event = socket.next(seconds(10));
    assert_eq!(event["eventname"], "still", "{event}");
}

fn a_websocket_may_take_an_application_over(version: Version) {
    let pair = Pair::start(version);
    let asterisk = &pair.asterisk;
    let consumer = pair.consumer(&["stasis.app.#"]);
    let ari = asterisk.ari();
    for app in ["demo", "other"] {
        assert_eq!(ari.post(&format!("/amqp/{app}")).status, 204);
    }
    if version == Version::V22 {
        // On 16 the websocket's end leaves an entry that nothing tells from an active one.
        ari.post("/applications/demo/subscription?eventSource=channel:").ok();
    }
    assert_published(&ari, &consumer, "demo", "ours");

    let socket = ari.events("demo");
    asterisk.wait_log("another client has taken over the application 'demo'");
    let told = consumer.next(seconds(10));
    assert_eq!((told.name(), &told.json()["application"]), ("ApplicationReplaced", &json!("demo")));
    assert_eq!(ari.get("/amqp").ok()["applications"], json!(["other"]));
    assert_eq!(ari.delete("/amqp/demo").status, 404);
    assert_eq!(ari.post("/amqp/demo").status, 409);
    assert_eq!(ari.post("/events/user/theirs?application=demo").status, 204);
    assert_eq!(socket.next_of("ChannelUserevent", seconds(10))["eventname"], "theirs");
    assert_published(&ari, &consumer, "other", "next");
    let warned = asterisk.complaints();
    let warned: Vec<&String> = warned.iter().filter(|line| line.contains("taken over")).collect();
    assert_eq!(warned.len(), 1, "{warned:?}");
    assert!(warned[0].contains("WARNING["), "{warned:?}");

    drop(socket);
    let reply = eventually("the name to be free again", seconds(10), || {
        let reply = ari.post("/amqp/demo");
        if reply.status == 204 { Ok(reply) } else { Err(format!("{reply:?}")) }
    });
    assert_eq!(reply.body, Value::Null);
    // `theirs` would be before it.
    let posted = ari.post("/events/user/again?application=demo");
    assert_eq!(posted.status, 204);
    let message = consumer.next(seconds(10));
    assert_eq!(message.json()["data"]["eventname"], "again");
}

/// An application with subscriptions outlives its end on 16, as an entry that nobody holds.
fn an_application_that_was_told_of_much_can_be_created_again(version: Version) {
    let pair = Pair::start(version);
    let consumer = pair.consumer(&["stasis.app.demo"]);
    let ari = pair.asterisk.ari();
    let bridge = text(&ari.post("/bridges?type=mixing").ok()["id"]);
    waiting_channel(&pair.asterisk);
    let channel = text(&ari.get("/channels").ok()[0]["id"]);
    for source in [
        &format!("bridge:{bridge}"),
        &format!("channel:{channel}"),
        "endpoint:PJSIP/anonymous",
        "endpoint:PJSIP",
        "deviceState:Stasis:none",
        "bridge:",
        "channel:",
        "endpoint:",
        "deviceState:",
    ] {
        assert_eq!(ari.post("/amqp/demo").status, 204);
        ari.post(&format!("/applications/demo/subscription?eventSource={source}")).ok();
        assert_published(&ari, &consumer, "demo", "before");
        assert_eq!(ari.delete("/amqp/demo").status, 204);
        assert_eq!(ari.get("/applications/demo").status, 404, "with {source}");
        assert_eq!(ari.post("/amqp/demo").status, 204, "with {source}");
        assert_published(&ari, &consumer, "demo", "after");
        let subscribed = ari.get("/applications/demo").ok();
        for kind in ["bridge_ids", "channel_ids", "endpoint_ids", "device_names"] {
            assert_eq!(subscribed[kind], json!([]), "with {source}");
        }
        assert_eq!(ari.delete("/amqp/demo").status, 204);
    }
}

/// Asterisk counts a call's subscription to its application twice, and keeps the name while one is
/// left.
fn an_application_with_a_call_in_it_can_be_created_again_and_the_call_lives(version: Version) {
    let pair = Pair::start(version);
    let consumer = pair.consumer(&["stasis.app.demo"]);
    let (asterisk, ari) = (&pair.asterisk, pair.asterisk.ari());
    assert_eq!(ari.post("/amqp/demo").status, 204);
    let call = ari.post("/channels?endpoint=Local/wait@default&app=demo").ok();
    consumer.next_where("StasisStart", seconds(10), |message| message.name() == "StasisStart");

    assert_eq!(ari.delete("/amqp/demo").status, 204);
    assert_eq!(ari.post("/amqp/demo").status, 204);
    unload(asterisk);
    load(asterisk);
    assert_eq!(ari.post("/amqp/demo").status, 204);
    let call = format!("/channels/{}", text(&call["id"]));
    assert_eq!(ari.get(&call).ok()["state"], "Up");
    pair.wait_for_state("connected");
    assert_published(&ari, &consumer, "demo", "after");
    assert_eq!(ari.delete(&call).status, 204);
}

fn a_user_who_may_only_read_gets_the_state_and_changes_nothing(version: Version) {
    let pair = Pair::start(version);
    let (ari, reader) = (pair.asterisk.ari(), pair.asterisk.ari_reader());
    assert_eq!(ari.post("/amqp/Demo").status, 204);
    let shown = reader.get("/amqp");
    assert_eq!((shown.status, &shown.body["applications"]), (200, &json!(["Demo"])));
    assert_eq!(reader.post("/amqp/Else").status, 403);
    assert_eq!(reader.delete("/amqp/Demo").status, 403);
    assert_eq!(ari.get("/amqp").ok()["applications"], json!(["Demo"]));
    let nobody = Ari::new(pair.asterisk.http_port(), "nobody", "");
    assert_eq!(nobody.get("/amqp").status, 401);
}

fn what_the_description_of_the_resource_says_is_so(version: Version) {
    let pair = Pair::start(version);
    let ari = pair.asterisk.ari();
    let listed = ari.get("/api-docs/resources.json").ok();
    let listed = listed["apis"].as_array().expect("a list of resources");
    assert!(listed.iter().any(|api| api["path"] == "/api-docs/amqp.{format}"), "{listed:?}");

    let described = ari.get("/api-docs/amqp.json").ok();
    let mut found = Vec::new();
    for api in described["apis"].as_array().expect("a list of paths") {
        let path = text(&api["path"]);
        for operation in api["operations"].as_array().expect("a list of operations") {
            let method = text(&operation["httpMethod"]);
            let reply = ari.request(&method, &path.replace("{applicationName}", "Demo"), None);
            let expected = if operation["responseClass"] == "void" { 204 } else { 200 };
            assert_eq!(reply.status, expected, "{method} {path}");
            if method == "GET" {
                assert_described(&reply.body, &described["models"], "AmqpPublisher");
            }
            found.push(format!("{method} {path}"));
        }
    }
    let all = ["GET /amqp", "POST /amqp/{applicationName}", "DELETE /amqp/{applicationName}"];
    assert_eq!(found, all);
    assert_eq!(ari.request("PUT", "/amqp/Demo", None).status, 405);
}

/// The value has the members of its model, and no others.
fn assert_described(value: &Value, models: &Value, model: &str) {
    let properties = models[model]["properties"].as_object().expect("a model has properties");
    let names = |object: &serde_json::Map<String, Value>| {
        let mut names: Vec<String> = object.keys().cloned().collect();
        names.sort_unstable();
        names
    };
    assert_eq!(names(value.as_object().expect("an object")), names(properties), "{model}");
    for (name, property) in properties {
        let (member, kind) = (&value[name], text(&property["type"]));
        if property["required"] == false && member.is_null() {
            continue;
        }
        match kind.as_str() {
            "string" => assert!(member.is_string(), "{name}: {member}"),
            "int" => assert!(member.is_u64(), "{name}: {member}"),
            "double" => assert!(member.is_f64(), "{name}: {member}"),
            "boolean" => assert!(member.is_boolean(), "{name}: {member}"),
            "object" => assert!(member.is_object(), "{name}: {member}"),
            "List[string]" => {
                assert!(member.as_array().is_some_and(|list| list.iter().all(Value::is_string)))
            }
            list if list.starts_with("List[") => {
                let model = list.trim_start_matches("List[").trim_end_matches(']');
                let members = member.as_array().expect("a list");
                assert!(!members.is_empty(), "no {model} to look at");
                members.iter().for_each(|member| assert_described(member, models, model));
            }
            model => assert_described(member, models, model),
        }
    }
}

fn the_event_filter_of_ari_is_obeyed(version: Version) {
    let pair = Pair::with(version, |conf| conf.stasis("publish_channel_events", "no"));
    let consumer = pair.consumer(&["stasis.app.demo"]);
    let ari = pair.asterisk.ari();
    assert_eq!(ari.post("/amqp/demo").status, 204);
    ari.post("/applications/demo/subscription?eventSource=channel:").ok();
    let clients = Clients::start(&pair.asterisk);
    messages_until(&consumer, &clients.mark());
    let kinds_with = |filter: &Value| -> Vec<String> {
        ari.put_json("/applications/demo/eventFilter", filter).ok();
        waiting_channel(&pair.asterisk);
        let messages = messages_until(&consumer, &clients.mark());
        messages.iter().for_each(|message| assert_labels(message, &pair.asterisk));
        let mut kinds: Vec<String> =
            data(&messages).iter().map(|event| text(&event["type"])).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    };
    let all = kinds_with(&json!({}));
    for kind in ["ChannelCreated", "ChannelDialplan", "Dial"] {
        assert!(all.iter().any(|one| one == kind), "no {kind} in {all:?}");
    }
    let filtered = counter(&pair.asterisk, "filtered");
    let disallowed = [json!({"type": "Dial"}), json!({"type": "ChannelDialplan"})];
    let mut rest = all.clone();
    rest.retain(|kind| !["Dial", "ChannelDialplan"].contains(&kind.as_str()));
    assert_eq!(kinds_with(&json!({ "disallowed": disallowed })), rest);
    assert!(counter(&pair.asterisk, "filtered") > filtered);
    let allowed = [json!({"type": "Dial"}), json!({"type": "ChannelVarset"})];
    assert_eq!(kinds_with(&json!({ "allowed": allowed, "disallowed": [] })), ["Dial"]);
    assert_eq!(kinds_with(&json!({})), all);
}

fn without_anything_to_publish_no_application_is_created(version: Version) {
    let pair = Pair::start(version);
    let consumer = pair.consumer(&["#"]);
    let ari = pair.asterisk.ari();
    let on = pair.conf().text();
    let off = on.replace("enabled = yes", "enabled = no");
    let only_a_connection = on.split("[stasis]").next().unwrap_or_default();
    let empty = "";
    for (conf, reason) in [
        (off.as_str(), "Nothing is published: enabled = no in amqp.conf"),
        (only_a_connection, "Nothing is published: no section of type stasis in amqp.conf"),
        (empty, "Nothing is published: no section of type stasis in amqp.conf"),
    ] {
        unload(&pair.asterisk);
        pair.asterisk.write_conf("amqp.conf", conf);
        let complaints = pair.asterisk.complaints().len();
        load(&pair.asterisk);
        let reply = ari.post("/amqp/Demo");
        assert_eq!(reply.status, 503, "{conf}");
        assert!(text(&reply.body["message"]).contains("nothing is published"), "{reply:?}");
        assert_eq!(ari.delete("/amqp/Demo").status, 404);
        assert_eq!(ari.get("/amqp").ok()["applications"], json!([]));
        let shown = pair.asterisk.cli("amqp show status");
        assert!(shown.contains(reason), "{shown}");
        waiting_channel(&pair.asterisk);
        assert_eq!(counter(&pair.asterisk, "queued"), 0);
        assert_eq!(&pair.asterisk.complaints()[complaints..], [""; 0]);
    }
    pair.asterisk.write_conf("amqp.conf", &on);
    pair.asterisk.cli("module reload res_stasis_amqp.so");
    assert_eq!(ari.post("/amqp/Demo").status, 204);
    waiting_channel(&pair.asterisk);
    assert_eq!(consumer.next(seconds(10)).sequence(), Some(1));
}

fn an_unload_ends_all_applications_and_a_load_can_create_them_again(version: Version) {
    let pair = Pair::start(version);
    let asterisk = &pair.asterisk;
    let consumer = pair.consumer(&["stasis.app.#"]);
    let ari = asterisk.ari();
    let socket = ari.events("theirs");
    for _ in 0..3 {
        for app in ["one", "two"] {
            assert_eq!(ari.post(&format!("/amqp/{app}")).status, 204);
            ari.post(&format!("/applications/{app}/subscription?eventSource=channel:")).ok();
        }
        assert_published(&ari, &consumer, "one", "here");
        unload(asterisk);
        assert_eq!(known(&ari), ["theirs"]);
        assert_eq!(ari.get("/amqp").status, 404);
        waiting_channel(asterisk);
        load(asterisk);
        assert_eq!(known(&ari), ["theirs"]);
        assert_eq!(ari.get("/amqp").ok()["applications"], json!([]));
    }
    assert_eq!(ari.post("/events/user/still?application=theirs").status, 204);
    assert_eq!(socket.next_of("ChannelUserevent", seconds(10))["eventname"], "still");
    asterisk.assert_alive();
}

#[test]
fn nothing_is_created_for_a_path_without_a_name() {
    let asterisk = node(Version::V22, "").module("res_stasis_amqp").start();
    let reply = asterisk.ari().post("/amqp/");
    assert!([400, 404].contains(&reply.status), "{reply:?}");
    assert_eq!(known(&asterisk.ari()), [""; 0]);
}
