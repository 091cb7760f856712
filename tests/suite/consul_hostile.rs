// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A Consul that answers anything: the rules of blocking queries, proven on one that keeps them, and
//! memory, log and requests that stay bounded on one that does not.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rig::{Answer, Asterisk, Pretender, Request, Version, eventually, seconds};
use serde_json::{Value, json};

use crate::fleet::{
    AMQP, APPS, CONSUL, ConsulConf, DISCOVERY, amqp, apps, assert_all_gone, elapse, lines_with,
    load, load_all, node, unload_all_in_time, unload_in_time, wait_consul,
};

on_each_version!(
    blocking_queries_keep_the_rules,
    indices_that_make_no_sense_neither_spin_nor_blind,
    answers_that_make_no_sense_cost_nothing_and_are_told_of,
    bodies_without_end_are_given_up,
    a_redirection_is_not_followed,
);

/// Consul's keys, as a well-behaved one has them.
#[derive(Clone, Default)]
struct Keys(Arc<Mutex<(u64, Vec<(String, String)>)>>);

impl Keys {
    fn held(&self) -> MutexGuard<'_, (u64, Vec<(String, String)>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These keys are there now, and this is the index.
    fn set(&self, index: u64, names: &[&str]) {
        let key = |name: &&str| (format!("applications/{name}"), String::new());
        *self.held() = (index, names.iter().map(key).collect());
    }

    /// Consul's own way: at once when the index is another, otherwise when it changes or the wait is
    /// over.
    fn answer(&self, request: &Request) -> Answer {
        let asked: u64 = request.query("index").and_then(|index| index.parse().ok()).unwrap_or(0);
        let until = Instant::now() + wait_of(request).unwrap_or(seconds(300));
        let keys = self.clone();
        Answer::later(move || {
            let index = keys.held().0;
            // Consul waits while its index is not larger; one that was set back answers at once.
            let ready = asked == 0 || index != asked || Instant::now() >= until;
            ready.then(|| keys.told())
        })
    }

    fn told(&self) -> Answer {
        let held = self.held();
        let answer = Answer::consul(held.0, &body(&held.1));
        if held.1.is_empty() { answer.with_status(404).body("") } else { answer }
    }
}

/// How long the query is to wait.
fn wait_of(request: &Request) -> Option<Duration> {
    let wait = request.query("wait")?;
    let wait = wait.strip_suffix("ms").unwrap_or_else(|| panic!("wait={wait}, not in ms"));
    Some(Duration::from_millis(wait.parse().expect("a number")))
}

fn body(pairs: &[(String, String)]) -> Value {
    let pair = |(key, value): &(String, String)| {
        json!({
            "LockIndex": 0, "Key": key, "Flags": 0, "Value": value, "CreateIndex": 1,
            "ModifyIndex": 1,
        })
    };
    pairs.iter().map(pair).collect()
}

/// What an agent answers that knows of no service and takes all.
fn agent(request: &Request) -> Answer {
    match (request.method.as_str(), request.path()) {
        ("PUT", _) => Answer::status(200),
        ("GET", "/v1/agent/services" | "/v1/agent/checks") => Answer::json(&json!({})),
        ("GET", path) if path.starts_with("/v1/agent/health/") => {
            Answer::json(&json!({"Service": null})).with_status(404)
        }
        ("GET", "/v1/status/leader") => Answer::json(&json!("127.0.0.1:8300")),
        _ => Answer::json(&json!([])),
    }
}

/// A node with the modules that watch, asking the pretender.
fn watching(version: Version, pretender: &Pretender) -> Asterisk {
    let conf = ConsulConf::new(pretender.port()).consul("watch_wait", "3s");
    let asterisk = node(version, &amqp(), &conf).start();
    for module in [AMQP, CONSUL, APPS] {
        load(&asterisk, module);
    }
    asterisk
}

#[track_caller]
fn wait_apps(asterisk: &Asterisk, wanted: &[&str]) {
    eventually(&format!("applications {wanted:?}"), seconds(20), || {
        let there = apps(asterisk);
        if there == wanted { Ok(()) } else { Err(format!("{there:?}")) }
    });
}

fn index_of(request: &Request) -> Option<u64> {
    request.query("index").map(|index| index.parse().expect("an index is a number"))
}

fn queries(pretender: &Pretender) -> Vec<Request> {
    let requests = pretender.requests();
    requests.into_iter().filter(|request| request.begins("GET /v1/kv/")).collect()
}

/// The indices that were asked for, in order, repetitions left out.
fn indices(pretender: &Pretender) -> Vec<Option<u64>> {
    let mut indices: Vec<_> = queries(pretender).iter().map(index_of).collect();
    indices.dedup();
    indices
}

fn blocking_queries_keep_the_rules(version: Version) {
    // Larger than 2^53: a float would not hold it.
    const FAR: u64 = (1 << 60) + 1;
    let keys = Keys::default();
    keys.set(FAR, &["a"]);
    let serving = keys.clone();
    let pretender = Pretender::start(move |request| match request.path() {
        path if path.starts_with("/v1/kv/") => serving.answer(request),
        _ => agent(request),
    });
    let asterisk = watching(version, &pretender);
    wait_apps(&asterisk, &["a"]);
    keys.set(FAR + 1, &["a", "b"]);
    wait_apps(&asterisk, &["a", "b"]);
    eventually("the new index to be waited for", seconds(10), || {
        let asked = indices(&pretender);
        if asked.last() == Some(&Some(FAR + 1)) { Ok(()) } else { Err(format!("{asked:?}")) }
    });
    // Backwards: begin again, and take what there is.
    keys.set(7, &["b", "c"]);
    wait_apps(&asterisk, &["b", "c"]);
    eventually("the index to begin again", seconds(10), || {
        let asked = indices(&pretender);
        if asked.last() == Some(&Some(7)) { Ok(()) } else { Err(format!("{asked:?}")) }
    });
    keys.set(8, &[]);
    wait_apps(&asterisk, &[]);
    keys.set(9, &["d"]);
    wait_apps(&asterisk, &["d"]);

    let asked = indices(&pretender);
    let first = |index: Option<u64>| asked.iter().position(|one| *one == index);
    // 0 would be "do not wait", as none at all is.
    let begin_again = asked[1..].iter().position(|one| one.unwrap_or(0) == 0).map(|at| at + 1);
    assert!(asked[0].unwrap_or(0) == 0, "{asked:?}");
    assert!(first(Some(FAR)) < first(Some(FAR + 1)), "{asked:?}");
    assert!(begin_again.is_some() && begin_again < first(Some(7)), "{asked:?}");
    for request in queries(&pretender) {
        let waits = index_of(&request).is_some_and(|index| index > 0);
        assert!(!waits || wait_of(&request) == Some(seconds(3)), "{request:?}");
        assert!(request.query("recurse").is_some(), "{request:?}");
        assert!(request.begins("/v1/kv/applications/?"), "{request:?}");
    }
    let (before, since) = (queries(&pretender).len(), Instant::now());
    elapse(seconds(7));
    // A wait that is over is taken up again, once each.
    let made = queries(&pretender).len() - before;
    assert!((1..=4).contains(&made), "{made} queries in {:?}", since.elapsed());
    for module in [APPS, CONSUL, AMQP] {
        unload_in_time(&asterisk, module);
    }
    assert_all_gone(&asterisk);
}

/// Answers to the queries of a watch, to be changed by the test; the agent's part is as it should be.
#[derive(Clone)]
struct Script(Arc<Mutex<Make>>);

type Make = Box<dyn FnMut(&Request) -> Answer + Send>;

impl Script {
    fn new(make: impl FnMut(&Request) -> Answer + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Box::new(make))))
    }

    fn play(&self, make: impl FnMut(&Request) -> Answer + Send + 'static) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(make);
    }

    fn answer(&self, request: &Request) -> Answer {
        (self.0.lock().unwrap_or_else(PoisonError::into_inner))(request)
    }

    /// For the queries of watches only.
    fn pretend_keys(&self) -> Pretender {
        let script = self.clone();
        Pretender::start(move |request| match request.path() {
            path if path.starts_with("/v1/kv/") => script.answer(request),
            _ => agent(request),
        })
    }

    /// For everything.
    fn pretend_all(&self) -> Pretender {
        let script = self.clone();
        Pretender::start(move |request| script.answer(request))
    }
}

fn good(names: &[&str]) -> Answer {
    let key = |name: &&str| (format!("applications/{name}"), String::new());
    Answer::json(&body(&names.iter().map(key).collect::<Vec<_>>()))
}

fn indices_that_make_no_sense_neither_spin_nor_blind(version: Version) {
    let script = Script::new(|_| good(&["start"]).header("X-Consul-Index", "1"));
    let pretender = script.pretend_keys();
    let asterisk = watching(version, &pretender);
    wait_apps(&asterisk, &["start"]);
    let cases: [(&str, &str, fn(u64) -> Option<String>); 7] = [
        ("zero", "0", |_| Some("0".to_owned())),
        ("none", "", |_| None),
        ("same", "1", |_| Some("1".to_owned())),
        ("words", "", |_| Some("a lot".to_owned())),
        ("negative", "", |_| Some("-5".to_owned())),
        ("growing", "", |count| Some((100 + count).to_string())),
        ("falling", "", |count| Some((1_000_000 - count).to_string())),
    ];
    for (name, _, index) in cases {
        let mark = asterisk.log_mark();
        let names = [name.to_owned()];
        let mut count = 0;
        script.play(move |_| {
            count += 1;
            let answer = good(&[&names[0]]);
            match index(count) {
                Some(index) => answer.header("X-Consul-Index", &index),
                None => answer,
            }
        });
        wait_apps(&asterisk, &[name]);
        let (before, since) = (queries(&pretender).len(), Instant::now());
        elapse(seconds(2));
        let made = queries(&pretender).len() - before;
        let rate = made as f64 / since.elapsed().as_secs_f64();
        assert!(rate < 15.0, "{name}: {made} queries in {:?}", since.elapsed());
        let told = lines_with(&asterisk, mark, "WARNING[").len()
            + lines_with(&asterisk, mark, "ERROR[").len();
        assert!(told <= 2, "{name}: {told} lines\n{}", asterisk.log());
    }
    script.play(|_| good(&["end"]).header("X-Consul-Index", "5"));
    wait_apps(&asterisk, &["end"]);
    for module in [APPS, CONSUL, AMQP] {
        unload_in_time(&asterisk, module);
    }
    assert_all_gone(&asterisk);
}

/// A well-formed pair whose members are replaced.
fn odd_pair(changes: &Value) -> Value {
    let mut pair = json!({
        "Key": "applications/start", "Value": null, "Flags": 0, "CreateIndex": 1, "ModifyIndex": 1,
        "LockIndex": 0,
    });
    for (name, value) in changes.as_object().expect("an object") {
        pair[name] = value.clone();
    }
    json!([pair])
}

fn answers_that_make_no_sense_cost_nothing_and_are_told_of(version: Version) {
    let script = Script::new(|_| good(&["start"]).header("X-Consul-Index", "1"));
    let pretender = script.pretend_keys();
    let asterisk = watching(version, &pretender);
    wait_apps(&asterisk, &["start"]);
    let cases: Vec<(&str, Make)> = vec![
        ("garbage", Box::new(|_| Answer::garbage("\0\u{1}\u{2}not HTTP at all\r\n\r\n"))),
        ("a fault", Box::new(|_| Answer::status(500).body("rpc error: \u{1b}[31mhunter2\u{1b}"))),
        ("no body", Box::new(|_| Answer::consul(2, &json!(null)).body(""))),
        ("no JSON", Box::new(|_| Answer::consul(2, &json!(null)).body("<html>hello</html>"))),
        ("an object", Box::new(|_| Answer::consul(2, &json!({"Key": "applications/x"})))),
        ("numbers", Box::new(|_| Answer::consul(2, &json!([1, 2, 3])))),
        ("nothings", Box::new(|_| Answer::consul(2, &json!([null])))),
        ("a key that is a number", Box::new(|_| Answer::consul(2, &odd_pair(&json!({"Key": 5}))))),
        ("no key", Box::new(|_| Answer::consul(2, &json!([{"Value": null}])))),
        (
            "a value that is a number",
            Box::new(|_| Answer::consul(2, &odd_pair(&json!({"Value": 5})))),
        ),
        (
            "a value that is not base64",
            Box::new(|_| Answer::consul(2, &odd_pair(&json!({"Value": "%%%"})))),
        ),
        (
            "flags that are negative",
            Box::new(|_| Answer::consul(2, &odd_pair(&json!({"Flags": -1})))),
        ),
        ("brackets", Box::new(|_| Answer::consul(2, &json!(null)).body("[".repeat(1 << 20)))),
        ("half", Box::new(|_| good(&["start", "x"]).header("X-Consul-Index", "2").cut_after(40))),
        ("an end", Box::new(|_| Answer::close())),
        ("endless headers", Box::new(|_| Answer::endless_head())),
        ("no content", Box::new(|_| Answer::status(204))),
        ("an odd status", Box::new(|_| Answer::status(599).body("?"))),
    ];
    let memory = asterisk.process().rss_bytes();
    for (what, make) in cases {
        let mark = asterisk.log_mark();
        script.play(make);
        let since = Instant::now();
        let shown = eventually(&format!("{what} to be seen as a fault"), seconds(20), || {
            let shown = asterisk.cli("consul show status");
            let state = shown.lines().find(|line| line.contains("State:")).unwrap_or_default();
            let is_bad = state.contains("failing") || state.contains("unreachable");
            if is_bad { Ok(shown) } else { Err(shown) }
        });
        let before = queries(&pretender).len();
        elapse(Duration::from_millis(700));
        let made = queries(&pretender).len() - before;
        assert!(made < 15, "{what}: {made} queries since {:?}", since.elapsed());
        assert!(!shown.contains('\u{1b}'), "{what}: {shown:?}");
        // Nobody reads the rest of the keys out of it.
        assert_eq!(apps(&asterisk), ["start"], "{what}");
        let told = lines_with(&asterisk, mark, "WARNING[").len()
            + lines_with(&asterisk, mark, "ERROR[").len();
        assert!((1..=3).contains(&told), "{what}: {told} lines\n{}", &asterisk.log()[mark..]);
        script.play(|_| good(&["start"]).header("X-Consul-Index", "1"));
        wait_consul(&asterisk, "reachable");
    }
    let grown = asterisk.process().rss_bytes().saturating_sub(memory);
    assert!(grown < 40 << 20, "grown by {grown} bytes");
    assert!(!asterisk.log().contains('\u{1b}'));

    // Odd, but to be read: in pieces, without a length, with more members than there were.
    script.play(|_| good(&["chunked"]).header("X-Consul-Index", "3").chunked());
    wait_apps(&asterisk, &["chunked"]);
    script.play(|_| good(&["unsized"]).header("X-Consul-Index", "4").until_close());
    wait_apps(&asterisk, &["unsized"]);
    script.play(|_| Answer::consul(5, &odd_pair(&json!({"Key": "applications/more", "New": {}}))));
    wait_apps(&asterisk, &["more"]);
    script.play(|_| {
        good(&["dripping"]).header("X-Consul-Index", "6").dripping(Duration::from_millis(3))
    });
    wait_apps(&asterisk, &["dripping"]);
    for module in [APPS, CONSUL, AMQP] {
        unload_in_time(&asterisk, module);
    }
    assert_all_gone(&asterisk);
}

fn bodies_without_end_are_given_up(version: Version) {
    const HUGE: u64 = 100 << 20;
    let script = Script::new(|_| Answer::huge(HUGE));
    // Not the keys alone: everything that the modules ask is answered so.
    let pretender = script.pretend_all();
    let conf = ConsulConf::new(pretender.port());
    let conf = conf.consul("request_timeout", "2s").consul("watch_wait", "1s");
    let asterisk = node(version, &amqp(), &conf).start();
    let memory = asterisk.process().rss_bytes();
    load_all(&asterisk);
    let cases: [(&str, &str, fn() -> Answer); 5] = [
        ("announced", "failing", || Answer::huge(HUGE)),
        ("in pieces", "failing", || Answer::huge(HUGE).chunked()),
        ("until the end", "failing", || Answer::huge(HUGE).until_close()),
        ("drop by drop", "unreachable", || {
            Answer::consul(1, &json!([])).body("[".repeat(4096)).dripping(Duration::from_millis(20))
        }),
        ("never", "unreachable", Answer::never),
    ];
    for (what, state, answer) in cases {
        let mark = asterisk.log_mark();
        script.play(move |_| answer());
        wait_consul(&asterisk, state);
        let before = pretender.requests().len();
        let most = (0..20).map(|_| {
            elapse(Duration::from_millis(100));
            asterisk.process().rss_bytes()
        });
        let most = most.max().unwrap_or_default();
        let made = pretender.requests().len() - before;
        assert!(made < 60, "{what}: {made} requests in 2 s");
        let grown = most.saturating_sub(memory);
        assert!(grown < 150 << 20, "{what}: grown by {grown} bytes");
        let told = lines_with(&asterisk, mark, "WARNING[").len()
            + lines_with(&asterisk, mark, "ERROR[").len();
        assert!(told <= 6, "{what}: {told} lines\n{}", &asterisk.log()[mark..]);
    }
    assert_eq!(apps(&asterisk), [""; 0]);
    script.play(|_| Answer::huge(HUGE).dripping(Duration::from_micros(1)));
    unload_all_in_time(&asterisk);
}

fn a_redirection_is_not_followed(version: Version) {
    let elsewhere = Pretender::start(|_| Answer::status(200));
    let location = format!("http://127.0.0.1:{}/v1/kv/applications/?recurse", elsewhere.port());
    let script = Script::new(move |_| Answer::redirect(&location));
    let pretender = script.pretend_all();
    let conf = ConsulConf::new(pretender.port()).consul("token", "hunter2");
    let asterisk = node(version, &amqp(), &conf).start();
    load_all(&asterisk);
    let shown = wait_consul(&asterisk, "failing");
    assert!(shown.contains("302"), "{shown}");
    let before = pretender.requests().len();
    eventually("more requests", seconds(20), || match pretender.requests().len() - before {
        count if count >= 4 => Ok(()),
        count => Err(count),
    });
    // Wherever that leads, the token does not go there.
    assert_eq!(elsewhere.connections(), 0);
    for module in [APPS, DISCOVERY, CONSUL, AMQP] {
        unload_in_time(&asterisk, module);
    }
    assert_all_gone(&asterisk);
}
