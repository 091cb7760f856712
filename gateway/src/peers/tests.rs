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
async fn a_lock_is_waited_for() {
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
}

/// One key of Consul's, and what is amiss with those that change it.
#[derive(Debug, Default)]
struct Key {
    /// Its index, and the value it has.
    held: Option<(u64, String)>,
    changes: u64,
    /// No lock is answered; this one is carried out later.
    unanswered: Option<String>,
    has_no_leader: bool,
}

impl Key {
    fn carry_out_late(&mut self) {
        let unanswered = self.unanswered.take().unwrap();
        self.carry_out(&unanswered);
    }

    /// The session is always the same one.
    fn carry_out(&mut self, request: &str) -> Answer {
        let told =
            |held: &(u64, String)| json!({"Key": "k", "ModifyIndex": held.0, "Session": "aa"});
        let body = request.split("\r\n\r\n").nth(1).unwrap_or_default();
        let asked: serde_json::Value = serde_json::from_str(body).unwrap();
        let operation = &asked[0]["KV"];
        match operation["Verb"].as_str().unwrap() {
            "lock" => {
                self.changes += 1;
                let value = operation["Value"].as_str().unwrap().to_owned();
                let held = self.held.insert((self.changes, value));
                done(&[told(held)])
            }
            "get" => match &self.held {
                Some(held) => done(&[told(held)]),
                None => otherwise("key \"k\" doesn't exist"),
            },
            "delete-cas" => match &self.held {
                Some((index, _)) if operation["Index"] != *index => {
                    otherwise("failed to delete key \"k\", index is stale")
                }
                _ => {
                    self.held = None;
                    done(&[])
                }
            },
            other => panic!("{other}"),
        }
    }
}

type Shared = Arc<watch::Sender<Key>>;

async fn consul_of(key: &Shared) -> Scripted {
    let key = Arc::clone(key);
    Scripted::start(move |_, request| {
        if request.contains("/session/") {
            return session("aa");
        }
        let mut answer = Answer::Silence;
        key.send_modify(|key| {
            if key.has_no_leader {
                answer = Answer::json(500, "", "No cluster leader");
            } else if let Some(unanswered) = &mut key.unanswered
                && request.contains(r#""Verb":"lock""#)
            {
                *unanswered = request.to_owned();
            } else {
                answer = key.carry_out(request);
            }
        });
        answer
    })
    .await
}

const LONG: Duration = Duration::from_secs(20);

async fn is_so(key: &Shared, fits: impl FnMut(&Key) -> bool) {
    let mut seen = key.subscribe();
    timeout(LONG, seen.wait_for(fits)).await.unwrap().unwrap();
}

/// A Consul that answers no lock.
async fn without_answers() -> (Shared, Scripted, Peers) {
    let key = Shared::default();
    key.send_modify(|key| key.unanswered = Some(String::new()));
    let consul = consul_of(&key).await;
    let peers = peers(consul.port);
    (key, consul, peers)
}

#[tokio::test]
async fn a_release_that_fails_is_tried_again() {
    let key = Shared::default();
    let consul = consul_of(&key).await;
    let peers = peers(consul.port);
    let lock = peers.lock("k", LONG).await.unwrap();
    key.send_modify(|key| key.has_no_leader = true);
    lock.release().await;
    key.send_modify(|key| key.has_no_leader = false);
    is_so(&key, |key| key.held.is_none()).await;
    // And so is that of one that is dropped.
    drop(peers.lock("k", LONG).await.unwrap());
    is_so(&key, |key| key.held.is_none()).await;
    assert_eq!(key.borrow().changes, 2);
}

#[tokio::test]
async fn a_lock_that_comes_late_is_given_back() {
    let (key, consul, peers) = without_answers().await;
    assert_eq!(peers.lock("k", LONG).await.unwrap_err(), Locking::Fault(Fault::Silent));
    // It is looked for, and is not there yet.
    let is_asked = |_: &Key| consul.requests().iter().any(|asked| asked.contains("\"get\""));
    is_so(&key, is_asked).await;
    key.send_modify(Key::carry_out_late);
    is_so(&key, |key| key.changes == 1 && key.held.is_none()).await;
}

#[tokio::test]
async fn a_lock_whose_taker_is_gone_is_given_back() {
    let (key, _consul, peers) = without_answers().await;
    tokio::select! {
        _ = peers.lock("k", LONG) => panic!("it was not answered"),
        () = is_so(&key, |key| key.unanswered.as_deref() != Some("")) => {}
    }
    key.send_modify(Key::carry_out_late);
    is_so(&key, |key| key.changes == 1 && key.held.is_none()).await;
}

#[tokio::test]
async fn a_lock_that_is_taken_again_is_not_given_back() {
    let key = Shared::default();
    let consul = consul_of(&key).await;
    let peers = peers(consul.port);
    let first = peers.lock("k", LONG).await.unwrap();
    key.send_modify(|key| key.has_no_leader = true);
    first.release().await;
    let second = peers.lock("k", Duration::ZERO).await;
    assert_eq!(second.unwrap_err(), Locking::Fault(Fault::Status(500)));
    key.send_modify(|key| key.has_no_leader = false);
    let (third, fourth) = (peers.lock("k", LONG).await.unwrap(), peers.lock("k", LONG).await);
    let before = key.borrow().held.clone();
    assert!(before.is_some());
    // One of two goes: the other still has it.
    third.release().await;
    assert_eq!(key.borrow().held, before);
    fourth.unwrap().release().await;
    is_so(&key, |key| key.held.is_none()).await;
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
