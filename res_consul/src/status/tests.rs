// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Answers and faults in, state and log lines out.

use super::verdict::MOST_WORDS;
use super::*;
use crate::http::{Method, Reply};

fn request(path: &str) -> Request {
    let wait = Duration::ZERO;
    Request { method: Method::Get, path: path.to_owned(), body: None, wait, limit: 1 }
}

fn reply(status: u16, body: &str) -> Reply {
    Reply { status, index: None, is_hidden: false, body: body.as_bytes().to_vec() }
}

struct Scene {
    status: Status,
    now: Instant,
}

impl Scene {
    fn new() -> Self {
        Self { status: Status::new("http://c:8500".to_owned(), true), now: Instant::now() }
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    fn answer(&mut self, path: &str, status: u16, body: &str) -> Consequence {
        let request = request(path);
        let verdict = Verdict::of(&request, &reply(status, body));
        self.status.answered(&request, &verdict, true, self.now)
    }

    fn verdict(&mut self, path: &str, verdict: Verdict) -> Consequence {
        self.status.answered(&request(path), &verdict, true, self.now)
    }

    fn silence(&mut self, path: &str, reason: &str) -> Consequence {
        let fault = Fault::Unreachable(reason.to_owned());
        self.status.failed_with(&request(path), &fault, self.now)
    }
}

fn line(level: Level, text: &str) -> Vec<Line> {
    vec![(level, text.to_owned())]
}

#[test]
fn each_change_of_state_is_one_line_and_what_repeats_is_none() {
    let mut scene = Scene::new();
    assert_eq!(scene.status.state(), State::Unknown);
    let gone = scene.silence("/v1/kv/a", "refused");
    let text = "Consul at http://c:8500 is unreachable: refused";
    assert_eq!(gone.lines, line(Level::Warning, text));
    assert!(gone.went_away && gone.came_back.is_none());
    assert_eq!(scene.silence("/v1/kv/b", "timed out"), Consequence::default());
    let back = scene.answer("/v1/kv/a", 404, "");
    assert_eq!(back.lines, line(Level::Notice, "Consul at http://c:8500 is reachable"));
    assert_eq!(back.came_back, Some(Back::Silence));
    assert_eq!(scene.answer("/v1/kv/a", 200, "[]"), Consequence::default());
    scene.silence("/v1/kv/a", "refused");
    let back = scene.answer("/v1/kv/a", 200, "[]");
    assert_eq!(back.lines, line(Level::Notice, "Consul at http://c:8500 is reachable again"));
    let report = scene.status.report();
    assert_eq!((report.counters.reconnects, report.counters.requests), (1, 6));
    assert_eq!(report.counters.failures, 3);
    assert_eq!(report.last_failure.unwrap().1, "GET /v1/kv/a: refused");
}

#[test]
fn without_a_leader_the_agents_own_answers_prove_nothing() {
    let mut scene = Scene::new();
    scene.answer("/v1/kv/a", 200, "[]");
    let failing = scene.answer("/v1/kv/a", 500, "No cluster leader\n");
    let text = "Consul at http://c:8500 fails: GET /v1/kv/a: status 500, No cluster leader";
    assert_eq!(failing.lines, line(Level::Warning, text));
    assert_eq!(scene.answer("/v1/agent/service/register", 200, ""), Consequence::default());
    assert_eq!(scene.status.state(), State::Failing);
    assert_eq!(scene.answer("/v1/kv/a", 200, "[]").came_back, Some(Back::Fault));
    assert!(scene.verdict("/v1/status/leader", Verdict::Failing("x".to_owned())).went_away);
}

#[test]
fn one_request_that_fails_among_others_that_are_answered_is_one_line() {
    let mut scene = Scene::new();
    scene.answer("/v1/status/leader", 200, "");
    assert_eq!(scene.answer("/v1/kv/a", 500, "rpc error").lines.len(), 1);
    for _ in 0..10 {
        assert_eq!(scene.answer("/v1/status/leader", 200, ""), Consequence::default());
        assert_eq!(scene.answer("/v1/kv/a", 500, "rpc error"), Consequence::default());
        assert_eq!(scene.status.state(), State::Failing);
    }
    assert_eq!(scene.answer("/v1/kv/a", 200, "[]").lines.len(), 1);
    assert_eq!(scene.status.state(), State::Reachable);
}

#[test]
fn one_request_that_has_no_answer_among_others_that_have_is_told_once() {
    let mut scene = Scene::new();
    scene.answer("/v1/status/leader", 200, "");
    assert_eq!(scene.silence("/v1/kv/a", "closed").lines.len(), 1);
    scene.pass(1);
    assert_eq!(scene.answer("/v1/status/leader", 200, "").lines.len(), 1);
    scene.pass(1);
    let alone = scene.silence("/v1/kv/a", "closed");
    let text = "Consul at http://c:8500 fails: GET /v1/kv/a: closed";
    assert_eq!(alone.lines, line(Level::Warning, text));
    for _ in 0..100 {
        scene.pass(1);
        assert_eq!(scene.answer("/v1/status/leader", 200, ""), Consequence::default());
        scene.pass(1);
        assert_eq!(scene.silence("/v1/kv/a", "closed"), Consequence::default());
    }
    assert_eq!(scene.answer("/v1/kv/a", 200, "[]").lines.len(), 1);
    assert_eq!(scene.status.state(), State::Reachable);
    // When all are silent, it is Consul that is away.
    scene.pass(1);
    scene.silence("/v1/kv/a", "closed");
    scene.silence("/v1/kv/a", "closed");
    assert_eq!(scene.status.state(), State::Unreachable);
    // Also where one of them was silent in an outage before.
    scene.pass(1);
    assert_eq!(scene.answer("/v1/kv/b", 200, "[]").lines.len(), 1);
    scene.pass(1);
    assert_eq!(scene.silence("/v1/kv/b", "closed").lines.len(), 1);
    assert_eq!(scene.silence("/v1/kv/a", "closed"), Consequence::default());
    assert_eq!(scene.status.state(), State::Unreachable);
}

#[test]
fn a_query_that_waits_and_is_cut_says_nothing_yet() {
    let mut scene = Scene::new();
    scene.answer("/v1/kv/a", 200, "[]");
    let waiting = Request { wait: Duration::from_secs(60), ..request("/v1/kv/a?index=5") };
    let fault = Fault::Unreachable("closed".to_owned());
    let cut = scene.status.failed_with(&waiting, &fault, scene.now);
    assert_eq!(cut, Consequence::default());
    assert_eq!(scene.status.report().counters.failures, 1);
    assert_eq!(scene.status.state(), State::Reachable);
    assert_eq!(scene.silence("/v1/kv/a", "refused").lines.len(), 1);
}

#[test]
fn what_was_refused_and_is_permitted_is_told_to_who_waits() {
    let mut scene = Scene::new();
    scene.answer("/v1/agent/service/register", 403, "");
    let well = scene.answer("/v1/agent/service/register", 200, "");
    assert_eq!(well.came_back, Some(Back::Refusal));
}

#[test]
fn what_the_agent_says_of_health_and_arguments_is_no_fault_of_consuls() {
    let of = |path: &str, status, body: &str| Verdict::of(&request(path), &reply(status, body));
    assert_eq!(of("/v1/agent/health/service/id/a", 503, "{}"), Verdict::Fine);
    assert_eq!(of("/v1/agent/health/service/id/a", 429, "{}"), Verdict::Fine);
    let unknown = "CheckID \"x\" does not have associated TTL";
    assert_eq!(of("/v1/agent/check/update/x", 500, unknown), Verdict::Fine);
    let lost = of("/v1/agent/service/register", 500, "rpc error making call: No cluster leader");
    assert!(matches!(lost, Verdict::Failing(_)));
    assert!(matches!(of("/v1/kv/a", 503, ""), Verdict::Failing(words) if words == "status 503"));
    assert!(matches!(of("/v1/kv/a", 429, ""), Verdict::Failing(_)));
    assert_eq!(of("/v1/kv/a", 301, ""), Verdict::Fine);
}

#[test]
fn refusals_are_told_once_a_minute_and_name_the_request_without_its_query() {
    let mut scene = Scene::new();
    scene.answer("/v1/kv/b", 200, "[]");
    let refused = scene.answer("/v1/kv/a?token=hunter2", 403, "Permission denied\nat line 2");
    let text = "Consul refuses the token for GET /v1/kv/a (status 403, Permission denied); check \
                the token and its policies";
    assert_eq!(refused.lines, line(Level::Warning, text));
    assert_eq!(scene.status.state(), State::Refused);
    for path in ["/v1/kv/a", "/v1/kv/c", "/v1/kv/d"] {
        scene.pass(15);
        assert_eq!(scene.answer(path, 403, "").lines, [], "{path}");
    }
    scene.pass(15);
    let again = scene.answer("/v1/kv/a", 403, "").lines;
    let [(Level::Warning, text)] = again.as_slice() else { panic!("{again:?}") };
    assert!(text.ends_with("; 3 more refusals since the last such line"), "{text}");
    assert_eq!(scene.status.report().counters.refusals, 5);
}

#[test]
fn a_refused_request_stays_refused_until_it_fares_better_or_is_not_made_any_more() {
    let mut scene = Scene::new();
    scene.answer("/v1/kv/a", 403, "");
    scene.answer("/v1/kv/b", 200, "[]");
    assert_eq!(scene.status.state(), State::Refused);
    let well = scene.answer("/v1/kv/a", 200, "[]");
    assert_eq!(well.lines, line(Level::Notice, "Consul at http://c:8500 refuses nothing any more"));
    // In turn, as two requests of one path may be: told once a minute, in both directions.
    for _ in 0..10 {
        assert_eq!(scene.answer("/v1/kv/a", 403, "").lines, []);
        assert_eq!(scene.answer("/v1/kv/a", 200, "").lines, []);
    }
    scene.answer("/v1/kv/a", 403, "");
    scene.pass(61);
    scene.status.look(scene.now);
    assert_eq!(scene.status.state(), State::Reachable);
    assert_eq!(scene.answer("/v1/kv/a", 403, "").lines.len(), 1);
    // Also one that is refused is there.
    scene.silence("/v1/kv/a", "gone");
    let there = scene.answer("/v1/kv/a", 403, "");
    assert_eq!(there.lines, line(Level::Notice, "Consul at http://c:8500 is reachable again"));
}

#[test]
fn an_answer_that_cannot_be_used_is_a_fault_of_consuls() {
    let mut scene = Scene::new();
    let fault = Fault::Unusable("it is not HTTP".to_owned());
    let failing = scene.status.failed_with(&request("/v1/kv/a"), &fault, scene.now);
    assert_eq!(failing.lines.len(), 1);
    assert_eq!(scene.status.state(), State::Failing);
    assert_eq!(scene.answer("/v1/kv/b", 200, "[]").lines, []);
    assert_eq!(scene.answer("/v1/kv/a", 200, "[]").lines.len(), 1);
    let failing = scene.verdict("/v1/kv/a", Verdict::Unreadable("no list".to_owned()));
    let text = "Consul at http://c:8500 fails: the answer to GET /v1/kv/a cannot be used: no list";
    assert_eq!(failing.lines, line(Level::Warning, text));
}

#[test]
fn troubles_are_bounded() {
    let mut scene = Scene::new();
    for number in 0..1000 {
        scene.answer(&format!("/v1/kv/{number}"), 403, "");
    }
    assert_eq!(scene.status.troubles.len(), MOST_TROUBLES);
}

#[test]
fn what_consul_says_is_cut_and_made_harmless() {
    let long = "x".repeat(5000);
    assert!(words_of(long.as_bytes(), 500).len() < MOST_WORDS + 20);
    assert_eq!(words_of(b"\x1b[31mred\xff\nmore", 500), "status 500, [31mred\u{fffd}");
    assert_eq!(words_of(b"  \n", 503), "status 503");
}

#[test]
fn other_settings_begin_anew_and_keep_the_counters() {
    let mut scene = Scene::new();
    scene.silence("/v1/kv/a", "refused");
    scene.status.begin_again("https://d:1".to_owned(), false);
    assert_eq!(scene.status.state(), State::Disabled);
    assert_eq!(scene.status.report().counters.requests, 1);
    scene.status.begin_again("https://d:1".to_owned(), true);
    assert_eq!(scene.status.state(), State::Unknown);
}
