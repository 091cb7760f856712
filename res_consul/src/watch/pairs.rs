// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Keys and values as Consul answers them.

use std::borrow::Cow;
use std::fmt;

use asterisk::consul::Pair;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Pairs in an answer. Each costs memory beyond its bytes, which alone are bounded elsewhere.
const MOST_PAIRS: usize = 500_000;

/// A key and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnedPair {
    pub(crate) key: String,
    pub(crate) value: Vec<u8>,
    pub(crate) flags: u64,
    pub(crate) modify_index: u64,
}

impl OwnedPair {
    pub(crate) fn borrowed(&self) -> Pair<'_> {
        let Self { key, value, flags, modify_index } = self;
        Pair { key, value, flags: *flags, modify_index: *modify_index }
    }
}

/// As in Consul's JSON; what else there is there is passed over.
#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(rename = "Key", borrow)]
    key: Cow<'a, str>,
    #[serde(rename = "Value", borrow, default)]
    value: Option<Cow<'a, str>>,
    #[serde(rename = "Flags", default)]
    flags: u64,
    #[serde(rename = "ModifyIndex")]
    modify_index: u64,
}

impl<'de> Deserialize<'de> for OwnedPair {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entry = Entry::deserialize(deserializer)?;
        let value = match &entry.value {
            None => Vec::new(),
            Some(text) => STANDARD
                .decode(text.as_bytes())
                .map_err(|_| D::Error::custom("a value is not base64"))?,
        };
        let Entry { flags, modify_index, .. } = entry;
        Ok(Self { key: entry.key.into_owned(), value, flags, modify_index })
    }
}

/// A bounded list of them, made as it is read.
struct List(Vec<OwnedPair>);

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bounded;

        impl<'de> Visitor<'de> for Bounded {
            type Value = List;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of keys")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<List, A::Error> {
                let mut list = Vec::new();
                while let Some(pair) = entries.next_element()? {
                    if list.len() == MOST_PAIRS {
                        return Err(A::Error::custom(format!("more than {MOST_PAIRS} keys")));
                    }
                    list.push(pair);
                }
                Ok(List(list))
            }
        }

        deserializer.deserialize_seq(Bounded)
    }
}

/// The pairs of an answer, in the order of their keys.
///
/// # Errors
///
/// What is wrong with it. It shows nothing of a value.
pub(crate) fn parse(body: &[u8]) -> Result<Vec<OwnedPair>, String> {
    let list: Option<List> =
        serde_json::from_slice(body).map_err(|error| crate::json::without_values(&error))?;
    let mut pairs = list.map_or_else(Vec::new, |list| list.0);
    pairs.sort_by(|one, other| one.key.cmp(&other.key));
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consuls_own_answer_is_read() {
        let body = br#"[
            {"LockIndex":0,"Key":"a/b \"\u00fc","Flags":42,"Value":"aGkA/w==","CreateIndex":5,
             "ModifyIndex":18446744073709551615,"Session":"x"},
            {"LockIndex":0,"Key":"a/","Flags":0,"Value":null,"CreateIndex":5,"ModifyIndex":6}
        ]"#;
        let pairs = parse(body).unwrap();
        assert_eq!(pairs.len(), 2);
        assert_eq!((pairs[0].key.as_str(), pairs[0].value.as_slice()), ("a/", &b""[..]));
        let Pair { key, value, flags, modify_index } = pairs[1].borrowed();
        assert_eq!((key, value), ("a/b \"ü", &b"hi\0\xff"[..]));
        assert_eq!((flags, modify_index), (42, u64::MAX));
        assert_eq!(parse(b"null"), Ok(vec![]));
        assert_eq!(parse(b" [] "), Ok(vec![]));
    }

    #[test]
    fn anything_else_is_refused_and_not_shown() {
        for body in [
            &b""[..],
            b"garbage",
            b"{}",
            b"\"text\"",
            b"[1]",
            b"[{}]",
            b"[{\"Key\":\"a\"}]",
            b"[{\"Key\":1,\"ModifyIndex\":1}]",
            b"[{\"Key\":\"a\",\"ModifyIndex\":-1}]",
            b"[{\"Key\":\"a\",\"ModifyIndex\":1e30}]",
            b"[{\"Key\":\"a\",\"ModifyIndex\":1,\"Flags\":\"1\"}]",
            b"[{\"Key\":\"a\",\"ModifyIndex\":1,\"Value\":\"hunter2!\"}]",
            b"[{\"Key\":\"a\",\"ModifyIndex\":1,\"Value\":{\"hunter2\":1}}]",
            b"[{\"Key\":\"a\",\"ModifyIndex\":\"hunter2\"}]",
            b"[{\"Key\":\"a\",\"ModifyIndex\":1}",
            b"[] []",
            b"\xff\xfe",
            b"[{\"Key\":\"\xff\",\"ModifyIndex\":1}]",
        ] {
            let reason = parse(body).unwrap_err();
            assert!(!reason.contains("hunter2"), "{reason}");
        }
        let nested = [b"[".repeat(1 << 20), b"]".repeat(1 << 20)].concat();
        assert!(parse(&nested).is_err());
        let hidden = [&b"[{\"x\":"[..], &nested, b"}]"].concat();
        assert!(parse(&hidden).is_err());
    }

    #[test]
    fn the_number_of_pairs_is_bounded() {
        let entry = "{\"Key\":\"\",\"ModifyIndex\":1}";
        let body = format!("[{}{entry}]", format!("{entry},").repeat(MOST_PAIRS));
        assert!(parse(body.as_bytes()).unwrap_err().contains("more than 500000 keys"));
    }
}
