// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The rules of blocking queries, proven on a Consul that keeps them and on one that does not.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rig::{Answer, Pretender, Request, Version, eventually, seconds};

use crate::fleet::{elapse, lines_with};
use crate::pretended::{Script, agent, good, pairs, queries, unload_watching, wait_apps, watching};

on_each_version!(
    blocking_queries_keep_the_rules,
    indices_that_make_no_sense_neither_spin_nor_blind,
);

/// Consul's keys, as a well-behaved one has them: an index, and the names of applications.
#[derive(Clone, Default)]
struct Keys(Arc<Mutex<(u64, Vec<String>)>>);

impl Keys {
    fn held(&self) -> MutexGuard<'_, (u64, Vec<String>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These keys are there now, and this is the index.
    fn set(&self, index: u64, names: &[&str]) {
        *self.held() = (index, names.iter().map(|name| (*name).to_owned()).collect());
    }

    /// Consul's own way: at once when the index is another, otherwise when it changes or the wait is
    /// over.
    fn answer(&self, request: &Request) -> Answer {
        let asked: u64 = request.query("index").and_then(|index| index.parse().ok()).unwrap_or(0);
        let until = Instant::now() + wait_of(request).unwrap_or(seconds(300));
        let keys = self.clone();
        Answer::later(move || {
            let ready = asked == 0 || keys.held().0 != asked || Instant::now() >= until;
            ready.then(|| keys.told())
        })
    }

    fn told(&self) -> Answer {
        let held = self.held();
        let names: Vec<&str> = held.1.iter().map(String::as_str).collect();
        let answer = Answer::consul(held.0, &pairs(&names));
        if names.is_empty() { answer.with_status(404).body("") } else { answer }
    }
}

/// How long the query is to wait.
fn wait_of(request: &Request) -> Option<Duration> {
    let wait = request.query("wait")?;
    let wait = wait.strip_suffix("ms").unwrap_or_else(|| panic!("wait={wait}, not in ms"));
    Some(Duration::from_millis(wait.parse().expect("a number")))
}

fn index_of(request: &Request) -> Option<u64> {
    request.query("index").map(|index| index.parse().expect("an index is a number"))
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
    unload_watching(&asterisk);
}

fn indices_that_make_no_sense_neither_spin_nor_blind(version: Version) {
    let script = Script::new(|_| good(&["start"]).header("X-Consul-Index", "1"));
    let pretender = script.pretend_keys();
    let asterisk = watching(version, &pretender);
    wait_apps(&asterisk, &["start"]);
    let index = |name: &str, count: u64| match name {
        "none" => None,
        "zero" => Some("0".to_owned()),
        "same" => Some("1".to_owned()),
        "words" => Some("a lot".to_owned()),
        "negative" => Some("-5".to_owned()),
        "growing" => Some((100 + count).to_string()),
        _ => Some((1_000_000 - count).to_string()),
    };
    for name in ["none", "zero", "same", "words", "negative", "growing", "falling"] {
        let mark = asterisk.log_mark();
        let mut count = 0;
        script.play(move |_| {
            count += 1;
            let answer = good(&[name]);
            match index(name, count) {
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
    unload_watching(&asterisk);
}
