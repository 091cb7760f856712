// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! `include/asterisk/stasis_amqp.h`, by a C module that is compiled here and calls it.

use rig::c_module::compile;
use rig::folder::Folder;
use rig::{Version, seconds};
use serde_json::json;

use crate::contract::assert_labels;
use crate::pair::{Pair, load, unload};

on_each_version!(a_c_module_creates_and_ends_applications, the_module_stays_while_another_needs_it,);

/// A pair, and in it the C module, not loaded yet.
fn with_caller(version: Version, folder: &Folder) -> Pair {
    let file = compile(version, folder, "caller", include_str!("caller.c"));
    Pair::furnished(version, |conf| conf, |node| node.module_file("caller", &file, false))
}

fn a_c_module_creates_and_ends_applications(version: Version) {
    let folder = Folder::new("c");
    let pair = with_caller(version, &folder);
    let asterisk = &pair.asterisk;
    let consumer = pair.consumer(&["stasis.app.#"]);
    let ari = asterisk.ari();
    asterisk.cli("module load caller.so");
    asterisk.wait_log("subscribing returned 0");
    let names = || ari.get("/amqp").ok()["applications"].clone();
    assert_eq!(names(), json!(["Caller"]));
    assert_eq!(ari.post("/events/user/hello?application=Caller").status, 204);
    let event = consumer.next(seconds(10));
    assert_labels(&event, asterisk);
    assert_eq!(event.routing_key, "stasis.app.caller");

    let socket = ari.events("held");
    for (command, result) in [
        ("subscribe Caller", 0),
        ("subscribe \"Zweite App\"", 0),
        ("subscribe held", -1),
        ("unsubscribe held", -1),
        ("subscribe", -1),
        ("subscribe \"\"", -1),
        ("unsubscribe", -1),
        ("unsubscribe \"\"", -1),
        ("unsubscribe never", -1),
        ("unsubscribe Caller", 0),
        ("unsubscribe Caller", -1),
    ] {
        let answer = asterisk.cli(&format!("caller {command}"));
        assert_eq!(answer.trim(), format!("returned {result}"), "{command}");
    }
    assert_eq!(names(), json!(["Zweite App"]));
    assert_eq!(ari.get("/applications/Caller").status, 404);
    assert_eq!(ari.post("/events/user/still?application=held").status, 204);
    assert_eq!(socket.next(seconds(10))["eventname"], "still");
    // What C has created ARI may end.
    assert_eq!(ari.delete("/amqp/Zweite%20App").status, 204);
    assert_eq!(names(), json!([]));
}

fn the_module_stays_while_another_needs_it(version: Version) {
    let folder = Folder::new("c");
    let pair = with_caller(version, &folder);
    let asterisk = &pair.asterisk;
    let consumer = pair.consumer(&["stasis.app.caller"]);
    asterisk.cli("module load caller.so");
    asterisk.wait_log("subscribing returned 0");

    let refused = asterisk.cli("module unload res_stasis_amqp.so");
    assert!(refused.contains("Unable to unload resource res_stasis_amqp.so"), "{refused}");
    assert_eq!(asterisk.ari().post("/events/user/here?application=Caller").status, 204);
    assert_eq!(consumer.next(seconds(10)).json()["data"]["eventname"], "here");

    let answer = asterisk.cli("module unload caller.so");
    assert!(answer.contains("Unloaded caller.so"), "{answer}");
    unload(asterisk);
    load(asterisk);
    asterisk.assert_alive();
}
