// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Full reads of a node, against a scripted one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::{Gateway, refresh};
use crate::config::{Config, Origin};
use crate::fleet::{ConsulState, Fleet, Node, Slot, State, Watch};
use crate::index::Kind;
use crate::net::Dialer;
use crate::net::scripted::{Answer, Scripted};
use crate::peers::Peers;

const SLOT: Slot = Slot(0);

fn config() -> Config {
    let text = format!(
        "[nodes]\nuser = \"u\"\npassword = \"p\"\nrequest_timeout = \"500ms\"\n\
         [index]\nrefresh = \"1s\"\n[[user]]\nname = \"n\"\ntoken_hash = \"sha256:{}\"\n",
        "0".repeat(64)
    );
    crate::config::read("t", &text, BTreeMap::new()).unwrap()
}

fn fleet(port: u16, state: State) -> Arc<Fleet> {
    let node = Node {
        slot: SLOT,
        eid: "a".into(),
        origin: Origin { is_https: false, host: "127.0.0.1".into(), port },
        service_port: 5060,
        trunk_port: 5060,
        version: String::new(),
        weight: 1,
        state,
    };
    Arc::new(Fleet { nodes: vec![Arc::new(node)] })
}

struct Scene {
    gateway: Arc<Gateway>,
    fleet: watch::Sender<Arc<Fleet>>,
    _consul: watch::Sender<ConsulState>,
    ready: watch::Receiver<bool>,
}

fn scene(first: Arc<Fleet>) -> Scene {
    let (fleet, seen) = watch::channel(first);
    let (told, consul) = watch::channel(ConsulState::Answers);
    let config = config();
    let dialer = Dialer::new(&config.nodes.trust, config.nodes.connect_timeout).unwrap();
    let peers = Peers::start(config.consul.clone(), "t").unwrap();
    let gateway = Arc::new(Gateway::new(config, Watch { fleet: seen, consul }, peers, None));
    let (is_ready, ready) = watch::channel(false);
    tokio::spawn(refresh(Arc::clone(&gateway), dialer, is_ready));
    Scene { gateway, fleet, _consul: told, ready }
}

async fn until(what: &str, fits: impl Fn() -> bool) {
    let waiting = async {
        while !fits() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(20), waiting).await.unwrap_or_else(|_| panic!("no {what}"));
}

fn info(boot: usize) -> Answer {
    Answer::json(200, "", &format!("{{\"status\":{{\"startup_time\":\"boot-{boot}\"}}}}"))
}

#[tokio::test]
async fn another_process_has_nothing_of_the_first() {
    static BOOT: AtomicUsize = AtomicUsize::new(1);
    let node = Scripted::start(|_, request| {
        let boot = BOOT.load(Ordering::SeqCst);
        if request.starts_with("GET /ari/asterisk/info?only=status ") {
            info(boot)
        } else if request.starts_with("GET /ari/channels ") {
            Answer::json(200, "", &format!("[{{\"id\":\"call-{boot}\"}}]"))
        } else {
            Answer::json(200, "", "[]")
        }
    })
    .await;
    let mut scene = scene(fleet(node.port, State::Passing));
    let index = &scene.gateway.index;
    until("first call", || index.owner(Kind::Channel, "call-1").is_some()).await;
    timeout(Duration::from_secs(20), scene.ready.wait_for(|ready| *ready)).await.unwrap().unwrap();
    index.learn(Kind::Playback, "p", SLOT, None);
    // The same process, read again: what is in no list stays.
    let reads = node.requests().len();
    until("second read", || node.requests().len() >= reads + 3).await;
    assert!(index.owner(Kind::Playback, "p").is_some());
    BOOT.store(2, Ordering::SeqCst);
    until("second call", || index.owner(Kind::Channel, "call-2").is_some()).await;
    until("end of the first", || index.owner(Kind::Channel, "call-1").is_none()).await;
    assert!(index.owner(Kind::Playback, "p").is_none());
}

#[tokio::test]
async fn a_node_that_cannot_be_read_keeps_what_it_had_until_it_is_forgotten() {
    let node = Scripted::start(|number, request| {
        if number >= 3 {
            Answer::json(503, "", "{}")
        } else if request.contains("/info?") {
            info(1)
        } else if request.starts_with("GET /ari/channels ") {
            Answer::json(200, "", "[{\"id\":\"call\"}]")
        } else {
            Answer::json(200, "", "[]")
        }
    })
    .await;
    let scene = scene(fleet(node.port, State::Passing));
    let index = &scene.gateway.index;
    until("the call", || index.owner(Kind::Channel, "call").is_some()).await;
    until("a failing read", || node.requests().len() >= 4).await;
    scene.fleet.send(fleet(node.port, State::Critical)).unwrap();
    until("its state", || {
        let roster = scene.gateway.roster();
        roster.member(SLOT).is_some_and(|member| member.node.state == State::Critical)
    })
    .await;
    assert!(index.owner(Kind::Channel, "call").is_some());
    scene.fleet.send(Arc::default()).unwrap();
    until("its end", || index.owner(Kind::Channel, "call").is_none()).await;
}
