// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The pulse, over servers of the test.

use std::net::TcpListener;

use asterisk::consul::provide::Line;

use super::*;
use crate::line::Client;
use crate::tests::{Server, TestHost, answer, ok, settings, until};

#[test]
fn a_consul_that_comes_up_is_noticed_without_any_other_request() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let host = Arc::new(TestHost::default());
    let connection = Connection::new(host.clone(), settings(&[("port", &port.to_string())]));
    let pulse = Pulse::new(&connection);
    pulse.start().unwrap();
    until(|| connection.state().0 == State::Unreachable);
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let server = Server::on(listener, |_, _| ok(0, "\"127.0.0.1:8300\"\n"));
    until(|| connection.state().0 == State::Reachable);
    assert_eq!(server.asked(), ["GET /v1/status/leader"]);
    // The line comes after the state.
    until(|| host.lines().len() >= 2);
    let levels = host.lines().iter().map(|line| line.0).collect::<Vec<_>>();
    assert_eq!(levels, [Level::Warning, Level::Notice]);
    connection.set_ending(true);
    assert!(pulse.join_within(Duration::from_secs(1)));
}

#[test]
fn a_consul_without_a_leader_fails_until_it_has_one() {
    let server = Server::start(|number, _| match number {
        0..3 => ok(0, "\"\""),
        3 => ok(0, "[1, 2]"),
        _ => ok(0, "\"127.0.0.1:8300\""),
    });
    let host = Arc::new(TestHost::default());
    let connection = Connection::new(host.clone(), server.settings(&[]));
    let pulse = Pulse::new(&connection);
    pulse.start().unwrap();
    until(|| connection.state().0 == State::Reachable);
    assert_eq!(server.asked().len(), 5);
    until(|| host.lines().len() >= 2);
    let lines = host.lines();
    assert!(lines[0].1.ends_with("fails: GET /v1/status/leader: it has no leader"), "{lines:?}");
    assert_eq!(lines.len(), 2, "{lines:?}");
}

#[test]
fn a_leader_that_answers_is_not_asked_again_and_again_because_another_request_fails() {
    let server = Server::start(|_, text| match text.contains("/v1/status/leader") {
        true => ok(0, "\"127.0.0.1:8300\""),
        false => answer(429, "", "too many requests"),
    });
    let connection = Connection::new(Arc::new(TestHost::default()), server.settings(&[]));
    let pulse = Pulse::new(&connection);
    pulse.start().unwrap();
    until(|| connection.state().0 == State::Reachable);
    let client = Client::new(&connection, "test");
    assert_eq!(client.request("GET", "/v1/kv/a", None).unwrap().status, 429);
    assert_eq!(connection.state().0, State::Failing);
    let began = Instant::now();
    until(|| began.elapsed() > Duration::from_millis(1500));
    let asked = server.asked();
    let leader = asked.iter().filter(|line| *line == "GET /v1/status/leader").count();
    assert!(leader <= 2, "{asked:?}");
    assert_eq!(connection.state().0, State::Failing);
}

#[test]
fn there_is_no_thread_while_the_configuration_says_so() {
    let server = Server::start(|_, _| ok(0, "\"x\""));
    let off = server.settings(&[("enabled", "no")]);
    let connection = Connection::new(Arc::new(TestHost::default()), off.clone());
    let pulse = Pulse::new(&connection);
    pulse.start().unwrap();
    assert!(pulse.0.berth.join_within(Duration::ZERO));
    assert_eq!(connection.state().0, State::Disabled);
    connection.apply(server.settings(&[]));
    until(|| connection.state().0 == State::Reachable);
    connection.apply(off);
    assert!(pulse.join_within(Duration::from_secs(1)));
    assert_eq!(connection.state().0, State::Disabled);
}
