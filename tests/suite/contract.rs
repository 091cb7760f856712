// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What every message must look like: key, headers, properties and the members of its body.

use std::time::{SystemTime, UNIX_EPOCH};

use rig::{Asterisk, Message};
use serde_json::{Value, json};

use crate::clients::text;

/// Key, headers, properties and the members of the body are those of the contract.
#[track_caller]
pub(crate) fn assert_labels(message: &Message, asterisk: &Asterisk) {
    let body = message.json();
    let name = text(&body["name"]);
    let keys: Vec<&String> = body.as_object().expect("a body is an object").keys().collect();
    let lower = name.to_ascii_lowercase();
    let mut headers = json!({
        "name": name,
        "asterisk_id": asterisk.entity_id(),
        "sequence": message.sequence(),
    });
    if let Some(app) = message.routing_key.strip_prefix("stasis.app.") {
        assert_eq!(keys, ["name", "data", "application"]);
        // AMQP has room for 255 bytes.
        let fitting = text(&body["application"]).to_ascii_lowercase();
        let room = fitting.len().min(255 - "stasis.app.".len());
        let cut = (0..=room).rev().find(|&end| fitting.is_char_boundary(end));
        assert_eq!(app, &fitting[..cut.unwrap_or(0)]);
        assert_eq!(body["data"]["application"], body["application"]);
        assert_eq!(body["data"]["asterisk_id"], asterisk.entity_id());
        assert_eq!(body["data"]["type"], *name);
        headers["category"] = json!("stasis");
        headers["application_name"] = body["application"].clone();
    } else if message.routing_key == format!("stasis.channel.{lower}") {
        assert_eq!(keys, ["name", "data"]);
        assert_eq!(body["data"]["type"], *name);
        headers["category"] = json!("stasis");
    } else {
        assert_eq!(message.routing_key, format!("ami.{lower}"));
        assert_eq!(keys, ["name", "data"]);
        assert_eq!(body["data"]["Event"], *name);
        headers["category"] = json!("ami");
    }
    assert_eq!(Value::from(message.headers.clone()), headers);

    let sequence = message.sequence().expect("a sequence");
    let properties = json!({
        "content_type": "application/json",
        "delivery_mode": 2,
        "app_id": "asterisk",
        "type": name,
        "timestamp": message.properties["timestamp"],
        "message_id": format!("{}/{}/{sequence}", asterisk.entity_id(), boot(message)),
    });
    assert_eq!(Value::from(message.properties.clone()), properties);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let then = message.properties["timestamp"].as_u64().expect("a timestamp is a number");
    assert!((now - 60..=now).contains(&then), "{then}, and now it is {now}");
}

/// The middle of a message id: which load of the module it is of.
pub(crate) fn boot(message: &Message) -> String {
    let boot = message.message_id().split('/').nth(1).unwrap_or_default();
    assert!(boot.parse::<u64>().is_ok(), "message id {}", message.message_id());
    boot.to_owned()
}
