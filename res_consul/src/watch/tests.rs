// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Watches, over servers of the test.

use std::sync::mpsc::{Receiver, Sender, channel};

use asterisk::consul::provide::State;

use super::memory::Memory;
use super::*;
use crate::config::Settings;
use crate::tests::{LONG, Say, Server, TestHost, answer, ok, until};

type Given = Vec<(String, Vec<u8>)>;

struct Scene {
    connection: Arc<Connection>,
    host: Arc<TestHost>,
    given: Receiver<Given>,
    sender: Sender<Given>,
}

impl Scene {
    fn new(settings: Settings) -> Self {
        let host = Arc::new(TestHost::default());
        let connection = Connection::new(host.clone(), settings);
        let (sender, given) = channel();
        Self { connection, host, given, sender }
    }

    fn watch(&self, prefix: &str) -> Watch {
        let sender = self.sender.clone();
        let changed: Changed = Box::new(move |pairs| {
            let pairs = pairs.iter().map(|pair| (pair.key.to_owned(), pair.value.to_vec()));
            sender.send(pairs.collect()).unwrap();
        });
        Watch::new(&self.connection, prefix, changed).unwrap()
    }

    #[track_caller]
    fn next(&self) -> Given {
        self.given.recv_timeout(LONG).expect("the callback is called")
    }

    fn report(&self) -> WatchReport {
        let kinds = self.connection.kinds();
        let found = kinds.into_iter().find_map(|kind| match kind {
            Kind::Watch(report) => Some(report),
            Kind::Own | Kind::Client(_) => None,
        });
        found.expect("a watch")
    }
}

/// A pair of Consul's JSON; the value is `hi` in base64.
fn pair(key: &str, modified: u64) -> String {
    format!("{{\"Key\":\"{key}\",\"Value\":\"aGk=\",\"Flags\":0,\"ModifyIndex\":{modified}}}")
}

fn one(key: &str) -> Given {
    vec![(key.to_owned(), b"hi".to_vec())]
}

#[test]
fn the_callback_is_called_at_first_and_when_something_is_different_only() {
    let server = Server::start(|number, _| match number {
        0 => ok(5, format!("[{}]", pair("a/1", 5))),
        // Woken, without a change.
        1 => ok(6, format!("[{}]", pair("a/1", 5))),
        // The same keys and values, written again.
        2 => ok(7, format!("[{}]", pair("a/1", 7))),
        3 => answer(404, "X-Consul-Index: 8\r\n", ""),
        _ => Say::Hang,
    });
    let scene = Scene::new(server.settings(&[("watch_wait", "90s")]));
    let watch = scene.watch("a/");
    assert_eq!([scene.next(), scene.next(), scene.next()], [one("a/1"), one("a/1"), vec![]]);
    until(|| server.asked().len() == 5);
    assert_eq!(
        server.asked(),
        [
            "GET /v1/kv/a/?recurse",
            "GET /v1/kv/a/?recurse&index=5&wait=90000ms",
            "GET /v1/kv/a/?recurse&index=6&wait=90000ms",
            // Held back, and so without an index.
            "GET /v1/kv/a/?recurse",
            "GET /v1/kv/a/?recurse&index=8&wait=90000ms",
        ]
    );
    let report = scene.report();
    assert_eq!((report.state, report.index, report.keys), (WatchState::Watching, Some(8), Some(0)));
    let counters = scene.connection.report().counters;
    assert_eq!((counters.wakeups, counters.changes), (4, 3));
    let began = Instant::now();
    drop(watch);
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert!(scene.given.try_recv().is_err());
}

#[test]
fn an_index_that_goes_back_or_is_none_begins_anew() {
    let server = Server::start(|number, _| match number {
        0 => ok(50, "[]"),
        1 => ok(7, format!("[{}]", pair("a", 7))),
        2 => answer(200, "X-Consul-Index: many\r\n", format!("[{}]", pair("a", 8))),
        3 => answer(200, "", format!("[{}]", pair("a", 9))),
        4 => ok(0, format!("[{}]", pair("a", 10))),
        _ => Say::Hang,
    });
    let scene = Scene::new(server.settings(&[]));
    let _watch = scene.watch("");
    for _ in 0..5 {
        scene.next();
    }
    until(|| server.asked().len() == 6);
    let asked = server.asked();
    assert_eq!(asked[1], "GET /v1/kv/?recurse&index=50&wait=60000ms");
    for (number, asked) in asked.iter().enumerate().filter(|(number, _)| *number != 1) {
        assert_eq!(asked, "GET /v1/kv/?recurse", "{number}");
    }
}

#[test]
fn failures_leave_what_was_given_and_after_them_it_begins_anew() {
    let server = Server::start(|number, _| match number {
        0 => ok(5, format!("[{}]", pair("a", 5))),
        1 => answer(500, "", "No cluster leader"),
        2 => Say::Last(vec![]),
        3 => ok(6, "{\"not\": \"a list\"}"),
        4 => answer(301, "Location: /\r\n", ""),
        5 => answer(403, "", "Permission denied"),
        6 => ok(6, format!("[{}]", pair("a", 5))),
        7 => ok(9, format!("[{},{}]", pair("a", 5), pair("b", 9))),
        _ => Say::Hang,
    });
    let scene = Scene::new(server.settings(&[]));
    let _watch = scene.watch("x");
    assert_eq!(scene.next(), one("a"));
    // Nothing was different until the last answer but one.
    assert_eq!(scene.next().len(), 2);
    let asked = server.asked();
    assert!(asked[1].contains("&index=5&"), "{}", asked[1]);
    assert!(asked[2..7].iter().all(|asked| asked == "GET /v1/kv/x?recurse"), "{asked:?}");
    assert!(asked[7].contains("&index=6&"), "{}", asked[7]);
    assert_eq!(scene.report().state, WatchState::Watching);
    let lines = scene.host.lines();
    let words = [
        "is reachable",
        "fails: GET /v1/kv/x: status 500, No cluster leader",
        "is unreachable: the connection was closed",
        "fails: the answer to GET /v1/kv/x cannot be used: it is not what was expected",
        "Consul wants a token for GET /v1/kv/x (status 403, Permission denied)",
        "is reachable again",
        "refuses nothing any more",
    ];
    assert_eq!(lines.len(), words.len(), "{lines:#?}");
    assert!(lines.iter().zip(words).all(|(line, words)| line.1.contains(words)), "{lines:#?}");
    assert_eq!(scene.connection.state().0, State::Reachable);
}

#[test]
fn an_older_state_that_is_restored_is_seen_though_the_query_ends_with_what_was_before() {
    let server = Server::start(|number, _| match number {
        0 | 1 => ok(50, format!("[{}]", pair("new", 50))),
        // A query that waited would wait for long: the index is lower now.
        2 => ok(40, format!("[{}]", pair("old", 40))),
        _ => Say::Hang,
    });
    let scene = Scene::new(server.settings(&[]));
    let _watch = scene.watch("x");
    assert_eq!([scene.next(), scene.next()], [one("new"), one("old")]);
    until(|| server.asked().len() == 4);
    let asked = server.asked();
    assert!(asked[1].contains("&index=50&") && asked[3].contains("&index=40&"), "{asked:?}");
    assert_eq!(asked[2], "GET /v1/kv/x?recurse");
}

#[test]
fn a_query_that_has_waited_for_all_of_its_time_goes_on() {
    let server = Server::start(|number, _| match number {
        0 => ok(50, "[]"),
        1 => {
            std::thread::sleep(Duration::from_millis(1050));
            ok(50, "[]")
        }
        _ => Say::Hang,
    });
    let scene = Scene::new(server.settings(&[("watch_wait", "1s")]));
    let _watch = scene.watch("x");
    until(|| server.asked().len() == 3);
    assert_eq!(server.asked()[2], "GET /v1/kv/x?recurse&index=50&wait=1000ms");
}

#[test]
fn keys_that_are_hidden_are_not_keys_that_are_gone() {
    let hidden = "X-Consul-Index: 6\r\nX-Consul-Results-Filtered-By-ACLs: true\r\n";
    let server = Server::start(move |number, _| match number {
        0 => ok(5, format!("[{}]", pair("a", 5))),
        1 => answer(404, hidden, ""),
        // Some are hidden: what is there is what there is to see.
        2 => answer(200, hidden, format!("[{}]", pair("b", 5))),
        _ => Say::Hang,
    });
    let scene = Scene::new(server.settings(&[]));
    let _watch = scene.watch("x");
    assert_eq!([scene.next(), scene.next()], [one("a"), one("b")]);
    let lines = scene.host.lines();
    assert!(
        lines[1].1.starts_with("Consul wants a token for GET /v1/kv/x (keys are hidden"),
        "{lines:?}"
    );
}

#[test]
fn answers_that_come_at_once_are_limited() {
    let server = Server::start(|_, _| ok(5, "[]"));
    let scene = Scene::new(server.settings(&[]));
    let began = Instant::now();
    let _watch = scene.watch("x");
    assert_eq!(scene.next(), []);
    until(|| server.asked().len() >= 5);
    assert!(began.elapsed() >= Duration::from_millis(1900), "{:?}", began.elapsed());
    until(|| scene.connection.report().counters.limited > 1);
    assert!(scene.given.try_recv().is_err());
}

#[test]
fn a_callback_that_panics_ends_nothing() {
    let server = Server::start(|number, _| match number {
        0..3 => ok(5 + number as u64, format!("[{}]", pair("a", number as u64))),
        _ => Say::Hang,
    });
    let scene = Scene::new(server.settings(&[]));
    let (sender, given) = channel();
    let changed: Changed = Box::new(move |pairs| {
        sender.send(pairs.len()).unwrap();
        panic!("on purpose");
    });
    let _watch = Watch::new(&scene.connection, "x", changed).unwrap();
    for _ in 0..3 {
        assert_eq!(given.recv_timeout(LONG), Ok(1));
    }
    until(|| scene.host.lines().iter().filter(|line| line.1.contains("panicked")).count() == 3);
}

#[test]
fn a_callback_that_is_slow_holds_up_no_other_watch_and_its_end_waits_for_it() {
    let server = Server::start(|number, _| if number < 2 { ok(5, "[]") } else { Say::Hang });
    let scene = Scene::new(server.settings(&[]));
    let (release, wait) = channel::<()>();
    let (inside, is_inside) = channel();
    let wait = Mutex::new(wait);
    let slow: Changed = Box::new(move |_| {
        inside.send(()).unwrap();
        let _ = wait.lock().unwrap().recv();
    });
    let slow = Watch::new(&scene.connection, "slow", slow).unwrap();
    is_inside.recv_timeout(LONG).unwrap();
    let _other = scene.watch("other");
    assert_eq!(scene.next(), []);
    let ending = std::thread::spawn(move || drop(slow));
    until(|| scene.connection.kinds().iter().filter(|k| matches!(k, Kind::Watch(_))).count() == 1);
    assert!(!ending.is_finished());
    drop(release);
    ending.join().unwrap();
}

#[test]
fn a_watch_can_be_ended_by_its_own_callback() {
    let server = Server::start(|_, _| ok(5, "[]"));
    let scene = Scene::new(server.settings(&[]));
    let own: Arc<Mutex<Option<Watch>>> = Arc::default();
    let (held, sender) = (Arc::clone(&own), scene.sender.clone());
    let mut place = own.lock().unwrap();
    let changed: Changed = Box::new(move |_| {
        let watch = held.lock().unwrap().take().unwrap();
        assert!(watch.is_on_own_thread());
        drop(watch);
        sender.send(vec![]).unwrap();
    });
    *place = Some(Watch::new(&scene.connection, "x", changed).unwrap());
    drop(place);
    scene.next();
    assert_eq!(scene.connection.join(LONG), Ok(()));
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn other_settings_cut_a_watch_which_begins_anew_and_the_same_do_not() {
    let old = Server::start(|number, _| match number {
        0 => ok(50, format!("[{}]", pair("a", 5))),
        _ => Say::Hang,
    });
    let new = Server::start(|number, _| match number {
        0 => ok(60, format!("[{}]", pair("a", 5))),
        1 => ok(61, format!("[{}]", pair("b", 61))),
        _ => Say::Hang,
    });
    let scene = Scene::new(old.settings(&[]));
    let _watch = scene.watch("x");
    assert_eq!(scene.next(), one("a"));
    until(|| old.asked().len() == 2);
    scene.connection.apply(old.settings(&[]));
    scene.connection.apply(new.settings(&[]));
    // What the new one has first is what was given already.
    assert_eq!(scene.next(), one("b"));
    assert_eq!(
        new.asked()[..2],
        ["GET /v1/kv/x?recurse", "GET /v1/kv/x?recurse&index=60&wait=60000ms"]
    );
    assert_eq!(old.asked().len(), 2);
    assert_eq!(old.connections(), 1);
}

#[test]
fn while_the_configuration_says_so_a_watch_waits_without_a_thread() {
    let server = Server::start(|number, _| match number {
        0 => ok(5, format!("[{}]", pair("a", 5))),
        2 => ok(6, format!("[{}]", pair("a", 5))),
        3 => ok(7, "[]"),
        _ => Say::Hang,
    });
    let off = server.settings(&[("enabled", "no")]);
    let scene = Scene::new(off.clone());
    let watch = scene.watch("x");
    assert!(watch.0.berth.join_within(Duration::ZERO));
    assert_eq!(scene.report().state, WatchState::Waiting);
    scene.connection.apply(server.settings(&[]));
    assert_eq!(scene.next(), one("a"));
    until(|| server.asked().len() == 2);
    scene.connection.apply(off);
    assert!(watch.0.berth.join_within(LONG));
    scene.connection.apply(server.settings(&[]));
    assert_eq!(scene.next(), []);
}

#[test]
fn a_prefix_that_no_path_can_carry_is_refused() {
    let server = Server::start(|_, _| Say::Hang);
    let scene = Scene::new(server.settings(&[]));
    for prefix in ["/", "/a", "a//b", "../a"] {
        let refusal = Watch::new(&scene.connection, prefix, Box::new(|_| {})).err().unwrap();
        assert!(refusal.contains(prefix), "{refusal}");
    }
}

#[test]
fn a_watch_that_has_slept_through_an_outage_asks_again() {
    let server = Server::start(|_, text| match text {
        text if text.contains("/v1/kv/") && !text.contains("index=") => ok(5, "[]"),
        text if text.contains("/v1/kv/") => Say::Hang,
        text if text.contains("/v1/status/gone") => Say::Last(vec![]),
        _ => ok(1, "\"leader\""),
    });
    let scene = Scene::new(server.settings(&[]));
    let _watch = scene.watch("x");
    assert_eq!(scene.next(), []);
    until(|| server.asked().len() == 2);
    let client = crate::line::Client::new(&scene.connection, "test");
    let ask = |path: &str| client.ask(Method::Get, path, None);
    assert!(ask("/v1/status/gone").is_err());
    assert_eq!(scene.connection.state().0, State::Unreachable);
    assert!(ask("/v1/status/leader").is_ok());
    // Its old query hangs for ever; the new one is made at once, without an index.
    until(|| server.asked().iter().filter(|asked| *asked == "GET /v1/kv/x?recurse").count() == 2);
}

#[test]
fn what_is_held_back_begins_anew_and_the_query_that_waits_follows_at_once() {
    let mut memory = Memory::default();
    let start = Instant::now();
    let mut now = start;
    let (mut asked, mut waiting) = (0, 0);
    while now < start + Duration::from_secs(1000) {
        now += memory.plan(now);
        asked += 1;
        waiting += u32::from(memory.cursor.index().is_some());
        // A prefix below which something changes all the time.
        memory.cursor.advance(Some(&(asked + 1).to_string()), true);
        memory.answered = Some(now);
    }
    assert!((980..=1003).contains(&asked), "{asked}");
    assert!((490..=505).contains(&waiting), "{waiting}");
    now += Duration::from_secs(60);
    memory.answered = Some(now);
    assert_eq!(memory.plan(now), Duration::ZERO);
    assert!(memory.cursor.index().is_some(), "what is not held back goes on");
}
