// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Nodes that live, die and come back.

use std::time::Duration;

use serde_json::{Value, json};

use super::read::Begun;
use super::*;

const BOOT: &str = "2026-11-21T10:00:00.000+0000";
const NEXT: &str = "2026-11-21T11:00:00.000+0000";

fn channel(id: &str) -> String {
    json!({"id": id, "name": format!("Local/{id}")}).to_string()
}

fn note(holdings: &Holdings, app: &str, id: &str, part: Part) {
    holdings.note("e", app, Fact::Has(Kind::Channel, id, part, &channel(id)));
}

fn told(holdings: &Holdings) -> Vec<(&'static str, String, String)> {
    let mut told = Vec::new();
    for notice in holdings.endings().iter().flat_map(Ending::notices) {
        let body: Value = serde_json::from_str(&notice.body).unwrap();
        let thing = body["data"].get("channel").or(body["data"].get("bridge")).unwrap();
        assert_eq!(body["data"]["type"], notice.name);
        assert_eq!(body["data"]["synthetic"], true);
        told.push((notice.name, notice.app.to_string(), thing["id"].as_str().unwrap().to_owned()));
    }
    told.sort();
    told
}

fn wanted(of: &[(&'static str, &str, &str)]) -> Vec<(&'static str, String, String)> {
    of.iter().map(|(name, app, id)| (*name, (*app).to_owned(), (*id).to_owned())).collect()
}

#[test]
fn each_application_is_told_of_what_it_had() {
    let holdings = Holdings::default();
    note(&holdings, "a", "c1", Part::Controls);
    note(&holdings, "b", "c1", Part::Watches);
    note(&holdings, "a", "c2", Part::Controls);
    holdings.note("e", "a", Fact::Lost(Kind::Channel, "c2"));
    note(&holdings, "a", "c3", Part::Watches);
    holdings.note("e", "a", Fact::Ended(Kind::Channel, "c3"));
    holdings.note("e", "a", Fact::Has(Kind::Bridge, "b1", Part::Watches, r#"{"id":"b1"}"#));
    assert_eq!(holdings.die("e"), Some(4));
    assert_eq!(holdings.die("e"), None);
    let all = wanted(&[
        ("BridgeDestroyed", "a", "b1"),
        ("ChannelDestroyed", "a", "c1"),
        ("ChannelDestroyed", "b", "c1"),
        ("StasisEnd", "a", "c1"),
    ]);
    assert_eq!(told(&holdings), all);
    // As the events of it come, whoever sent them, there is less to tell.
    for notice in holdings.endings().iter().flat_map(Ending::notices) {
        assert_eq!(notice.message_id.split('/').next(), Some("e"));
        holdings.told(&notice.message_id);
    }
    assert!(holdings.endings().is_empty());
}

#[test]
fn in_an_end_the_call_leaves_before_it_is_destroyed() {
    let holdings = Holdings::default();
    note(&holdings, "a", "c1", Part::Controls);
    holdings.die("e");
    let names: Vec<&str> =
        holdings.endings()[0].notices().iter().map(|notice| notice.name).collect();
    assert_eq!(names, ["StasisEnd", "ChannelDestroyed"]);
}

fn read(holdings: &Holdings, boot: &str, channels: &[Value], apps: Value) -> bool {
    let begun = holdings.begin_read();
    end(holdings, boot, begun, channels, apps)
}

fn end(holdings: &Holdings, boot: &str, begun: Begun, channels: &[Value], apps: Value) -> bool {
    let (channels, apps) = (json!(channels).to_string(), apps.to_string());
    let listing = Listing {
        channels: channels.as_bytes(),
        bridges: br#"[{"id":"b1"}]"#,
        applications: apps.as_bytes(),
    };
    holdings.end_read("e", boot, begun, &listing)
}

#[test]
fn a_read_tells_who_has_what() {
    let holdings = Holdings::default();
    let within = json!({"id": "c1", "dialplan": {"app_name": "Stasis", "app_data": "a,1"}});
    let without = json!({"id": "c2", "dialplan": {"app_name": "Wait", "app_data": "1"}});
    let apps = json!([
        {"name": "a", "channel_ids": ["c1"], "bridge_ids": ["b1"]},
        {"name": "all", "channel_ids": ["__AST_CHANNEL_ALL_TOPIC"], "bridge_ids": []},
    ]);
    assert!(!read(&holdings, BOOT, &[within, without], apps));
    assert_eq!(holdings.die("e"), Some(5));
    let all = wanted(&[
        ("BridgeDestroyed", "a", "b1"),
        ("ChannelDestroyed", "a", "c1"),
        ("ChannelDestroyed", "all", "c1"),
        ("ChannelDestroyed", "all", "c2"),
        ("StasisEnd", "a", "c1"),
    ]);
    assert_eq!(told(&holdings), all);
}

#[test]
fn what_another_process_does_not_have_has_ended() {
    let holdings = Holdings::default();
    let none = || json!([]);
    assert!(!read(&holdings, BOOT, &[], none()));
    note(&holdings, "a", "c1", Part::Controls);
    // The same process has it no more: that its event was lost is no end to be told twice.
    note(&holdings, "a", "c2", Part::Controls);
    let begun = holdings.begin_read();
    note(&holdings, "a", "c3", Part::Controls);
    let c1 = json!({"id": "c1"});
    let apps = json!([{"name": "a", "channel_ids": ["c1"]}]);
    assert!(!end(&holdings, BOOT, begun, &[c1], apps));
    assert_eq!(holdings.count(), 2);
    assert!(read(&holdings, NEXT, &[], none()));
    let all = wanted(&[
        ("ChannelDestroyed", "a", "c1"),
        ("ChannelDestroyed", "a", "c3"),
        ("StasisEnd", "a", "c3"),
    ]);
    assert_eq!(told(&holdings), all);
    assert!(holdings.endings()[0].boot == BOOT);
    // Once is enough.
    assert!(!read(&holdings, NEXT, &[], none()));
}

fn play(holdings: &Holdings, id: &str, target: &str) {
    let snapshot = json!({"id": id, "target_uri": target}).to_string();
    holdings.note("e", "a", Fact::Has(Kind::Playback, id, Part::Watches, &snapshot));
}

fn plays(holdings: &Holdings) -> Vec<String> {
    let mut all = holdings.all();
    let mut plays: Vec<String> =
        all.nodes.get_mut("e").unwrap().plays.keys().map(|(_, id)| id.to_string()).collect();
    plays.sort();
    plays
}

#[test]
fn a_playback_ends_with_what_it_is_played_to() {
    let holdings = Holdings::default();
    for (id, target) in [("p1", "channel:x"), ("p2", "bridge:x"), ("p3", "channel:y"), ("p4", "")] {
        play(&holdings, id, target);
    }
    holdings.note("e", "a", Fact::Ended(Kind::Channel, "x"));
    assert_eq!(plays(&holdings), ["p2", "p3", "p4"]);
    holdings.note("e", "a", Fact::Ended(Kind::Bridge, "x"));
    holdings.note("e", "a", Fact::Ended(Kind::Playback, "p4"));
    assert_eq!(plays(&holdings), ["p3"]);
    // What is still there is told of when the node dies.
    assert_eq!((holdings.count(), holdings.die("e")), (1, Some(1)));
    assert_eq!(holdings.endings()[0].notices()[0].name, "PlaybackFinished");
}

#[test]
fn after_a_read_there_is_no_playback_to_what_is_not_there() {
    let holdings = Holdings::default();
    read(&holdings, BOOT, &[], json!([]));
    // No application is told of the channel or the bridge any more: they are there all the same.
    for (id, target) in [("p1", "channel:gone"), ("p2", "channel:c1"), ("p3", "bridge:b1")] {
        play(&holdings, id, target);
    }
    let begun = holdings.begin_read();
    play(&holdings, "p4", "channel:new");
    assert!(!end(&holdings, BOOT, begun, &[json!({"id": "c1"})], json!([])));
    assert_eq!(plays(&holdings), ["p2", "p3", "p4"]);
    // With another process all have ended, and that is told.
    assert!(read(&holdings, NEXT, &[json!({"id": "c1"})], json!([])));
    assert_eq!((plays(&holdings).len(), holdings.endings()[0].count()), (0, 3));
}

#[test]
fn a_playback_is_not_kept_for_ever() {
    let holdings = Holdings::default();
    play(&holdings, "p1", "bridge:b1");
    note(&holdings, "a", "c1", Part::Controls);
    holdings.forget_plays(Duration::from_secs(3600));
    assert_eq!(plays(&holdings), ["p1"]);
    holdings.forget_plays(Duration::ZERO);
    assert_eq!((plays(&holdings).len(), holdings.count()), (0, 1));
}

#[test]
fn two_gateways_give_an_end_one_id() {
    let (one, other) = (Holdings::default(), Holdings::default());
    for holdings in [&one, &other] {
        read(holdings, BOOT, &[], json!([]));
        note(holdings, "a", "c1", Part::Controls);
    }
    one.die("e");
    assert!(read(&other, NEXT, &[], json!([])));
    let ids = |holdings: &Holdings| -> Vec<String> {
        holdings.endings()[0].notices().into_iter().map(|notice| notice.message_id).collect()
    };
    assert_eq!(ids(&one), ids(&other));
}
