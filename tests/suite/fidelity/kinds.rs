// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The types of events: which there are, by Asterisk's own description, and how what came of each is
//! compared.

use std::collections::{BTreeMap, BTreeSet};

use rig::{Asterisk, Message, Version};
use serde_json::Value;

use super::told::{data, kind, untimed};
use crate::clients::text;

/// What the channel topic has as JSON, and what of it is written from snapshots where those are
/// known.
const OF_CHANNELS: [(&str, bool); 17] = [
    ("ChannelDtmfReceived", true),
    ("ChannelHangupRequest", true),
    ("ChannelHold", true),
    ("ChannelTalkingFinished", true),
    ("ChannelTalkingStarted", true),
    ("ChannelToneDetected", false),
    ("ChannelTransfer", false),
    ("ChannelUnhold", true),
    ("ChannelUserevent", false),
    ("ChannelVarset", true),
    ("Dial", true),
    ("PlaybackContinuing", false),
    ("PlaybackFinished", false),
    ("PlaybackStarted", false),
    ("RecordingFailed", false),
    ("RecordingFinished", false),
    ("RecordingStarted", false),
];

/// Of what the manager tells, these must occur: what is no event of ARI, or has another form there.
const OF_MANAGER: [&str; 10] = [
    "AttendedTransfer",
    "BlindTransfer",
    "BridgeMerge",
    "ContactStatus",
    "DeviceStateChange",
    "LocalBridge",
    "RTCPReceived",
    "RTCPSent",
    "UserEvent",
    "VarSet",
];

/// What no application is told, but the websocket itself that it is about.
const OF_WEBSOCKETS: [&str; 3] =
    ["ApplicationRegistered", "ApplicationUnregistered", "RESTResponse"];

/// What only the one application is told that it is about.
pub(super) const OF_ONE: [&str; 4] =
    ["ApplicationMoveFailed", "ApplicationReplaced", "StasisEnd", "StasisStart"];

/// What has the time at which each application is told.
const TIMED_BY_TELLING: [&str; 2] = ["DeviceStateChanged", "TextMessageReceived"];

/// What `rest-api/events.json` of this Asterisk says that applications are told.
fn told_to_applications(asterisk: &Asterisk) -> BTreeSet<String> {
    let file = asterisk.folder().join("data/rest-api/events.json");
    let described = std::fs::read_to_string(&file).expect("Asterisk describes its events");
    let described: Value = serde_json::from_str(&described).expect("the description is JSON");
    let kinds = described["models"]["Event"]["subTypes"].as_array().expect("events have types");
    let kinds = kinds.iter().map(text);
    kinds.filter(|kind| !OF_WEBSOCKETS.contains(&kind.as_str())).collect()
}

fn names(messages: &[Message]) -> BTreeSet<String> {
    messages.iter().map(|message| message.name().to_owned()).collect()
}

/// Each type of event that this Asterisk has was published.
#[track_caller]
pub(super) fn assert_all_kinds(asterisk: &Asterisk, of_channels: &[Message], of_apps: &[Message]) {
    let known = told_to_applications(asterisk);
    let missing: Vec<_> = known.difference(&names(of_apps)).cloned().collect();
    assert!(missing.is_empty(), "no application was told of {missing:?}");
    let wanted = OF_CHANNELS.iter().map(|(kind, _)| (*kind).to_owned());
    let wanted: BTreeSet<_> = wanted.filter(|kind| known.contains(kind)).collect();
    assert_eq!(names(of_channels), wanted, "events of channels");
    // 16 does not tell of tones, and asks no application to transfer.
    assert_eq!(wanted.len() == OF_CHANNELS.len(), asterisk.version() == Version::V22);
}

/// Each of those types was published.
#[track_caller]
pub(super) fn assert_of_manager(messages: &[Message]) {
    let told = names(messages);
    let missing: Vec<_> = OF_MANAGER.iter().filter(|kind| !told.contains(**kind)).collect();
    assert!(missing.is_empty(), "no {missing:?} in {told:?}");
}

pub(super) fn is_of_channels(kind: &str) -> bool {
    OF_CHANNELS.iter().any(|(name, _)| *name == kind)
}

/// Whether it is written from snapshots where those are known.
pub(super) fn is_of_snapshots(kind: &str) -> bool {
    OF_CHANNELS.contains(&(kind, true))
}

/// What of an event is the same for all applications, if anything must be.
pub(super) fn of_all(event: &str) -> Option<String> {
    let kind = kind(event);
    if OF_ONE.contains(&kind.as_str()) {
        return None;
    }
    if kind == "DeviceStateChanged" && !event.contains("\"name\":\"Stasis:") {
        // A channel's device comes to rest at leisure, and has another state by then.
        return None;
    }
    match TIMED_BY_TELLING.contains(&kind.as_str()) {
        true => Some(untimed(event)),
        false => Some(event.to_owned()),
    }
}

/// What of an event of a channel is told by the channel topic.
pub(super) fn of_channels(event: &str) -> Option<String> {
    is_of_channels(&kind(event)).then(|| event.to_owned())
}

/// What of an event the manager tells every session alike, the fields in their order.
pub(super) fn of_manager(event: &str) -> Option<String> {
    // Of a channel's device there is no telling when, as above.
    let is_device = event.starts_with("{\"Event\":\"DeviceStateChange\"");
    (!is_device || event.contains("\"Device\":\"Stasis:")).then(|| event.to_owned())
}

/// What is `wanted` of each event is the same in both, and there as often.
#[track_caller]
pub(super) fn assert_told(
    what: &str,
    messages: &[Message],
    told: &[String],
    wanted: fn(&str) -> Option<String>,
) {
    let mut balance: BTreeMap<String, i32> = BTreeMap::new();
    for event in messages.iter().filter_map(|message| wanted(&data(message))) {
        *balance.entry(event).or_default() += 1;
    }
    for event in told.iter().filter_map(|event| wanted(event)) {
        *balance.entry(event).or_default() -= 1;
    }
    balance.retain(|_, count| *count != 0);
    let lines: String =
        balance.iter().take(20).map(|(text, n)| format!("\n{n:+} {text}")).collect();
    assert!(balance.is_empty(), "{what}: more (+) or fewer (-) at the broker:{lines}");
}
