// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A Consul that answers anything: memory, log and requests stay bounded, and it is told what is
//! wrong.

use std::time::{Duration, Instant};

use rig::{Answer, Pretender, Version, eventually, seconds};
use serde_json::{Value, json};

use crate::fleet::{
    AMQP, APPS, CONSUL, ConsulConf, DISCOVERY, amqp, apps, assert_all_gone, elapse, lines_with,
    load_all, node, unload_all_in_time, unload_in_time, wait_consul,
};
use crate::pretended::{Make, Script, agent, good, queries, unload_watching, wait_apps, watching};

on_each_version!(
    answers_that_make_no_sense_cost_nothing_and_are_told_of,
    bodies_without_end_are_given_up,
    a_redirection_is_not_followed,
    what_it_says_tells_no_token_and_forges_no_line,
);

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
    unload_watching(&asterisk);
}

fn bodies_without_end_are_given_up(version: Version) {
    const HUGE: u64 = 100 << 20;
    const DROP: Duration = Duration::from_millis(20);
    let script = Script::new(|_| Answer::huge(HUGE));
    // Not the keys alone: everything that the modules ask is answered so.
    let pretender = script.pretend_all();
    let conf = ConsulConf::new(pretender.port());
    let conf = conf.consul("request_timeout", "2s").consul("watch_wait", "1s");
    let asterisk = node(version, &amqp(), &conf).start();
    let memory = asterisk.process().rss_bytes();
    load_all(&asterisk);
    let drop_by_drop = || Answer::status(200).body("[".repeat(4096)).dripping(DROP);
    for (what, state) in [
        ("announced", "failing"),
        ("in pieces", "failing"),
        ("until the end", "failing"),
        ("drop by drop", "unreachable"),
        ("never", "unreachable"),
    ] {
        let mark = asterisk.log_mark();
        script.play(move |_| match what {
            "announced" => Answer::huge(HUGE),
            "in pieces" => Answer::huge(HUGE).chunked(),
            "until the end" => Answer::huge(HUGE).until_close(),
            "drop by drop" => drop_by_drop(),
            _ => Answer::never(),
        });
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

fn what_it_says_tells_no_token_and_forges_no_line(version: Version) {
    const FORGED: &str = "[Jan  1 00:00:00] NOTICE[1]: forged";
    let script = Script::new(|request| match request.path() {
        path if path.starts_with("/v1/kv/") => good(&["demo"]).header("X-Consul-Index", "1"),
        _ => Answer::status(500).body("no rights for hunter2\u{1b}[2J"),
    });
    let pretender = script.pretend_all();
    let conf = ConsulConf::new(pretender.port()).consul("token", "hunter2");
    let asterisk = node(version, &amqp(), &conf).start();
    load_all(&asterisk);
    let show = |command: &str, wanted: &str| {
        let shown = eventually(&format!("{command} to tell"), seconds(20), || {
            let shown = asterisk.cli(command);
            if shown.contains(wanted) { Ok(shown) } else { Err(shown) }
        });
        assert!(!shown.contains("hunter2") && !shown.contains('\u{1b}'), "{shown:?}");
        shown
    };
    for command in ["consul show status", "consul show applications", "discovery show status"] {
        show(command, "no rights for ***");
    }

    // An operator's reason, which has anything that a path can carry.
    let id = asterisk.entity_id().to_owned();
    script.play(move |request| match request.path() {
        path if path.starts_with("/v1/agent/health/") => Answer::json(&json!({
            "Service": {"ID": id, "Service": "asterisk"},
            "Checks": [{
                "CheckID": format!("_service_maintenance:{id}"), "Status": "critical",
                "Notes": format!("x\n{FORGED}\u{1b}[2J"), "ServiceID": id,
            }],
        })),
        _ => agent(request),
    });
    let shown = show("discovery show status", "on, by an operator: x");
    assert!(!shown.lines().any(|line| line.starts_with(FORGED)), "{shown}");
    asterisk.wait_log("was put into maintenance in Consul: x");
    let log = asterisk.log();
    assert!(!log.contains("hunter2") && !log.contains('\u{1b}'), "{log}");
    assert!(!log.lines().any(|line| line.starts_with(FORGED)), "{log}");
    unload_all_in_time(&asterisk);
}
