// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Keys, one at a time: by transactions, which take a key in their body and so any key.

use asterisk::consul::provide::Answer;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::http::{Method, can_carry, encoded_path};
use crate::line::Client;
use crate::status::words_of;

const PATH: &str = "/v1/txn";

/// A transaction has a limit of its own, and base64 in it; a larger value goes by the key's path.
const MOST_IN_TRANSACTION: usize = 256 << 10;

#[derive(Serialize)]
struct Operation<'a> {
    #[serde(rename = "KV")]
    kv: Verb<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Verb<'a> {
    verb: &'static str,
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
}

/// What Consul answers, also with 409.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Outcome {
    #[serde(default)]
    results: Option<Vec<Done>>,
    #[serde(default)]
    errors: Option<Vec<Refusal>>,
}

#[derive(Deserialize)]
struct Done {
    #[serde(rename = "KV")]
    kv: Option<Value>,
}

#[derive(Deserialize)]
struct Value {
    #[serde(rename = "Value", default)]
    value: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(rename = "What", default)]
    what: String,
}

pub(crate) fn get(client: &Client, key: &str) -> Result<Option<Vec<u8>>, String> {
    let failed = |reason: String| format!("key '{key}' cannot be read: {reason}");
    let answer = ask(client, "get", key, None).map_err(failed)?;
    value_of(&answer).map_err(failed)
}

pub(crate) fn put(client: &Client, key: &str, value: &[u8]) -> Result<(), String> {
    let failed = |reason: String| format!("key '{key}' is not set: {reason}");
    if value.len() > MOST_IN_TRANSACTION && !key.is_empty() && can_carry(key) {
        let path = format!("/v1/kv/{}", encoded_path(key));
        let answer = client.ask(Method::Put, &path, Some(value)).map_err(failed)?;
        return match answer.status {
            200..=299 if answer.body.trim_ascii() == b"true" => Ok(()),
            _ => Err(failed(words_of(&answer.body, answer.status))),
        };
    }
    let answer = ask(client, "set", key, Some(STANDARD.encode(value))).map_err(failed)?;
    done(&answer).map_err(failed)
}

pub(crate) fn delete(client: &Client, key: &str) -> Result<(), String> {
    let failed = |reason: String| format!("key '{key}' is not deleted: {reason}");
    done(&ask(client, "delete", key, None).map_err(failed)?).map_err(failed)
}

pub(crate) fn delete_tree(client: &Client, prefix: &str) -> Result<(), String> {
    let failed = |reason: String| format!("keys below '{prefix}' are not deleted: {reason}");
    done(&ask(client, "delete-tree", prefix, None).map_err(failed)?).map_err(failed)
}

fn ask(
    client: &Client,
    verb: &'static str,
    key: &str,
    value: Option<String>,
) -> Result<Answer, String> {
    if key.is_empty() {
        return Err("a key is not empty".to_owned());
    }
    let body = serde_json::to_vec(&[Operation { kv: Verb { verb, key, value } }])
        .map_err(|error| error.to_string())?;
    client.ask(Method::Put, PATH, Some(&body))
}

/// The value that was asked for, if there is that key.
fn value_of(answer: &Answer) -> Result<Option<Vec<u8>>, String> {
    if answer.status == 409 {
        let what = what(answer)?;
        // At the end of its words: before that is the key, which may be long, and say anything.
        return match what.ends_with("doesn't exist") {
            true => Ok(None),
            false => Err(words_of(what.as_bytes(), answer.status)),
        };
    }
    let outcome = outcome(answer)?;
    let results = outcome.results.unwrap_or_default();
    let value = results
        .into_iter()
        .next()
        .and_then(|done| done.kv)
        .ok_or("Consul shows nothing of it; may the token read it?")?;
    let text = value.value.unwrap_or_default();
    STANDARD.decode(text).map(Some).map_err(|_| "its value is not base64".to_owned())
}

fn done(answer: &Answer) -> Result<(), String> {
    match answer.status {
        409 => Err(words_of(what(answer)?.as_bytes(), answer.status)),
        _ => outcome(answer).map(drop),
    }
}

/// Why Consul does not do it, in its words as they came.
fn what(answer: &Answer) -> Result<String, String> {
    let errors = parsed(answer)?.errors.unwrap_or_default();
    Ok(errors.into_iter().next().map(|error| error.what).unwrap_or_default())
}

fn outcome(answer: &Answer) -> Result<Outcome, String> {
    match answer.status {
        200..=299 => parsed(answer),
        _ => Err(words_of(&answer.body, answer.status)),
    }
}

fn parsed(answer: &Answer) -> Result<Outcome, String> {
    serde_json::from_slice(&answer.body).map_err(|error| crate::json::without_values(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status, index: 0, body: body.as_bytes().to_vec() }
    }

    #[test]
    fn a_value_a_missing_key_and_a_refusal_are_told_apart() {
        let there =
            r#"{"Results":[{"KV":{"Key":"a","Value":"aGkA/w==","Flags":0}}],"Errors":null}"#;
        assert_eq!(value_of(&answer(200, there)), Ok(Some(b"hi\0\xff".to_vec())));
        let empty = r#"{"Results":[{"KV":{"Key":"a","Value":null}}]}"#;
        assert_eq!(value_of(&answer(200, empty)), Ok(Some(vec![])));
        let gone = r#"{"Results":null,"Errors":[{"OpIndex":0,"What":"key \"a\" doesn't exist"}]}"#;
        assert_eq!(value_of(&answer(409, gone)), Ok(None));
        let key = "ü".repeat(2000);
        let gone = format!(r#"{{"Errors":[{{"What":"key \"{key}\" doesn't exist"}}]}}"#);
        assert_eq!(value_of(&answer(409, &gone)), Ok(None));
        let denied =
            format!(r#"{{"Errors":[{{"What":"no rights for \"{key} doesn't exist\""}}]}}"#);
        let reason = value_of(&answer(409, &denied)).unwrap_err();
        assert!(reason.chars().count() < 300, "{reason}");
        let denied = r#"{"Results":null,"Errors":[{"OpIndex":0,"What":"Permission denied"}]}"#;
        let reason = "status 409, Permission denied";
        assert_eq!(value_of(&answer(409, denied)), Err(reason.to_owned()));
        assert_eq!(done(&answer(409, denied)), Err(reason.to_owned()));
        assert_eq!(done(&answer(200, r#"{"Results":[],"Errors":null}"#)), Ok(()));
    }

    #[test]
    fn an_answer_of_another_kind_is_an_error_and_shows_no_value() {
        for (status, body) in [
            (200, ""),
            (200, "true"),
            (200, "[]"),
            (200, r#"{"Results":{}}"#),
            (200, r#"{"Results":[]}"#),
            (200, r#"{"Results":[{"KV":{"Value":"hunter2!"}}]}"#),
            (200, r#"{"Results":[{"KV":{"Value":{"hunter2":1}}}]}"#),
            (409, "garbage"),
            (500, "No cluster leader"),
            (301, ""),
        ] {
            let reason = value_of(&answer(status, body)).unwrap_err();
            assert!(!reason.contains("hunter2"), "{reason}");
        }
    }
}
