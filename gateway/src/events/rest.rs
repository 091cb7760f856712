// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! ARI's requests over the event websocket: `RESTRequest` in, `RESTResponse` out, by the way that
//! requests over HTTP go.

use std::time::Instant;

use http_body_util::{BodyExt, Limited};
use hyper::header::{CONTENT_TYPE, RETRY_AFTER};
use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::access::{Audited, Person, audit};
use crate::apps;
use crate::ari::{Does, Refusal, encode};
use crate::holdings::now;
use crate::http::uuid;
use crate::proxy::{Draft, Gateway, NODE, Reply, Task, Unread, failure};

/// The largest answer.
const LARGEST: usize = 16 << 20;

#[derive(Debug, Default, Deserialize)]
struct Request {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    transaction_id: String,
    #[serde(default)]
    request_id: String,
    #[serde(default)]
    method: String,
    #[serde(default)]
    uri: String,
    #[serde(default)]
    content_type: String,
    #[serde(default)]
    query_strings: Vec<Pair>,
    #[serde(default)]
    message_body: String,
}

#[derive(Debug, Deserialize)]
struct Pair {
    name: String,
    value: String,
}

/// A request as HTTP would have it.
#[derive(Debug, PartialEq)]
struct Translated {
    method: Method,
    /// With `/ari` before it.
    path: String,
    query: String,
}

/// What is to be said of a request that is none.
type Wrong = (&'static str, &'static str);

/// Carries out what a message asks for.
pub(super) async fn answer(gateway: &Gateway, person: &Person, app: &str, text: &str) -> String {
    let request: Request = serde_json::from_str(text).unwrap_or_default();
    let since = Instant::now();
    let path = request.uri.split('?').next().unwrap_or_default().to_owned();
    let translated = translate(&request);
    let mut area = "ari";
    let reply = match &translated {
        Ok(translated) => carry(gateway, person, &request, translated, &mut area).await,
        Err((_, message)) => failure(&Refusal::bad(*message)),
    };
    let method = translated.as_ref().map_or(Method::GET, |translated| translated.method.clone());
    let (took, status) = (since.elapsed(), reply.status());
    gateway.metrics.note_request(&method, area, status, took);
    let node = reply.headers().get(&NODE).and_then(|value| value.to_str().ok()).map(str::to_owned);
    audit(
        &gateway.config.log,
        &Audited {
            id: &uuid(),
            user: Some(person.name()),
            peer: &"websocket",
            method: &method,
            path: &path,
            status,
            node: node.as_deref(),
            took,
        },
    );
    let phrase = translated.err().map(|(phrase, _)| phrase);
    written(&request, app, reply, node, phrase).await
}

fn translate(request: &Request) -> Result<Translated, Wrong> {
    const BAD: &str = "Bad request";
    match request.kind.as_str() {
        "RESTRequest" => {}
        "" => return Err((BAD, "No 'type' property.")),
        _ => return Err((BAD, "Unknown request type.")),
    }
    if request.uri.is_empty() {
        return Err((BAD, "Empty or missing 'uri' property."));
    }
    let method = match request.method.as_str() {
        "GET" => Method::GET,
        "POST" => Method::POST,
        "PUT" => Method::PUT,
        "DELETE" => Method::DELETE,
        _ => return Err((BAD, "Unknown or missing 'method' property.")),
    };
    if !request.message_body.is_empty() && request.content_type.is_empty() {
        return Err((BAD, "No 'content_type' for 'message_body'."));
    }
    let (path, query) = request.uri.split_once('?').unwrap_or((&request.uri, ""));
    let mut query = query.to_owned();
    for pair in &request.query_strings {
        if !query.is_empty() {
            query.push('&');
        }
        encode(&pair.name, &mut query);
        query.push('=');
        encode(&pair.value, &mut query);
    }
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = path.strip_prefix("ari/").unwrap_or(path);
    Ok(Translated { method, path: format!("/ari/{path}"), query })
}

async fn carry(
    gateway: &Gateway,
    person: &Person,
    request: &Request,
    translated: &Translated,
    area: &mut &'static str,
) -> Reply {
    if request.message_body.len() > gateway.config.limits.body_bytes {
        return failure(&Refusal::new(413, "the body is too long"));
    }
    let sought = match Task::find(&translated.method, &translated.path) {
        Ok(sought) => sought,
        Err(Unread::OtherMethods(_)) => return failure(&Refusal::new(405, "Invalid method")),
        Err(Unread::Refused(refusal)) => return failure(&refusal),
    };
    *area = sought.0.area();
    if sought.0.does == Does::Events {
        return failure(&Refusal::bad("this is the event websocket"));
    }
    let draft = Draft {
        method: translated.method.clone(),
        query: &translated.query,
        content_type: Some(request.content_type.as_str()),
        body: request.message_body.clone().into(),
        node: None,
    };
    match Task::read(sought, draft, person.clone(), uuid) {
        Ok(task) => apps::carry(gateway, &task).await,
        Err(refusal) => failure(&refusal),
    }
}

async fn written(
    request: &Request,
    app: &str,
    reply: Reply,
    node: Option<String>,
    phrase: Option<&str>,
) -> String {
    let (head, body) = reply.into_parts();
    let kind = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_json = kind.is_none_or(|kind| kind.starts_with("application/json"));
    let body = Limited::new(body, LARGEST).collect().await.map(|read| read.to_bytes());
    let (mut status, mut message) = (head.status, None);
    let mut phrase = phrase.or(head.status.canonical_reason()).unwrap_or_default();
    match body {
        Ok(_) if !is_json => {
            // A file: as Asterisk says it.
            (status, phrase) = (StatusCode::NOT_ACCEPTABLE, "Not Acceptable.  Use HTTP GET");
        }
        Ok(body) if body.is_empty() => {}
        Ok(body) => message = Some(String::from_utf8_lossy(&body).into_owned()),
        Err(_) => {
            status = StatusCode::BAD_GATEWAY;
            phrase = "the node's answer broke off";
        }
    }
    let mut answer = Map::new();
    answer.insert("type".into(), json!("RESTResponse"));
    answer.insert("transaction_id".into(), json!(request.transaction_id));
    answer.insert("request_id".into(), json!(request.request_id));
    answer.insert("status_code".into(), json!(status.as_u16()));
    answer.insert("reason_phrase".into(), json!(phrase));
    answer.insert("uri".into(), json!(request.uri.split('?').next().unwrap_or_default()));
    if let Some(message) = message {
        answer.insert("content_type".into(), json!("application/json"));
        answer.insert("message_body".into(), json!(message));
    }
    if let Some(seconds) = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()) {
        answer.insert("retry_after".into(), json!(seconds));
    }
    answer.insert("timestamp".into(), json!(now()));
    if let Some(node) = node {
        answer.insert("asterisk_id".into(), json!(node));
    }
    answer.insert("application".into(), json!(app));
    Value::Object(answer).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Translated, Wrong> {
        translate(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn a_request_is_one_of_http() {
        let text = r#"{"type":"RESTRequest","method":"POST","uri":"channels/c/play?media=x",
                       "query_strings":[{"name":"lang","value":"e n&"}]}"#;
        let wanted = Translated {
            method: Method::POST,
            path: "/ari/channels/c/play".into(),
            query: "media=x&lang=e%20n%26".into(),
        };
        assert_eq!(of(text), Ok(wanted));
    }

    #[test]
    fn what_is_none_is_refused_in_asterisks_words() {
        for (text, message) in [
            ("{}", "No 'type' property."),
            (r#"{"type":"x"}"#, "Unknown request type."),
            (r#"{"type":"RESTRequest","method":"GET"}"#, "Empty or missing 'uri' property."),
            (
                r#"{"type":"RESTRequest","uri":"channels","method":"HEAD"}"#,
                "Unknown or missing 'method' property.",
            ),
            (
                r#"{"type":"RESTRequest","uri":"channels","method":"POST","message_body":"{}"}"#,
                "No 'content_type' for 'message_body'.",
            ),
        ] {
            assert_eq!(of(text), Err(("Bad request", message)));
        }
    }

    #[tokio::test]
    async fn an_answer_tells_which_request_it_is_for() {
        let request: Request = serde_json::from_str(
            r#"{"type":"RESTRequest","transaction_id":"t","request_id":"r","uri":"channels/x?a=b"}"#,
        )
        .unwrap();
        let reply = failure(&Refusal::not_found("Channel not found"));
        let text = written(&request, "app", reply, Some("e".into()), None).await;
        let told: Value = serde_json::from_str(&text).unwrap();
        for (name, wanted) in [
            ("type", json!("RESTResponse")),
            ("transaction_id", json!("t")),
            ("request_id", json!("r")),
            ("status_code", json!(404)),
            ("reason_phrase", json!("Not Found")),
            ("uri", json!("channels/x")),
            ("content_type", json!("application/json")),
            ("message_body", json!(r#"{"message":"Channel not found"}"#)),
            ("asterisk_id", json!("e")),
            ("application", json!("app")),
        ] {
            assert_eq!(told[name], wanted, "{name}");
        }
    }
}
