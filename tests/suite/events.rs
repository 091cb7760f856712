// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What arrives at the broker, compared with what Asterisk's own clients see.

use rig::{Version, seconds};

use crate::pair::Pair;

on_each_version!(a_call_into_an_application_arrives);

fn a_call_into_an_application_arrives(version: Version) {
    let pair = Pair::start(version);
    let consumer = pair.consumer(&["stasis.app.demo"]);
    let ari = pair.asterisk.ari();
    assert_eq!(ari.post("/amqp/Demo").status, 204);
    ari.post("/channels?endpoint=Local/wait@default&app=Demo&appArgs=one,two").ok();
    let start = consumer.next_where("StasisStart", seconds(10), |m| m.name() == "StasisStart");
    assert_eq!(start.json()["application"], "Demo");
    println!("{start:?}");
    println!("{}", pair.asterisk.cli("amqp show status"));
}
