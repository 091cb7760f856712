// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The value of an application's key, as `res_consul_stasis_app` reads it.

use serde_json::{Map, Value, json};

/// All that ARI knows as sources of events.
const ALL: [&str; 4] = ["channel:", "bridge:", "endpoint:", "deviceState:"];

fn members(value: &[u8]) -> Map<String, Value> {
    match serde_json::from_slice(value) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

fn text(members: Map<String, Value>) -> String {
    if members.is_empty() { String::new() } else { Value::Object(members).to_string() }
}

/// The value with subscriptions to all there is; `None` when it has them.
pub(super) fn with_all(value: &[u8]) -> Option<String> {
    let mut members = members(value);
    let mut sources: Vec<Value> = match members.get("subscriptions") {
        Some(Value::Array(sources)) => sources.clone(),
        _ => Vec::new(),
    };
    let before = sources.len();
    let missing: Vec<Value> =
        ALL.iter().map(|source| json!(source)).filter(|source| !sources.contains(source)).collect();
    sources.extend(missing);
    if sources.len() == before {
        return None;
    }
    members.insert("subscriptions".to_owned(), Value::Array(sources));
    Some(text(members))
}

/// The value with an event filter: the body of `PUT /applications/{app}/eventFilter`, in which a
/// list that is left out stays as it was. `None` when the body is none.
pub(super) fn with_filter(value: &[u8], body: &[u8]) -> Option<String> {
    let Ok(Value::Object(filter)) = serde_json::from_slice(body) else { return None };
    let mut members = members(value);
    let mut events = match members.remove("events") {
        Some(Value::Object(events)) => events,
        _ => Map::new(),
    };
    for name in ["allowed", "disallowed"] {
        if let Some(list) = filter.get(name) {
            events.insert(name.to_owned(), list.clone());
        }
    }
    if !events.is_empty() {
        members.insert("events".to_owned(), Value::Object(events));
    }
    Some(text(members))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_asked_for_once() {
        let all = r#"{"subscriptions":["channel:","bridge:","endpoint:","deviceState:"]}"#;
        assert_eq!(with_all(b"").as_deref(), Some(all));
        assert_eq!(with_all(b"5").as_deref(), Some(all));
        assert_eq!(with_all(all.as_bytes()), None);
        let some = br#"{"events":{"allowed":[]},"subscriptions":["endpoint:PJSIP/a"]}"#;
        let more = with_all(some).unwrap();
        assert!(
            more.starts_with(r#"{"events":{"allowed":[]},"subscriptions":["endpoint:PJSIP/a","#)
        );
    }

    #[test]
    fn a_filter_is_kept_beside_the_rest() {
        let filter = br#"{"allowed":[{"type":"StasisStart"}]}"#;
        let wanted = r#"{"events":{"allowed":[{"type":"StasisStart"}]}}"#;
        assert_eq!(with_filter(b"", filter).as_deref(), Some(wanted));
        let value = br#"{"subscriptions":["channel:"],"events":{"disallowed":[{"type":"x"}]}}"#;
        let both: Value = serde_json::from_str(&with_filter(value, filter).unwrap()).unwrap();
        assert_eq!(both["events"]["disallowed"], json!([{"type": "x"}]));
        assert_eq!(both["events"]["allowed"], json!([{"type": "StasisStart"}]));
        assert_eq!(both["subscriptions"], json!(["channel:"]));
        assert_eq!(with_filter(b"", b"[]"), None);
        assert_eq!(with_filter(b"", b""), None);
    }
}
