// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Full reads of a node, and questions to many, against scripted ones.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::Method;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::{Draft, Gateway, Task, refresh};
use crate::access::{Named, anybody, limited_to};
use crate::ari::Whereabouts;
use crate::config::{Config, Origin};
use crate::fleet::{ConsulState, Fleet, Node, Slot, State, Watch};
use crate::index::Kind;
use crate::net::Dialer;
use crate::net::scripted::{Answer, Scripted};
use crate::node::Roster;
use crate::peers::Peers;

const SLOT: Slot = Slot(0);

fn config(request_timeout: &str, refresh: &str) -> Config {
    let text = format!(
        "[nodes]\nuser = \"u\"\npassword = \"p\"\nrequest_timeout = \"{request_timeout}\"\n\
         [index]\nrefresh = \"{refresh}\"\n[[user]]\nname = \"n\"\ntoken_hash = \"sha256:{}\"\n",
        "0".repeat(64)
    );
    crate::config::read("t", &text, BTreeMap::new()).unwrap()
}

fn fleet(port: u16, state: State) -> Arc<Fleet> {
    Arc::new(Fleet::new(vec![node(SLOT, port, state)]))
}

fn node(slot: Slot, port: u16, state: State) -> Arc<Node> {
    Arc::new(Node {
        slot,
        eid: format!("node-{}", slot.0),
        origin: Origin { is_https: false, host: "127.0.0.1".into(), port },
        service_port: 5060,
        trunk_port: 5060,
        version: String::new(),
        weight: 1,
        state,
    })
}

struct Scene {
    gateway: Arc<Gateway>,
    fleet: watch::Sender<Arc<Fleet>>,
    _consul: watch::Sender<ConsulState>,
    ready: watch::Receiver<bool>,
}

fn scene(first: Arc<Fleet>) -> Scene {
    scene_with(first, config("500ms", "1s"))
}

fn scene_with(first: Arc<Fleet>, config: Config) -> Scene {
    let (fleet, seen) = watch::channel(first);
    let (told, consul) = watch::channel(ConsulState::Answers);
    let dialer = Dialer::new(&config.nodes.trust, config.nodes.connect_timeout).unwrap();
    let peers = Peers::start(config.consul.clone(), "t").unwrap();
    let gateway = Arc::new(Gateway::new(config, Watch { fleet: seen, consul }, peers, None));
    let (is_ready, ready) = watch::channel(false);
    tokio::spawn(refresh(Arc::clone(&gateway), dialer, is_ready));
    Scene { gateway, fleet, _consul: told, ready }
}

/// Of nodes at these ports, in this order.
fn roster(gateway: &Gateway, ports: &[u16]) -> Roster {
    let dialer = Dialer::new(&gateway.config.nodes.trust, Duration::from_secs(5)).unwrap();
    let nodes = (0..).zip(ports).map(|(slot, port)| node(Slot(slot), *port, State::Passing));
    let fleet = Arc::new(Fleet::new(nodes.collect()));
    Roster::default().next(fleet, &gateway.config.nodes, &dialer).unwrap()
}

/// As a user who may do everything.
fn task(method: Method, path: &str) -> Task {
    let draft = Draft { method, query: "", content_type: None, body: Bytes::default(), node: None };
    let sought = Task::find(&draft.method, path).unwrap();
    Task::read(sought, draft, anybody(), String::new).unwrap()
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

#[tokio::test]
async fn of_many_nodes_some_are_read_at_a_time_and_what_consul_says_counts_meanwhile() {
    let silent = Scripted::start(|_, _| Answer::Silence).await;
    let nodes = |last: State| {
        let state = |slot: u32| if slot == 199 { last } else { State::Passing };
        let nodes = (0..200).map(|slot| node(Slot(slot), silent.port, state(slot)));
        Arc::new(Fleet::new(nodes.collect()))
    };
    let scene = scene_with(nodes(State::Passing), config("60s", "1h"));
    until("reads", || silent.requests().len() >= 64).await;
    scene.fleet.send(nodes(State::Maintenance)).unwrap();
    until("its state", || {
        let roster = scene.gateway.roster();
        roster.member(Slot(199)).is_some_and(|member| member.node.state == State::Maintenance)
    })
    .await;
    assert_eq!(silent.requests().len(), 64);
    assert!(!*scene.ready.borrow());
}

#[tokio::test]
async fn a_node_whose_events_were_lost_is_read_anew_and_no_other() {
    let calm = |_: usize, request: &str| match request.contains("/info?") {
        true => info(1),
        false => Answer::json(200, "", "[]"),
    };
    let (a, b) = (Scripted::start(calm).await, Scripted::start(calm).await);
    let nodes = [(SLOT, a.port), (Slot(1), b.port)];
    let nodes = nodes.map(|(slot, port)| node(slot, port, State::Passing));
    let mut scene = scene_with(Arc::new(Fleet::new(nodes.to_vec())), config("5s", "1h"));
    timeout(Duration::from_secs(20), scene.ready.wait_for(|ready| *ready)).await.unwrap().unwrap();
    scene.gateway.anew.node("node-1");
    until("the second read", || b.requests().len() == 6).await;
    assert_eq!(a.requests().len(), 3);
    scene.gateway.anew.all();
    until("a read of all", || (a.requests().len(), b.requests().len()) == (6, 9)).await;
}

#[tokio::test]
async fn a_node_that_turns_while_it_is_read_is_read_once_more() {
    static GO: AtomicUsize = AtomicUsize::new(0);
    let slow = Scripted::start(|number, request| {
        // The first read hangs at its first question.
        if number == 0 {
            return Answer::Silence;
        }
        GO.fetch_add(1, Ordering::SeqCst);
        if request.contains("/info?") { info(1) } else { Answer::json(200, "", "[]") }
    })
    .await;
    let scene = scene_with(fleet(slow.port, State::Passing), config("2s", "1h"));
    until("the first read", || slow.requests().len() == 1).await;
    scene.fleet.send(fleet(slow.port, State::Warning)).unwrap();
    until("another, whole", || GO.load(Ordering::SeqCst) == 3).await;
}

#[tokio::test]
async fn a_question_goes_to_some_nodes_at_a_time_and_ends_in_time() {
    let silent = Scripted::start(|_, _| Answer::Silence).await;
    let mut config = config("60s", "1h");
    config.nodes.question_timeout = Duration::from_millis(300);
    config.nodes.queue_timeout = Duration::from_millis(100);
    let scene = scene_with(Arc::default(), config);
    let gateway = &scene.gateway;
    let roster = |port: u16| roster(gateway, &[port; 300]);
    let (quiet, since) = (roster(silent.port), Instant::now());
    let asking = gateway.ask(&quiet, Kind::Channel, "x");
    let (found, ()) = tokio::join!(asking, until("questions", || silent.requests().len() >= 64));
    assert!(matches!(found, Ok(Whereabouts::Unsure(_))), "{found:?}");
    assert!(since.elapsed() < Duration::from_millis(700 + 2000), "{:?}", since.elapsed());
    // Three times, each until it is known that they are silent.
    assert!(silent.requests().len() <= 3 * 64, "{}", silent.requests().len());
    let knows = Scripted::start(|_, _| Answer::json(404, "", "{}")).await;
    let found = gateway.ask(&roster(knows.port), Kind::Channel, "x").await;
    assert_eq!((found.unwrap(), knows.requests().len()), (Whereabouts::Nobody, 300));
}

#[tokio::test]
async fn what_several_applications_have_is_each_ones() {
    let node = Scripted::start(|_, request| match request.starts_with("GET /ari/applications ") {
        true => Answer::json(
            200,
            "",
            r#"[{"name": "a", "channel_ids": ["shared", "own"], "bridge_ids": ["both"]},
                {"name": "b", "channel_ids": ["shared"], "bridge_ids": ["both"]}]"#,
        ),
        false => Answer::json(200, "", "{}"),
    })
    .await;
    let scene = scene_with(Arc::default(), config("5s", "1h"));
    let gateway = &scene.gateway;
    let roster = &roster(gateway, &[node.port]);
    let may = |app: &'static str, kind, id: &'static str| async move {
        let (person, named) = (limited_to(&[app]), Named::new(kind, id));
        let checked = gateway.check_belongs(roster, &person, &named, None).await;
        checked.map_err(|refusal| refusal.status)
    };
    // One that a request was about is not the only one.
    gateway.index.learn(Kind::Bridge, "both", SLOT, Some(gateway.index.app("a")));
    for (kind, id) in [(Kind::Channel, "shared"), (Kind::Bridge, "both")] {
        for (app, wanted) in [("a", Ok(())), ("b", Ok(())), ("c", Err(403)), ("a", Ok(()))] {
            assert_eq!(may(app, kind, id).await, wanted, "{app} {id}");
        }
    }
    // What is one's alone is remembered, and stays the one's.
    assert_eq!(may("a", Kind::Channel, "own").await, Ok(()));
    assert_eq!(may("b", Kind::Channel, "own").await, Err(403));
    let count = node.requests().len();
    assert_eq!(may("a", Kind::Channel, "own").await, Ok(()));
    assert_eq!(node.requests().len(), count);
}

#[tokio::test]
async fn what_no_node_says_to_be_theirs_is_refused() {
    let status = |path: &'static str, status: u16| {
        Scripted::start(move |_, request| match request.starts_with(path) {
            true => Answer::json(status, "", "{}"),
            false => Answer::json(200, "", "{}"),
        })
    };
    let scene = scene_with(Arc::default(), config("5s", "1h"));
    let gateway = &scene.gateway;
    let may = |node: Scripted, kind, at| async move {
        let roster = roster(gateway, &[node.port]);
        let named = Named::new(kind, "x");
        let checked = gateway.check_belongs(&roster, &limited_to(&["a"]), &named, at).await;
        checked.map_err(|refusal| refusal.status)
    };
    let at = Some(SLOT);
    for kind in [Kind::Channel, Kind::Bridge] {
        assert_eq!(may(status("GET /ari/applications ", 503).await, kind, at).await, Err(503));
        assert_eq!(may(status("GET /ari/applications ", 200).await, kind, at).await, Err(503));
    }
    let playback = "GET /ari/playbacks/x ";
    assert_eq!(may(status(playback, 500).await, Kind::Playback, at).await, Err(503));
    assert_eq!(may(status(playback, 404).await, Kind::Playback, at).await, Ok(()));
    assert_eq!(may(status("GET /ari/channels/x ", 503).await, Kind::Channel, None).await, Err(503));
}

#[tokio::test]
async fn a_channel_that_a_node_would_find_by_its_name_is_refused() {
    let node = Scripted::start(|_, request| match request.starts_with("GET ") {
        true => Answer::json(404, "", "{}"),
        false => Answer::json(200, "", "{}"),
    })
    .await;
    let scene = scene_with(Arc::default(), config("5s", "1h"));
    let gateway = &scene.gateway;
    let port = node.port;
    let create = |person, query| async move {
        gateway.roster.store(Arc::new(roster(gateway, &[port])));
        let draft = Draft {
            method: Method::POST,
            query,
            content_type: None,
            body: Bytes::default(),
            node: None,
        };
        let sought = Task::find(&draft.method, "/ari/channels/create").unwrap();
        let task = Task::read(sought, draft, person, || "ours".to_owned()).unwrap();
        gateway.carry(&task).await.status()
    };
    let query = "endpoint=x&app=a&originator=PJSIP/theirs-1";
    assert_eq!(create(limited_to(&["a"]), query).await, 403);
    assert_eq!(create(limited_to(&["a"]), "endpoint=x&app=a").await, 200);
    assert_eq!(create(anybody(), query).await, 200);
}

#[tokio::test]
async fn a_list_is_of_some_nodes_at_a_time_in_their_order_and_names_who_is_missing() {
    let silent = Scripted::start(|_, _| Answer::Silence).await;
    let knows = Scripted::start(|_, _| Answer::json(200, "", "[{\"id\":\"c\"}]")).await;
    let mut config = config("60s", "1h");
    config.nodes.question_timeout = Duration::from_millis(100);
    config.nodes.queue_timeout = Duration::from_millis(100);
    let scene = scene_with(Arc::default(), config);
    let gateway = &scene.gateway;
    let list = |ports: Vec<u16>| async move {
        gateway.roster.store(Arc::new(roster(gateway, &ports)));
        gateway.carry(&task(Method::GET, "/ari/channels")).await
    };
    let since = Instant::now();
    assert_eq!(list(vec![silent.port; 300]).await.status(), 503);
    assert!(since.elapsed() < Duration::from_millis(1100 + 2000), "{:?}", since.elapsed());
    // Three times, each until it is known that they are silent.
    assert!(silent.requests().len() <= 3 * 64, "{}", silent.requests().len());

    // Who is silent, and was there first, is in nobody's way.
    let is_silent = |slot: &usize| slot.is_multiple_of(3);
    let port = |slot| if is_silent(&slot) { silent.port } else { knows.port };
    let (head, body) = list((0..200).map(port).collect()).await.into_parts();
    let told: Vec<serde_json::Value> =
        serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap();
    let told: Vec<_> = told.iter().map(|one| one["asterisk_id"].as_str().unwrap()).collect();
    let names = |are_silent: bool| {
        let slots = (0..200).filter(move |slot| is_silent(slot) == are_silent);
        slots.map(|slot| format!("node-{slot}")).collect::<Vec<_>>()
    };
    assert_eq!(told, names(false));
    assert_eq!(head.headers["x-asterisk-missing"], names(true).join(", "));
}
