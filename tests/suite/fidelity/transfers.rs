// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Phones that send the other side elsewhere: by SIP, by keys, and by asking an application to.

use rig::{Ari, Asterisk, Builder, Phone, Version, eventually, seconds};

use super::told::Witness;
use crate::clients::text;

pub(super) fn furnish(builder: Builder) -> Builder {
    builder
        .load("res_pjsip_refer")
        .append("rtp.conf", "rtcpinterval = 500")
        .append("features.conf", "[featuremap]\natxfer => *2\n")
        .extension("talks", &["Dial(Local/stay@default/n,10,T)"])
        .extension("7001", &["Answer()", "Wait(600)"])
        .extension("asks", &["Answer()", "Set(PJSIP_TRANSFER_HANDLING()=ari-only)", "Wait(60)"])
}

pub(super) fn transfers(asterisk: &Asterisk, witness: &Witness) {
    blind(asterisk, witness);
    attended(asterisk, witness);
    attended_by_keys(asterisk, witness);
    // Before, an application can't be asked.
    if asterisk.version() == Version::V22 {
        left_to_an_application(asterisk, witness);
    }
}

fn blind(asterisk: &Asterisk, witness: &Witness) {
    let phone = talking(asterisk);
    assert_eq!(phone.refer(&address(asterisk, "stay"), seconds(10)), 202);
    witness.hears_of("BridgeBlindTransfer");
    end(asterisk, &[phone]);
}

fn attended(asterisk: &Asterisk, witness: &Witness) {
    let [first, second] = [talking(asterisk), talking(asterisk)];
    let address = second.replaced_at(&address(asterisk, "stay"));
    assert_eq!(first.refer(&address, seconds(10)), 202);
    witness.hears_of("BridgeAttendedTransfer");
    end(asterisk, &[first, second]);
}

/// As one that presses the keys of features.conf, and hangs up when the other has answered: then two
/// bridges become one.
fn attended_by_keys(asterisk: &Asterisk, witness: &Witness) {
    let ari = asterisk.ari();
    let phone = talking(asterisk);
    let channels = phones(&ari);
    let [(id, name)] = channels.as_slice() else { panic!("one phone, not {channels:?}") };
    let before = bridge_of(&ari, id);
    let fields = [("Channel", name.as_str()), ("Exten", "7001"), ("Context", "default")];
    let manager = asterisk.ami();
    let answer = manager.action("Atxfer", &fields);
    assert_eq!(answer.field("Response"), "Success", "{answer:?}");
    eventually("the other side to be asked", seconds(20), || {
        let now = bridge_of(&ari, id);
        if now.is_some() && now != before { Ok(()) } else { Err(format!("{now:?}")) }
    });
    // Of reports on the audio only the manager tells.
    for kind in ["RTCPSent", "RTCPReceived"] {
        manager.next_of(kind, seconds(20));
    }
    end(asterisk, &[phone]);
    witness.hears_of("BridgeAttendedTransfer");
}

fn left_to_an_application(asterisk: &Asterisk, witness: &Witness) {
    let phone = Phone::call(asterisk.sip_port(), "asks", 440);
    witness.hears("\"app_data\":\"PJSIP_TRANSFER_HANDLING()=ari-only\"");
    witness.hears("\"dialplan_app\":\"Wait\"");
    assert_eq!(phone.refer(&address(asterisk, "some%20one"), seconds(10)), 202);
    witness.hears_of("ChannelTransfer");
    end(asterisk, &[phone]);
}

fn address(asterisk: &Asterisk, number: &str) -> String {
    format!("sip:{number}@127.0.0.1:{}", asterisk.sip_port())
}

/// A phone that talks with a channel that stays, in a bridge.
fn talking(asterisk: &Asterisk) -> Phone {
    let ari = asterisk.ari();
    let before = phones(&ari);
    let phone = Phone::call(asterisk.sip_port(), "talks", 440);
    eventually("the phone to be in a bridge", seconds(20), || {
        let new = phones(&ari).into_iter().find(|one| !before.contains(one));
        let (id, _) = new.ok_or("no phone")?;
        bridge_of(&ari, &id).map(drop).ok_or("no bridge")
    });
    phone.wait_answered(seconds(10));
    phone
}

/// Ids and names of their channels.
fn phones(ari: &Ari) -> Vec<(String, String)> {
    let channels = ari.get("/channels").ok();
    let channels = channels.as_array().expect("channels are a list").iter();
    let channels = channels.map(|channel| (text(&channel["id"]), text(&channel["name"])));
    channels.filter(|(_, name)| name.starts_with("PJSIP/")).collect()
}

/// The bridge in which this channel is with another.
fn bridge_of(ari: &Ari, channel: &str) -> Option<String> {
    let bridges = ari.get("/bridges").ok();
    let mut bridges = bridges.as_array().expect("bridges are a list").iter();
    let is_it = |channels: &Vec<_>| channels.len() == 2 && channels.iter().any(|id| *id == channel);
    let bridge = bridges.find(|bridge| bridge["channels"].as_array().is_some_and(is_it))?;
    Some(text(&bridge["id"]))
}

/// Phones hang up when the other side is elsewhere, if Asterisk does not before.
fn end(asterisk: &Asterisk, all: &[Phone]) {
    all.iter().for_each(Phone::hang_up);
    let ari = asterisk.ari();
    eventually("the phones' channels to be gone", seconds(20), || {
        let left = phones(&ari);
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    });
}
