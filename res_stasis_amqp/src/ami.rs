// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Manager events: from `Key: Value` lines to JSON.
//!
//! - A line is split at its first colon, and one blank after it goes; all else is the value, blanks
//!   and colons too. (The C module split at every blank and colon and kept the last piece.)
//! - A key that repeats becomes an array in the place of the first; keys are told apart by case.
//! - What is not UTF-8 becomes U+FFFD, before keys are compared: JSON must not have one of them
//!   twice. A line may end in a bare LF.
//! - A line without a colon, or with nothing before it, is left out: there is no name to store it
//!   by. So is a field `Event`, which must not pass for the event's name.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::event::json_string;

/// Where a manager event's text comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// A message of the manager topic: the fields.
    Fields,
    /// A manager hook: `Event: Name`, `Privilege: …`, then the fields. The privilege is about the
    /// manager's users and goes, so that an event looks the same from both sources.
    Hook,
}

/// `{"Event":"Name","Key":"Value",…}`, in the order of the lines.
pub(crate) fn to_json(name: &str, text: &[u8], source: Source) -> String {
    let mut fields = Fields { in_order: Vec::with_capacity(FEW), places: HashMap::new() };
    let mut may_be_head = source == Source::Hook;
    for (key, value) in lines(text).filter_map(split) {
        match key {
            b"Event" => {}
            b"Privilege" if may_be_head => may_be_head = false,
            _ => {
                may_be_head = false;
                fields.add(utf8(key), value);
            }
        }
    }
    fields.json(name)
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .filter(|line| !line.is_empty())
}

fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (key, rest) = line.split_at_checked(colon)?;
    let value = rest.strip_prefix(b":")?;
    let value = value.strip_prefix(b" ").unwrap_or(value);
    (!key.is_empty()).then_some((key, value))
}

/// Up to this many fields a search is faster than a map. Nearly all events have fewer.
const FEW: usize = 48;

/// Fields in order, each with all its values.
struct Fields<'a> {
    in_order: Vec<(Cow<'a, str>, Values<'a>)>,
    /// Where each key is, once there are more than a few: an ARI client decides how many fields an
    /// event of its own has, and this runs on Asterisk's threads.
    places: HashMap<Cow<'a, str>, usize>,
}

struct Values<'a> {
    first: &'a [u8],
    more: Vec<&'a [u8]>,
}

impl<'a> Fields<'a> {
    fn add(&mut self, key: Cow<'a, str>, value: &'a [u8]) {
        let place = self.place(key.clone());
        if let Some((_, values)) = place.and_then(|place| self.in_order.get_mut(place)) {
            values.more.push(value);
            return;
        }
        let (first, more) = (value, Vec::new());
        self.in_order.push((key, Values { first, more }));
    }

    /// Where `key` is, or None after noting where it will be.
    fn place(&mut self, key: Cow<'a, str>) -> Option<usize> {
        let count = self.in_order.len();
        if count < FEW {
            return self.in_order.iter().position(|(known, _)| *known == key);
        }
        if self.places.is_empty() {
            let keys = self.in_order.iter().map(|(known, _)| known.clone());
            self.places.extend(keys.zip(0..));
        }
        match self.places.entry(key) {
            Entry::Occupied(place) => Some(*place.get()),
            Entry::Vacant(place) => {
                place.insert(count);
                None
            }
        }
    }

    fn json(&self, name: &str) -> String {
        let mut json = Vec::with_capacity(1024);
        json.extend_from_slice(br#"{"Event":"#);
        json_string(&mut json, name);
        for (key, Values { first, more }) in &self.in_order {
            json.push(b',');
            json_string(&mut json, key);
            json.push(b':');
            if more.is_empty() {
                lossy_string(&mut json, first);
                continue;
            }
            json.push(b'[');
            lossy_string(&mut json, first);
            for value in more {
                json.push(b',');
                lossy_string(&mut json, value);
            }
            json.push(b']');
        }
        json.push(b'}');
        String::from_utf8(json).unwrap_or_default()
    }
}

fn lossy_string(into: &mut Vec<u8>, bytes: &[u8]) {
    json_string(into, &utf8(bytes));
}

/// Nearly all is UTF-8, which is quicker to see than to look for where it is not.
fn utf8(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(fields: &[u8]) -> String {
        to_json("X", fields, Source::Fields)
    }

    #[test]
    fn values_are_kept_whole() {
        assert_eq!(
            json(
                b"CallerIDName: John Q Public\r\nAppData: PJSIP/bob,30,m(a b)\r\n\
                  URL: http://h:80/x\r\nTime: 10:20:30\r\nEmpty: \r\nBare:\r\n\
                  Tight:a: b\r\nBlanks:   two \r\n"
            ),
            r#"{"Event":"X","CallerIDName":"John Q Public","AppData":"PJSIP/bob,30,m(a b)","URL":"http://h:80/x","Time":"10:20:30","Empty":"","Bare":"","Tight":"a: b","Blanks":"  two "}"#
        );
    }

    #[test]
    fn a_repeated_key_is_an_array_in_the_place_of_the_first() {
        assert_eq!(
            json(b"A: 1\r\nV: a\r\nB: 2\r\nV: b\r\nv: c\r\nV: \r\n"),
            r#"{"Event":"X","A":"1","V":["a","b",""],"B":"2","v":"c"}"#
        );
    }

    #[test]
    fn any_bytes_make_valid_json() {
        let json = json(b"K\xfe: a\xffb\"\\\x01\tc\rd\r\nok: \xc3\xa9");
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["K\u{fffd}"], "a\u{fffd}b\"\\\u{1}\tc\rd");
        assert_eq!(value["ok"], "é");
    }

    #[test]
    fn keys_that_become_one_are_one() {
        assert_eq!(
            json(b"K\xfe: 1\r\nK\xff: 2\r\n"),
            "{\"Event\":\"X\",\"K\u{fffd}\":[\"1\",\"2\"]}"
        );
    }

    #[test]
    fn lines_that_name_nothing_are_left_out() {
        let lines = b"\r\nno colon\r\n: no key\nA: 1\n\nEvent: Fake\n";
        assert_eq!(json(lines), r#"{"Event":"X","A":"1"}"#);
        assert_eq!(json(b""), r#"{"Event":"X"}"#);
    }

    #[test]
    fn both_sources_give_the_same_event() {
        let fields = b"Channel: Local/3000@default-1;1\r\nValue: a: b, c\r\nPrivilege: x\r\n";
        let mut text = b"Event: VarSet\r\nPrivilege: dialplan,all\r\n".to_vec();
        text.extend_from_slice(fields);
        text.extend_from_slice(b"\r\n");
        let expected = r#"{"Event":"VarSet","Channel":"Local/3000@default-1;1","Value":"a: b, c","Privilege":"x"}"#;
        assert_eq!(to_json("VarSet", fields, Source::Fields), expected);
        assert_eq!(to_json("VarSet", &text, Source::Hook), expected);
    }

    #[test]
    fn only_the_privilege_of_the_head_goes() {
        let text = b"Event: E\nA: 1\nPrivilege: x\n";
        assert_eq!(to_json("E", text, Source::Hook), r#"{"Event":"E","A":"1","Privilege":"x"}"#);
    }

    #[test]
    fn many_fields_take_no_time_to_speak_of() {
        let started = std::time::Instant::now();
        let lines: String = (0..50_000).map(|n| format!("key{n}: {n}\r\n")).collect();
        let lines = format!("{lines}key7: again\r\nkey49999: again\r\n");
        let value: serde_json::Value = serde_json::from_str(&json(lines.as_bytes())).unwrap();
        assert_eq!(value["key49998"], "49998");
        assert_eq!(value["key7"], serde_json::json!(["7", "again"]));
        assert_eq!(value["key49999"], serde_json::json!(["49999", "again"]));
        assert_eq!(value.as_object().unwrap().len(), 50_001);
        assert!(started.elapsed().as_secs() < 10);
    }
}
