// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Manager events, of any bytes: the first line is the event's name, the rest its text. What comes
//! out is JSON with what a simpler reading of the same lines finds.

#![no_main]

#[path = "../../res_stasis_amqp/src"]
mod module {
    pub(crate) mod ami;
    pub(crate) mod event;
    pub(crate) mod identity;
    pub(crate) mod labels;
    pub(crate) mod loss;
    pub(crate) mod plain;
    pub(crate) mod routing;
    pub(crate) mod short_text;
}

use libfuzzer_sys::fuzz_target;
use module::*;
use serde_json::{Map, Value};

use crate::ami::Source;
use crate::event::Event;

fuzz_target!(|data: &[u8]| {
    let line = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let name = String::from_utf8_lossy(&data[..line]);
    let text = data.get(line + 1..).unwrap_or_default();
    for source in [Source::Fields, Source::Hook] {
        let json = ami::to_json(&name, text, source);
        let read: Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(read, Value::Object(expected(&name, text, source)), "{json}");
        // Two members of one name are valid JSON, and one of them is lost to whoever reads it.
        assert_eq!(read.to_string().len(), json.len(), "{json}");

        let event = Event::ami(&name, &json, 0);
        let body: Value = serde_json::from_slice(&event.body).expect("JSON");
        assert_eq!((&body["name"], &body["data"]), (&Value::from(&*name), &read));
        assert!(event.key.len() <= 255 && event.name.len() <= 255);
        assert!(event.cost() >= event.body.len());
    }
});

fn expected(name: &str, text: &[u8], source: Source) -> Map<String, Value> {
    let mut members = Map::new();
    members.insert("Event".to_owned(), name.into());
    let mut is_head = source == Source::Hook;
    for line in text.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Some(colon) = line.iter().position(|byte| *byte == b':').filter(|colon| *colon > 0)
        else {
            continue;
        };
        let (key, value) = (&line[..colon], &line[colon + 1..]);
        if key == b"Event" {
            continue;
        }
        if std::mem::take(&mut is_head) && key == b"Privilege" {
            continue;
        }
        let key = String::from_utf8_lossy(key).into_owned();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        let value = Value::from(String::from_utf8_lossy(value));
        match members.get_mut(&key) {
            None => drop(members.insert(key, value)),
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    members
}
