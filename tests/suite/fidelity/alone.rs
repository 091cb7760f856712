// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What only the one application is told that it is about, and what is not told to those that asked
//! for everything: done to one of ours and to an ARI client's, alike.

use rig::{Consumer, Message, seconds};
use serde_json::json;

use super::endpoints::Registered;
use super::kinds::OF_ONE;
use super::told::{Witness, data, kind, untimed};
use super::{originate, wait_until_gone};
use crate::pair::Pair;

/// What is compared beside [`OF_ONE`].
const MORE: [&str; 2] = ["ChannelUserevent", "EndpointStateChange"];
const OURS: &str = "Alpha";
const THEIRS: &str = "Omega";

/// Compares, and gives what came to the broker.
pub(super) fn what_one_application_is_told(pair: &Pair, witness: &Witness) -> Vec<Message> {
    let (asterisk, ari) = (&pair.asterisk, pair.asterisk.ari());
    let consumer = pair.consumer(&["stasis.app.alpha"]);
    assert_eq!(ari.post(&format!("/amqp/{OURS}")).status, 204);
    let client = Witness::of(asterisk, THEIRS);
    let mut came = Vec::new();

    for app in [OURS, THEIRS] {
        ari.post(&format!("/applications/{app}/subscription?eventSource=endpoint:PJSIP/rig")).ok();
    }
    let phone = Registered::new(asterisk);
    came.extend(until(&consumer, "EndpointStateChange"));
    client.hears_of("EndpointStateChange");

    let channel = originate(&ari, "stay", &format!("app={OURS}&appArgs=one,two"));
    came.extend(until(&consumer, "StasisStart"));
    let path = format!("/channels/{channel}");
    let moved_to = |app: &str| {
        assert_eq!(ari.post(&format!("{path}/move?app={app}&appArgs=one,two")).status, 204);
    };
    moved_to("nobody");
    came.extend(until(&consumer, "ApplicationMoveFailed"));

    let bridge = ari.post("/bridges?type=holding&name=user").ok();
    let bridge = bridge["id"].as_str().expect("a bridge has an id");
    let source = format!("source=channel:{channel},bridge:{bridge},endpoint:PJSIP/rig");
    let said = json!({"variables": {"number": 7, "list": [true, null, {"é\"": -1}]}});
    for app in [OURS, THEIRS] {
        let told = format!("/events/user/odd%22%5C?application={app}&{source}");
        assert_eq!(ari.post_json(&told, &said).status, 204);
    }
    came.extend(until(&consumer, "ChannelUserevent"));
    client.hears_of("ChannelUserevent");
    assert_eq!(ari.delete(&format!("/bridges/{bridge}")).status, 204);

    moved_to(THEIRS);
    came.extend(until(&consumer, "StasisEnd"));
    client.hears_of("StasisStart");
    moved_to("nobody");
    client.hears_of("ApplicationMoveFailed");
    moved_to("witness");
    client.hears_of("StasisEnd");
    witness.hears_of("StasisStart");
    assert_eq!(ari.delete(&path).status, 204);
    wait_until_gone(&ari, &channel);

    let _taker = ari.events(&format!("{OURS},{THEIRS}"));
    came.extend(until(&consumer, "ApplicationReplaced"));
    client.hears_of("ApplicationReplaced");
    let ours = comparable(came.iter().map(data));
    assert_eq!(ours, comparable(client.heard().into_iter()));
    assert_eq!(ours.len(), OF_ONE.len() + MORE.len(), "{ours:?}");
    phone.end();
    came
}

fn until(consumer: &Consumer, name: &str) -> Vec<Message> {
    consumer.drain_until(name, seconds(30), |message| message.name() == name)
}

/// In one order, as several of Asterisk's threads tell them, and of one application.
fn comparable(events: impl Iterator<Item = String>) -> Vec<String> {
    let is_wanted = |kind: &str| MORE.contains(&kind) || OF_ONE.contains(&kind);
    let events = events.filter(|event| is_wanted(&kind(event)));
    let mut events: Vec<_> = events.map(|event| untimed(&event).replace(THEIRS, OURS)).collect();
    events.sort_unstable();
    events
}
