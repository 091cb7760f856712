// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! One answer from several nodes' answers: pure functions of the bodies.

use std::borrow::Cow;

use bytes::Bytes;
use hyper::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::stamp::stamped;
use crate::ari::Merge;

/// A node's whole answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub eid: String,
    pub status: StatusCode,
    pub body: Bytes,
}

/// What an entry of a list is known by.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Entry<'a> {
    #[serde(borrow, default)]
    pub id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub technology: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub resource: Option<Cow<'a, str>>,
}

/// What a user gets to see of a list, by the node and the entry.
pub(super) type Shows<'a> = &'a dyn Fn(&str, &Entry<'_>) -> bool;

/// Merges at least one answer. `shows` is asked for each object of a list.
pub(super) fn merge(how: Merge, answers: &[Answer], shows: Shows<'_>) -> (StatusCode, Bytes) {
    let fine: Vec<&Answer> = answers.iter().filter(|answer| answer.status.is_success()).collect();
    let Some(first) = fine.first() else {
        // What most say, the first of them.
        let said =
            |answer: &&Answer| answers.iter().filter(|one| one.status == answer.status).count();
        let said = answers.iter().rev().max_by_key(said);
        return said.map_or((StatusCode::BAD_GATEWAY, Bytes::new()), |answer| {
            (answer.status, answer.body.clone())
        });
    };
    let body = match how {
        Merge::Done => first.body.clone(),
        Merge::Lists => lists(&fine, shows),
        Merge::ListsByName(key) => lists_by_name(&fine, key, shows),
        Merge::Objects => objects(&fine).map_or_else(|| first.body.clone(), text),
        Merge::Infos => infos(&fine).map_or_else(|| first.body.clone(), text),
    };
    (first.status, body)
}

fn text(value: Value) -> Bytes {
    value.to_string().into()
}

/// Each object keeps its bytes.
fn lists(answers: &[&Answer], shows: Shows<'_>) -> Bytes {
    let mut merged = vec![b'['];
    for answer in answers {
        let Ok(list) = serde_json::from_slice::<Vec<&RawValue>>(&answer.body) else { continue };
        for entry in list {
            let known: Entry<'_> = serde_json::from_str(entry.get()).unwrap_or_default();
            if !shows(&answer.eid, &known) {
                continue;
            }
            if merged.len() > 1 {
                merged.push(b',');
            }
            match stamped(entry.get().as_bytes(), &answer.eid) {
                Some(stamped) => merged.extend(stamped),
                None => merged.extend_from_slice(entry.get().as_bytes()),
            }
        }
    }
    merged.push(b']');
    merged.into()
}

fn lists_by_name(answers: &[&Answer], key: &str, shows: Shows<'_>) -> Bytes {
    let mut merged: Vec<(String, Map<String, Value>)> = Vec::new();
    for answer in answers {
        let Ok(list) = serde_json::from_slice::<Vec<Map<String, Value>>>(&answer.body) else {
            continue;
        };
        for object in list {
            let Some(name) = object.get(key).and_then(Value::as_str).map(str::to_owned) else {
                continue;
            };
            let named = || Some(Cow::Borrowed(name.as_str()));
            if !shows(&answer.eid, &Entry { id: named(), name: named(), ..Entry::default() }) {
                continue;
            }
            match merged.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => unite(known, object, &answer.eid),
                None => merged.push((name, begun(object, &answer.eid))),
            }
        }
    }
    text(merged.into_iter().map(|(_, object)| Value::Object(object)).collect())
}

fn objects(answers: &[&Answer]) -> Option<Value> {
    let mut merged: Option<Map<String, Value>> = None;
    for answer in answers {
        let object: Map<String, Value> = serde_json::from_slice(&answer.body).ok()?;
        match &mut merged {
            Some(merged) => unite(merged, object, &answer.eid),
            None => merged = Some(begun(object, &answer.eid)),
        }
    }
    merged.map(Value::Object)
}

fn begun(mut object: Map<String, Value>, eid: &str) -> Map<String, Value> {
    object.insert("asterisk_id".to_owned(), json!(eid));
    object.insert("asterisk_ids".to_owned(), json!([eid]));
    object
}

/// Lists get what the other has more; of states the livelier one stays.
fn unite(into: &mut Map<String, Value>, more: Map<String, Value>, eid: &str) {
    if let Some(Value::Array(ids)) = into.get_mut("asterisk_ids") {
        ids.push(json!(eid));
    }
    let is_livelier = liveliness(&more) > liveliness(into);
    if is_livelier {
        into.insert("asterisk_id".to_owned(), json!(eid));
    }
    for (name, value) in more {
        match (into.get_mut(&name), value) {
            (Some(Value::Array(all)), Value::Array(more)) => {
                for value in more {
                    if !all.contains(&value) {
                        all.push(value);
                    }
                }
            }
            (Some(known), value) if is_livelier => *known = value,
            (Some(_), _) => {}
            (None, value) => {
                into.insert(name, value);
            }
        }
    }
}

/// States of endpoints and devices, as Asterisk ranks them when it has several for one.
fn liveliness(object: &Map<String, Value>) -> usize {
    const RISING: [&str; 12] = [
        "unknown",
        "INVALID",
        "UNKNOWN",
        "UNAVAILABLE",
        "offline",
        "NOT_INUSE",
        "online",
        "ONHOLD",
        "RINGING",
        "INUSE",
        "RINGINUSE",
        "BUSY",
    ];
    let state = object.get("state").and_then(Value::as_str).unwrap_or_default();
    RISING.iter().position(|known| *known == state).map_or(0, |place| place + 1)
}

/// The first node's, as one Asterisk would say it, and everyone's under `nodes`.
fn infos(answers: &[&Answer]) -> Option<Value> {
    let parsed = answers.iter().filter_map(|answer| {
        let object: Map<String, Value> = serde_json::from_slice(&answer.body).ok()?;
        Some((answer.eid.clone(), object))
    });
    let all: Vec<(String, Map<String, Value>)> = parsed.collect();
    let (eid, first) = all.first()?;
    let mut merged = first.clone();
    merged.insert("asterisk_id".to_owned(), json!(eid));
    let nodes = all.iter().map(|(eid, object)| {
        let mut object = object.clone();
        object.insert("asterisk_id".to_owned(), json!(eid));
        Value::Object(object)
    });
    merged.insert("nodes".to_owned(), nodes.collect());
    Some(Value::Object(merged))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(of: &[(&str, u16, &str)]) -> Vec<Answer> {
        let answer = |(eid, status, body): &(&str, u16, &str)| Answer {
            eid: (*eid).to_owned(),
            status: StatusCode::from_u16(*status).unwrap(),
            body: Bytes::copy_from_slice(body.as_bytes()),
        };
        of.iter().map(answer).collect()
    }

    fn merged(how: Merge, of: &[(&str, u16, &str)]) -> (u16, Value) {
        let (status, body) = merge(how, &answers(of), &|_, _| true);
        (status.as_u16(), serde_json::from_slice(&body).unwrap())
    }

    #[test]
    fn lists_follow_each_other_and_each_object_says_its_node() {
        let of = [
            ("a", 200, r#"[{"id":"1"},{"id":"2"}]"#),
            ("b", 200, "[]"),
            ("c", 200, r#"[{"id":"3"}]"#),
        ];
        let wanted = json!([
            {"asterisk_id": "a", "id": "1"},
            {"asterisk_id": "a", "id": "2"},
            {"asterisk_id": "c", "id": "3"},
        ]);
        assert_eq!(merged(Merge::Lists, &of), (200, wanted));
        assert_eq!(merged(Merge::Lists, &[("a", 200, "[]")]), (200, json!([])));
        let broken = [("a", 200, "nonsense"), ("b", 500, "{}"), ("c", 200, r#"[{"id":"3"}]"#)];
        assert_eq!(merged(Merge::Lists, &broken).1.as_array().unwrap().len(), 1);
    }

    #[test]
    fn bytes_of_an_object_stay_as_they_were() {
        let body = "[{\"id\":\"1\", \"x\" : 1.50e1,\"u\":\"\\u00e9\"}]";
        let (_, merged) = merge(Merge::Lists, &answers(&[("a", 200, body)]), &|_, _| true);
        let wanted = "[{\"asterisk_id\":\"a\",\"id\":\"1\", \"x\" : 1.50e1,\"u\":\"\\u00e9\"}]";
        assert_eq!(merged, wanted);
    }

    #[test]
    fn what_is_not_shown_is_left_out() {
        let of =
            answers(&[("a", 200, r#"[{"id":"1"},{"id":"2"}]"#), ("b", 200, r#"[{"id":"1"}]"#)]);
        let (_, body) =
            merge(Merge::Lists, &of, &|eid, entry| eid == "a" && entry.id.as_deref() == Some("1"));
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body, json!([{"asterisk_id": "a", "id": "1"}]));
    }

    #[test]
    fn objects_of_one_name_become_one() {
        let app = |name: &str, channels: &str| {
            format!(r#"{{"name":"{name}","channel_ids":[{channels}],"events":1}}"#)
        };
        let (one, two) = (app("x", r#""1""#), app("x", r#""2","1""#));
        let wanted = json!({
            "name": "x", "channel_ids": ["1", "2"], "events": 1,
            "asterisk_id": "a", "asterisk_ids": ["a", "b"],
        });
        assert_eq!(
            merged(Merge::Objects, &[("a", 200, &one), ("b", 200, &two), ("c", 404, "{}")]),
            (200, wanted.clone())
        );
        let lists = [("a", 200, format!("[{one}]")), ("b", 200, format!("[{two}]"))];
        let lists: Vec<(&str, u16, &str)> =
            lists.iter().map(|(eid, status, body)| (*eid, *status, body.as_str())).collect();
        assert_eq!(merged(Merge::ListsByName("name"), &lists), (200, json!([wanted])));
    }

    #[test]
    fn the_livelier_state_counts() {
        let endpoint = |state: &str| format!(r#"{{"resource":"r","state":"{state}"}}"#);
        let (off, on) = (endpoint("offline"), endpoint("online"));
        for of in [[("a", 200, off.as_str()), ("b", 200, &on)], [("b", 200, &on), ("a", 200, &off)]]
        {
            let (_, merged) = merged(Merge::Objects, &of);
            assert_eq!((&merged["state"], &merged["asterisk_id"]), (&json!("online"), &json!("b")));
        }
    }

    #[test]
    fn without_a_success_it_is_what_most_say() {
        let of = [
            ("a", 500, r#"{"message":"1"}"#),
            ("b", 404, r#"{"message":"2"}"#),
            ("c", 404, r#"{"message":"3"}"#),
        ];
        assert_eq!(merged(Merge::Objects, &of), (404, json!({"message": "2"})));
        let done = [("a", 404, "{}"), ("b", 204, "\"\"")];
        assert_eq!(merged(Merge::Done, &done).0, 204);
    }

    #[test]
    fn infos_are_the_firsts_and_all() {
        let (_, merged) =
            merged(Merge::Infos, &[("a", 200, r#"{"v":1}"#), ("b", 200, r#"{"v":2}"#)]);
        let nodes = json!([{"v": 1, "asterisk_id": "a"}, {"v": 2, "asterisk_id": "b"}]);
        assert_eq!(merged, json!({"v": 1, "asterisk_id": "a", "nodes": nodes}));
    }
}
