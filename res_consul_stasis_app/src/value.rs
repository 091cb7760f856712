// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The value of a key: what an application is to be told of.
//!
//! Empty, a number (a revision, which says nothing), or JSON in ARI's own forms:
//! `{"events":{"allowed":[{"type":"StasisStart"}],"disallowed":[]},"subscriptions":["endpoint:PJSIP/a"]}`.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::note::shortened;

/// The kinds of event source that ARI knows.
const SCHEMES: [&str; 4] = ["channel:", "bridge:", "endpoint:", "deviceState:"];

/// The most unknown members that are named.
const WARNINGS: usize = 5;

/// What an application is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wish {
    /// Which events it is told of; none: whatever ARI has set, which at first is all.
    pub(crate) filter: Option<Filter>,
    /// What it is subscribed to, as ARI names event sources.
    pub(crate) sources: BTreeSet<String>,
}

/// An application's event filter, by the names of events. Two empty lists let all pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) allowed: Vec<String>,
    pub(crate) disallowed: Vec<String>,
}

impl Filter {
    /// As `PUT /applications/{app}/eventFilter` has it. With both lists, for one that is left out
    /// would stay as it was.
    pub(crate) fn to_json(&self) -> String {
        let list = |names: &[String]| -> Value {
            names.iter().map(|name| json!({ "type": name })).collect()
        };
        json!({ "allowed": list(&self.allowed), "disallowed": list(&self.disallowed) }).to_string()
    }
}

/// A value that was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Read {
    /// With an error, that of the empty value.
    pub(crate) wish: Wish,
    /// What is wrong with it.
    pub(crate) error: Option<String>,
    /// What has no meaning and was passed over.
    pub(crate) warnings: Vec<String>,
}

/// Reads a value.
pub(crate) fn read(value: &[u8]) -> Read {
    let mut warnings = Vec::new();
    let wish = wish(value, &mut warnings);
    if warnings.len() > WARNINGS {
        let more = warnings.len() - WARNINGS;
        warnings.truncate(WARNINGS);
        warnings.push(format!("{more} more unknown members"));
    }
    match wish {
        Ok(wish) => Read { wish, error: None, warnings },
        Err(error) => Read { error: Some(error), ..Read::default() },
    }
}

fn wish(value: &[u8], warnings: &mut Vec<String>) -> Result<Wish, String> {
    let text = std::str::from_utf8(value).map_err(|_| "the value is not UTF-8")?.trim();
    if text.is_empty() {
        return Ok(Wish::default());
    }
    match serde_json::from_str(text).map_err(|error| format!("the value is not JSON: {error}"))? {
        Value::Null | Value::Number(_) => Ok(Wish::default()),
        Value::Object(members) => members_of(members, warnings),
        other => {
            Err(format!("the value is {}, it must be empty, a number or an object", kind(&other)))
        }
    }
}

fn members_of(members: Map<String, Value>, warnings: &mut Vec<String>) -> Result<Wish, String> {
    let mut wish = Wish::default();
    for (name, value) in members {
        match name.as_str() {
            "events" => wish.filter = filter(value, warnings)?,
            "subscriptions" => wish.sources = sources(value)?,
            _ => warnings.push(format!("unknown member '{}'", shortened(&name))),
        }
    }
    Ok(wish)
}

fn filter(value: Value, warnings: &mut Vec<String>) -> Result<Option<Filter>, String> {
    let members = match value {
        Value::Null => return Ok(None),
        Value::Object(members) => members,
        other => return Err(format!("events is {}, it must be an object", kind(&other))),
    };
    let mut filter = Filter::default();
    for (name, value) in members {
        let list = match name.as_str() {
            "allowed" => &mut filter.allowed,
            "disallowed" => &mut filter.disallowed,
            _ => {
                warnings.push(format!("unknown member 'events.{}'", shortened(&name)));
                continue;
            }
        };
        let what = format!("events.{name}");
        for (index, element) in elements(value, &what)?.into_iter().enumerate() {
            list.push(event_name(element, &format!("{what}[{index}]"), warnings)?);
        }
    }
    Ok(Some(filter))
}

/// ARI has an object with the member `type`; the bare name is taken too.
fn event_name(value: Value, what: &str, warnings: &mut Vec<String>) -> Result<String, String> {
    let name = match value {
        Value::String(name) => name,
        Value::Object(mut members) => {
            let name = match members.remove("type") {
                Some(Value::String(name)) => name,
                Some(other) => {
                    return Err(format!("{what}.type is {}, it must be a string", kind(&other)));
                }
                None => return Err(format!("{what} has no member 'type'")),
            };
            let unknown = |member| format!("unknown member '{what}.{}'", shortened(member));
            warnings.extend(members.keys().map(|member| unknown(member)));
            name
        }
        other => {
            return Err(format!("{what} is {}, it must be an object or a string", kind(&other)));
        }
    };
    if name.is_empty() { Err(format!("{what} names no event")) } else { Ok(name) }
}

fn sources(value: Value) -> Result<BTreeSet<String>, String> {
    let mut sources = BTreeSet::new();
    for (index, element) in elements(value, "subscriptions")?.into_iter().enumerate() {
        let source = match element {
            Value::String(source) => source,
            other => {
                let kind = kind(&other);
                return Err(format!("subscriptions[{index}] is {kind}, it must be a string"));
            }
        };
        if !SCHEMES.iter().any(|scheme| source.starts_with(scheme)) {
            let known = SCHEMES.join(" ");
            return Err(format!(
                "subscriptions[{index}] = '{}' must begin with one of {known}",
                shortened(&source)
            ));
        }
        sources.insert(source);
    }
    Ok(sources)
}

fn elements(value: Value, what: &str) -> Result<Vec<Value>, String> {
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Array(elements) => Ok(elements),
        other => Err(format!("{what} is {}, it must be an array", kind(&other))),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish_of(value: &str) -> Wish {
        let read = read(value.as_bytes());
        assert_eq!((read.error, read.warnings), (None, Vec::new()), "{value}");
        read.wish
    }

    fn error_of(value: &[u8]) -> String {
        let read = read(value);
        assert_eq!((read.wish, read.warnings), (Wish::default(), Vec::new()));
        read.error.unwrap()
    }

    #[test]
    fn empty_values_and_revisions_wish_for_nothing() {
        for value in ["", " \n", "1", "42", "-1", "1.5e3", "null", "{}"] {
            assert_eq!(wish_of(value), Wish::default(), "{value}");
        }
    }

    #[test]
    fn filters_come_in_aris_form_and_as_bare_names() {
        let wish = wish_of(
            r#"{"events":{"allowed":[{"type":"StasisStart"},"StasisEnd"],"disallowed":["Dial"]}}"#,
        );
        let filter = wish.filter.unwrap();
        assert_eq!(filter.allowed, ["StasisStart", "StasisEnd"]);
        assert_eq!(filter.disallowed, ["Dial"]);
        assert_eq!(
            filter.to_json(),
            r#"{"allowed":[{"type":"StasisStart"},{"type":"StasisEnd"}],"disallowed":[{"type":"Dial"}]}"#
        );
    }

    #[test]
    fn a_filter_that_is_there_but_empty_is_one_that_lets_all_pass() {
        for value in [r#"{"events":{}}"#, r#"{"events":{"allowed":null,"disallowed":[]}}"#] {
            let filter = wish_of(value).filter.unwrap();
            assert_eq!(filter.to_json(), r#"{"allowed":[],"disallowed":[]}"#);
        }
        assert_eq!(wish_of(r#"{"events":null,"subscriptions":null}"#), Wish::default());
    }

    #[test]
    fn sources_are_a_set() {
        let wish = wish_of(
            r#" {"subscriptions":["endpoint:PJSIP/ä b","channel:","endpoint:PJSIP/ä b",
                "bridge:x","deviceState:Stasis:lamp"]} "#,
        );
        let sources: Vec<_> = wish.sources.into_iter().collect();
        let wanted = ["bridge:x", "channel:", "deviceState:Stasis:lamp", "endpoint:PJSIP/ä b"];
        assert_eq!(sources, wanted);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (value, said) in [
            ("{", "the value is not JSON: EOF while parsing an object at line 1 column 1"),
            ("demo", "the value is not JSON: expected value at line 1 column 1"),
            ("{} {}", "the value is not JSON: trailing characters at line 1 column 4"),
            ("[]", "the value is an array, it must be empty, a number or an object"),
            ("true", "the value is a boolean, it must be empty, a number or an object"),
            (r#"{"events":[]}"#, "events is an array, it must be an object"),
            (r#"{"events":{"allowed":{}}}"#, "events.allowed is an object, it must be an array"),
            (
                r#"{"events":{"allowed":["a",1]}}"#,
                "events.allowed[1] is a number, it must be an object or a string",
            ),
            (
                r#"{"events":{"disallowed":[{"type":1}]}}"#,
                "events.disallowed[0].type is a number, it must be a string",
            ),
            (r#"{"events":{"allowed":[{}]}}"#, "events.allowed[0] has no member 'type'"),
            (r#"{"events":{"allowed":[""]}}"#, "events.allowed[0] names no event"),
            (r#"{"subscriptions":"channel:"}"#, "subscriptions is a string, it must be an array"),
            (r#"{"subscriptions":[null]}"#, "subscriptions[0] is null, it must be a string"),
            (
                r#"{"subscriptions":["channel:","Endpoint:PJSIP/a"]}"#,
                "subscriptions[1] = 'Endpoint:PJSIP/a' must begin with one of channel: bridge: \
                 endpoint: deviceState:",
            ),
        ] {
            assert_eq!(error_of(value.as_bytes()), said, "{value}");
        }
        assert_eq!(error_of(b"{\"a\":\xff}"), "the value is not UTF-8");
        let deep = "[".repeat(100_000);
        assert!(error_of(deep.as_bytes()).contains("recursion limit"));
    }

    #[test]
    fn an_error_drops_the_whole_value() {
        let value = r#"{"events":{"allowed":["a"]},"surplus":1,"subscriptions":[1]}"#;
        assert!(error_of(value.as_bytes()).starts_with("subscriptions[0]"));
    }

    #[test]
    fn unknown_members_are_warned_of_and_the_rest_applies() {
        let value = r#"{"event":{},"events":{"allow":[],"allowed":[{"type":"Dial","of":1}]}}"#;
        let read = read(value.as_bytes());
        assert_eq!(
            read.warnings,
            [
                "unknown member 'event'",
                "unknown member 'events.allow'",
                "unknown member 'events.allowed[0].of'"
            ]
        );
        assert_eq!(read.wish.filter.unwrap().allowed, ["Dial"]);
        assert_eq!(read.error, None);
    }

    #[test]
    fn a_value_cannot_flood_the_log() {
        let members: Vec<String> = (0..100).map(|number| format!("\"m{number}\":1")).collect();
        let read = read(format!("{{{}}}", members.join(",")).as_bytes());
        assert_eq!(read.warnings.len(), WARNINGS + 1);
        assert_eq!(read.warnings[WARNINGS], "95 more unknown members");
        let value = format!("{{\"subscriptions\":[\"{}\"]}}", "x".repeat(100_000));
        assert!(error_of(value.as_bytes()).len() < 250);
    }
}
