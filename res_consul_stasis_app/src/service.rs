// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! An application as a service of Consul's agent: its id, its registration, and what the agent
//! lists.

use std::collections::BTreeMap;

use asterisk::consul::encoded;
use serde::Deserialize;
use serde_json::json;

pub(crate) const REGISTER: &str = "/v1/agent/service/register";

/// Makes what Consul is told of this node's applications.
#[derive(Clone, Debug)]
pub(crate) struct Services {
    /// The entity id, which is the tag of all.
    eid: String,
    /// What all ids begin with.
    prefix: String,
}

/// A service that the agent has.
#[derive(Debug, Deserialize)]
struct Listed {
    #[serde(rename = "Service")]
    name: String,
    #[serde(rename = "Tags")]
    tags: Option<Vec<String>>,
}

impl Services {
    pub(crate) fn of(eid: &str) -> Self {
        Self { eid: eid.to_owned(), prefix: format!("stasis/{eid}/") }
    }

    /// The id of an application: `stasis/<eid>/<name>`.
    ///
    /// An id is deregistered by a path, and Consul answers 301 to one with `//`, `/./` or `/../` in
    /// it, and 400 to one with a character that cannot be printed, however it is encoded. So the
    /// second of two slashes, the dots of a part that is nothing else, and such characters stand
    /// percent-encoded in the id itself; and a `%` that could be read as one of those does too, so
    /// that no two names have the same id.
    pub(crate) fn id(&self, name: &str) -> String {
        let mut id = self.prefix.clone();
        for (index, segment) in name.split('/').enumerate() {
            if index > 0 {
                // After `stasis/<eid>/` or another slash, this one would be the second.
                id.push_str(if id.ends_with('/') || id.ends_with("%2F") { "%2F" } else { "/" });
            }
            match segment {
                "." => id.push_str("%2E"),
                ".." => id.push_str("%2E%2E"),
                _ => push_segment(&mut id, segment),
            }
        }
        id
    }

    /// What registers an application: no address, no port, no check.
    pub(crate) fn registration(&self, id: &str, name: &str) -> String {
        json!({ "ID": id, "Name": name, "Tags": [self.eid] }).to_string()
    }

    /// Where an id is deregistered.
    pub(crate) fn deregister(id: &str) -> String {
        format!("/v1/agent/service/deregister/{}", encoded(id))
    }

    /// Where the agent lists the services that have our tag.
    pub(crate) fn list(&self) -> String {
        format!("/v1/agent/services?filter={}", encoded(&format!("\"{}\" in Tags", self.eid)))
    }

    /// The services in the agent's answer that are applications of this node, by their ids, and
    /// the names they have; none where somebody changed the tags.
    pub(crate) fn listed(&self, body: &str) -> Result<BTreeMap<String, Option<String>>, String> {
        let listed: BTreeMap<String, Listed> =
            // Not in serde's words, which may quote the answer, and that our token.
            serde_json::from_str(body).map_err(|error| {
                format!("not what was expected, line {} column {}", error.line(), error.column())
            })?;
        let ours = listed.into_iter().filter(|(id, _)| id.starts_with(&self.prefix));
        Ok(ours
            .map(|(id, service)| {
                let tags = service.tags.unwrap_or_default();
                (id, (tags == [self.eid.as_str()]).then_some(service.name))
            })
            .collect())
    }
}

fn push_segment(id: &mut String, segment: &str) {
    for (at, character) in segment.char_indices() {
        let after = segment.as_bytes().get(at + 1..at + 3);
        let is_code =
            |digits: &[u8]| digits.iter().all(|digit| b"0123456789ABCDEF".contains(digit));
        match character {
            '%' if after.is_some_and(is_code) => id.push_str("%25"),
            character if is_printable(character) => id.push(character),
            character => id.push_str(&encoded(character.encode_utf8(&mut [0; 4]))),
        }
    }
}

/// Whether Consul takes it in a path. Marks, which it would take, are none here.
fn is_printable(character: char) -> bool {
    matches!(character, ' '..='~') || character.escape_debug().len() == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const EID: &str = "02:00:00:00:00:01";

    fn id(name: &str) -> String {
        let id = Services::of(EID).id(name);
        id.strip_prefix("stasis/02:00:00:00:00:01/").unwrap().to_owned()
    }

    /// What the id says the name is.
    fn name_in(id: &str) -> String {
        let mut bytes = Vec::new();
        let mut rest = id.as_bytes();
        while let Some((first, after)) = rest.split_first() {
            let code = after.get(..2).filter(|code| !code.iter().any(u8::is_ascii_lowercase));
            let code = code.and_then(|code| std::str::from_utf8(code).ok());
            match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
                Some(byte) if *first == b'%' => {
                    bytes.push(byte);
                    rest = &after[2..];
                }
                _ => {
                    bytes.push(*first);
                    rest = after;
                }
            }
        }
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn an_id_is_the_name_where_a_path_can_carry_it() {
        for name in
            ["demo", "a b/c?d#e", "50%", "100% sure", "äöü/日本", "a/.b/..c/d.", "...", "%2f"]
        {
            assert_eq!(id(name), name);
        }
    }

    #[test]
    fn what_a_path_cannot_carry_is_encoded() {
        assert_eq!(id("/a"), "%2Fa");
        assert_eq!(id("a//b"), "a/%2Fb");
        assert_eq!(id("a///b"), "a/%2F%2Fb");
        assert_eq!(id("a/./b"), "a/%2E/b");
        assert_eq!(id(".."), "%2E%2E");
        assert_eq!(id("a/.."), "a/%2E%2E");
        assert_eq!(id("a%2Fb"), "a%252Fb");
        assert_eq!(id("tab\there"), "tab%09here");
        assert_eq!(id("tab%09here"), "tab%2509here");
        assert_eq!(id("wide\u{3000}\u{200b}"), "wide%E3%80%80%E2%80%8B");
    }

    /// Every text of up to six of the characters that matter.
    #[test]
    fn every_id_can_be_carried_and_no_two_names_share_one() {
        let mut names = vec![String::new()];
        let mut last = names.clone();
        for _ in 0..6 {
            let longer =
                |name: &String| ["/", ".", "%", "2", "F", "\t"].map(|c| format!("{name}{c}"));
            last = last.iter().flat_map(longer).collect();
            names.extend(last.iter().cloned());
        }
        for name in names.iter().filter(|name| !name.is_empty() && !name.ends_with('/')) {
            let id = id(name);
            assert_eq!(name_in(&id), *name, "{id}");
            let path = format!("/x/{id}");
            let segments: Vec<_> = path.split('/').skip(1).collect();
            let carried = segments.iter().all(|segment| !["", ".", ".."].contains(segment));
            assert!(carried, "{name}: {id}");
        }
    }

    #[test]
    fn requests_are_as_consul_has_them() {
        let services = Services::of(EID);
        let body = services.registration("stasis/x/a \"b\"", "a \"b\"");
        assert_eq!(
            body,
            r#"{"ID":"stasis/x/a \"b\"","Name":"a \"b\"","Tags":["02:00:00:00:00:01"]}"#
        );
        let path = Services::deregister("stasis/x/a %2E");
        assert_eq!(path, "/v1/agent/service/deregister/stasis%2Fx%2Fa%20%252E");
        let path = "/v1/agent/services?filter=%2202%3A00%3A00%3A00%3A00%3A01%22%20in%20Tags";
        assert_eq!(services.list(), path);
    }

    #[test]
    fn only_applications_of_this_node_are_read() {
        let services = Services::of(EID);
        let body = format!(
            r#"{{"{one}":{{"ID":"{one}","Service":"one","Tags":["{EID}"],"Port":0,"Meta":{{}}}},
                "{two}":{{"Service":"two","Tags":null}},
                "node":{{"Service":"asterisk","Tags":["{EID}"]}}}}"#,
            one = services.id("one"),
            two = services.id("two"),
        );
        let listed = services.listed(&body).unwrap();
        let wanted = [(services.id("one"), Some("one".to_owned())), (services.id("two"), None)];
        assert_eq!(listed, BTreeMap::from(wanted));
        assert_eq!(services.listed("{}").unwrap(), BTreeMap::new());
        for garbage in
            ["", "[]", "null", "{\"a\":1}", "<html>", "{\"a\":{\"Service\":1}}", "\"hunter2\""]
        {
            let reason = services.listed(garbage).unwrap_err();
            assert!(!reason.contains("hunter2"), "{reason}");
        }
    }
}
