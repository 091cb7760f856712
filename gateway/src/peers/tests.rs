// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Sessions, locks and keys against a scripted agent.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::timeout;

use super::*;
use crate::consul::Fault;
use crate::net::scripted::{Answer, Scripted};

fn peers(port: u16) -> Peers {
    let text = format!(
        "[consul]\naddress = \"127.0.0.1:{port}\"\nwait = \"1s\"\ntimeout = \"500ms\"\n\
         [nodes]\nuser = \"u\"\npassword = \"p\"\n\
         [[user]]\nname = \"n\"\ntoken_hash = \"sha256:{}\"\n",
        "0".repeat(64)
    );
    let settings = crate::config::read("t", &text, BTreeMap::new()).unwrap().consul;
    Peers::start(settings, "me").unwrap()
}

fn entry(key: &str, value: &str, session: Option<&str>) -> serde_json::Value {
    let value = BASE64_STANDARD.encode(value);
    json!({"Key": key, "Value": value, "ModifyIndex": 7, "Session": session})
}

fn done(entries: &[serde_json::Value]) -> Answer {
    let results: Vec<_> = entries.iter().map(|entry| json!({"KV": entry})).collect();
    Answer::json(200, "", &json!({"Results": results, "Errors": null}).to_string())
}

fn otherwise(what: &str) -> Answer {
    let errors = json!({"Results": null, "Errors": [{"OpIndex": 0, "What": what}]});
    Answer::json(409, "", &errors.to_string())
}

fn session(id: &str) -> Answer {
    Answer::json(200, "", &format!("{{\"ID\":\"{id}\"}}"))
}

async fn until<T: Clone>(seen: &mut watch::Receiver<T>, fits: impl FnMut(&T) -> bool) -> T {
    timeout(Duration::from_secs(20), seen.wait_for(fits)).await.unwrap().unwrap().clone()
}

#[tokio::test]
async fn a_session_that_is_lost_is_made_again() {
    let made = AtomicUsize::new(0);
    let consul = Scripted::start(move |_, request| {
        if request.starts_with("PUT /v1/session/create ") {
            session(&format!("{:02x}", made.fetch_add(1, Ordering::SeqCst)))
        } else {
            // The first is not known any more when it is to be renewed.
            Answer::json(if request.contains("/renew/00 ") { 404 } else { 200 }, "", "[]")
        }
    })
    .await;
    let peers = peers(consul.port);
    let mut seen = peers.session.changes();
    until(&mut seen, |id| id.as_deref() == Some("00")).await;
    until(&mut seen, Option::is_none).await;
    until(&mut seen, |id| id.as_deref() == Some("01")).await;
    let asked = consul.requests();
    assert!(asked[0].contains(r#""Behavior":"delete""#), "{asked:?}");
    peers.close().await;
    assert!(consul.requests().iter().any(|request| request.contains("/destroy/01 ")));
    assert!(until(&mut seen, Option::is_none).await.is_none());
}

#[tokio::test]
async fn keys_that_no_path_can_name_are_read_and_set() {
    let consul = Scripted::start(|_, request| {
        if request.contains("/session/") {
            session("aa")
        } else if request.contains(r#""Verb":"get""#) {
            match request.contains("a//../b") {
                true => done(&[entry("a//../b", "v", None)]),
                false => otherwise("key \"x\" doesn't exist"),
            }
        } else if request.contains(r#""Verb":"cas""#) {
            match request.contains(r#""Index":7"#) {
                true => done(&[json!({"Key": "k", "ModifyIndex": 9})]),
                false => otherwise("failed to set key \"k\", index is stale"),
            }
        } else {
            Answer::json(500, "", "No cluster leader")
        }
    })
    .await;
    let peers = peers(consul.port);
    let found = peers.get("a//../b").await.unwrap().unwrap();
    assert_eq!((found.value.as_slice(), found.index), (b"v".as_slice(), 7));
    assert_eq!(peers.get("x").await, Ok(None));
    assert_eq!(peers.put_if("k", b"", 7).await, Ok(Some(9)));
    assert_eq!(peers.put_if("k", b"", 6).await, Ok(None));
    assert_eq!(peers.put("k", b"").await, Err(Fault::Status(500)));
    assert_eq!(peers.delete("k").await, Err(Fault::Status(500)));
}

#[tokio::test]
async fn a_lock_is_waited_for_and_given_back() {
    static TAKEN: AtomicBool = AtomicBool::new(true);
    let consul = Scripted::start(|_, request| {
        if request.contains("/session/") {
            session("aa")
        } else if request.contains(r#""Verb":"lock""#) && TAKEN.load(Ordering::SeqCst) {
            otherwise("failed to lock key \"k\", lock is already held")
        } else {
            done(&[])
        }
    })
    .await;
    let peers = peers(consul.port);
    let taken = peers.lock("k", Duration::from_millis(200)).await;
    assert_eq!(taken.unwrap_err(), Locking::Taken);
    TAKEN.store(false, Ordering::SeqCst);
    let lock = peers.lock("k", Duration::from_secs(20)).await.unwrap();
    assert!(lock.is_ours());
    lock.release().await;
    let asked = consul.requests();
    assert!(asked.last().unwrap().contains("check-session"), "{asked:?}");
}

#[tokio::test]
async fn keys_are_followed() {
    let consul = Scripted::start(|_, request| {
        let all = |entries: &[serde_json::Value], index: u64| {
            Answer::json(200, &format!("X-Consul-Index: {index}\r\n"), &json!(entries).to_string())
        };
        if request.contains("/session/") {
            session("aa")
        } else if request.contains("index=5&") {
            all(&[entry("p/a", "1", None)], 6)
        } else if request.contains("index=6&") {
            Answer::Silence
        } else {
            Answer::json(404, "X-Consul-Index: 5\r\n", "")
        }
    })
    .await;
    let peers = peers(consul.port);
    let mut seen = peers.watch("p/");
    let entries = until(&mut seen, |seen| seen.as_ref().is_some_and(|all| !all.is_empty())).await;
    assert_eq!(entries.unwrap()[0].key, "p/a");
}
