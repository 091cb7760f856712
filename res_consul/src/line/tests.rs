// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Clients, over servers of the test.

use std::thread::JoinHandle;
use std::time::Instant;

use super::*;
use crate::config::Settings;
use crate::tests::{LONG, Say, Server, TestHost, answer, ok, settings, until};

fn connection(settings: Settings) -> (Arc<Connection>, Arc<TestHost>) {
    let host = Arc::new(TestHost::default());
    (Connection::new(host.clone(), settings), host)
}

fn begin(client: &Arc<Client>, path: &str) -> JoinHandle<Result<Answer>> {
    let (client, path) = (Arc::clone(client), path.to_owned());
    std::thread::spawn(move || client.request("GET", &path, None))
}

#[test]
fn requests_of_many_threads_are_made_in_turn_on_one_connection() {
    let server = Server::start(|_, text| ok(3, text.split(' ').nth(1).unwrap()));
    let (connection, _) = connection(server.settings(&[]));
    let client = Arc::new(Client::new(&connection, "test"));
    let paths: Vec<String> = (0..20).map(|number| format!("/v1/kv/{number}")).collect();
    let requests: Vec<_> = paths.iter().map(|path| begin(&client, path)).collect();
    for (path, request) in paths.iter().zip(requests) {
        let answer = request.join().unwrap().unwrap();
        assert_eq!((answer.status, answer.index), (200, 3));
        assert_eq!(answer.body, path.as_bytes());
    }
    assert_eq!(server.connections(), 1);
    let report = connection.report();
    assert_eq!((report.counters.requests, report.counters.failures), (20, 0));
}

#[test]
fn arguments_that_are_wrong_are_refused_and_asked_of_nobody() {
    let server = Server::start(|_, _| ok(1, ""));
    let (connection, _) = connection(server.settings(&[]));
    let client = Client::new(&connection, "test");
    for (method, path, reason) in [
        ("PATCH", "/v1/kv/a", "PATCH /v1/kv/a: the method must be GET, PUT, POST or DELETE"),
        ("GET", "/v2?token=x", "GET /v2: the path must begin with /v1/"),
        ("GET", "/v1/a b", "GET /v1/a b: the path has a blank; it must be percent-encoded"),
    ] {
        assert_eq!(client.request(method, path, None).unwrap_err(), reason);
    }
    assert_eq!(server.seen().len(), 0);
}

#[test]
fn an_interrupt_ends_what_goes_on_what_waits_and_what_comes() {
    let server = Server::start(|_, _| Say::Hang);
    let (connection, _) = connection(server.settings(&[("request_timeout", "5m")]));
    let client = Arc::new(Client::new(&connection, "test"));
    let requests: Vec<_> = (0..3).map(|_| begin(&client, "/v1/kv/a")).collect();
    until(|| server.seen().len() == 1 && client.0.queue().jobs.len() == 2);
    let began = Instant::now();
    client.interrupt();
    for request in requests {
        assert!(request.join().unwrap().unwrap_err().contains("interrupted"));
    }
    assert!(client.request("GET", "/v1/kv/a", None).unwrap_err().contains("interrupted"));
    assert_eq!(connection.kinds().len(), 1);
    drop(client);
    assert_eq!(connection.kinds().len(), 0, "what is freed is in nobody's way");
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[test]
fn too_many_requests_are_refused_at_once() {
    let server = Server::start(|_, _| Say::Hang);
    let (connection, _) = connection(server.settings(&[("request_timeout", "5m")]));
    let client = Arc::new(Client::new(&connection, "test"));
    let first = begin(&client, "/v1/kv/a");
    until(|| server.seen().len() == 1);
    let waiting: Vec<_> = (0..MOST_WAITING).map(|_| begin(&client, "/v1/kv/b")).collect();
    until(|| client.0.queue().jobs.len() == MOST_WAITING);
    let refusal = client.request("GET", "/v1/kv/c", None).unwrap_err();
    assert_eq!(refusal, "GET /v1/kv/c: 64 requests wait already");
    client.interrupt();
    assert!(waiting.into_iter().chain([first]).all(|request| request.join().unwrap().is_err()));
}

#[test]
fn nothing_is_asked_while_the_configuration_says_so() {
    let server = Server::start(|_, _| ok(1, ""));
    let (connection, _) = connection(server.settings(&[("enabled", "no")]));
    let client = Client::new(&connection, "test");
    let refusal = client.request("GET", "/v1/kv/a", None).unwrap_err();
    assert_eq!(refusal, "GET /v1/kv/a: consul.conf says enabled = no");
    connection.apply(server.settings(&[]));
    assert_eq!(client.request("GET", "/v1/kv/a", None).unwrap().status, 200);
    connection.apply(server.settings(&[("enabled", "no")]));
    // The modules that are reloaded later deregister what is theirs.
    assert_eq!(client.request("GET", "/v1/kv/a", None).unwrap().status, 200);
    assert!(client.join_within(LONG), "there is no thread for nothing");
    assert!(client.request("GET", "/v1/kv/a", None).is_err());
    connection.apply(server.settings(&[]));
    assert_eq!(client.request("GET", "/v1/kv/a", None).unwrap().status, 200);
}

#[test]
fn other_settings_have_a_request_made_again_and_the_same_disturb_nothing() {
    let old = Server::start(|_, _| Say::Hang);
    let new = Server::start(|_, _| ok(1, "new"));
    let (connection, _) = connection(old.settings(&[("request_timeout", "5m")]));
    let client = Arc::new(Client::new(&connection, "test"));
    let request = begin(&client, "/v1/kv/a");
    until(|| old.seen().len() == 1);
    connection.apply(old.settings(&[("request_timeout", "5m")]));
    assert!(!request.is_finished());
    connection.apply(new.settings(&[]));
    assert_eq!(request.join().unwrap().unwrap().body, b"new");
    assert_eq!((old.seen().len(), new.seen().len()), (1, 1));
}

#[test]
fn the_end_of_the_module_ends_its_requests_and_can_be_taken_back() {
    let server = Server::start(|number, _| if number == 0 { Say::Hang } else { ok(1, "") });
    let (connection, _) = connection(server.settings(&[("request_timeout", "5m")]));
    let client = Arc::new(Client::shared(&connection));
    let request = begin(&client, "/v1/kv/a");
    until(|| server.seen().len() == 1);
    connection.set_ending(true);
    assert!(client.join_within(Duration::from_secs(1)));
    assert!(request.join().unwrap().unwrap_err().contains("unloaded"));
    assert!(client.request("GET", "/v1/kv/a", None).unwrap_err().contains("unloaded"));
    connection.set_ending(false);
    assert_eq!(client.request("GET", "/v1/kv/a", None).unwrap().status, 200);
}

#[test]
fn a_token_that_was_renewed_in_its_file_is_used_at_once() {
    let path = std::env::temp_dir().join(format!("res_consul-renewed-{}", std::process::id()));
    std::fs::write(&path, "old").unwrap();
    let server = Server::start(|_, text| match text.contains("x-consul-token: new\r\n") {
        true => ok(1, ""),
        false => answer(403, "", "ACL not found"),
    });
    let (connection, host) = connection(server.settings(&[("token_file", path.to_str().unwrap())]));
    let client = Client::new(&connection, "test");
    std::fs::write(&path, "new").unwrap();
    assert_eq!(client.request("GET", "/v1/kv/a", None).unwrap().status, 200);
    assert_eq!(connection.report().counters.refusals, 0);
    std::fs::remove_file(&path).unwrap();
    assert!(!format!("{:?}", host.lines()).contains("old"));
}

#[test]
fn a_server_that_says_our_token_back_does_not_have_it_told() {
    let server = Server::start(|_, text| match text.starts_with("GET /v1/kv/a") {
        true => answer(403, "", "no rights for hunter2"),
        false => ok(1, "hunter2"),
    });
    let (connection, host) = connection(server.settings(&[("token", "hunter2")]));
    let client = Client::new(&connection, "test");
    let refused = client.request("GET", "/v1/kv/a", None).unwrap();
    assert_eq!((refused.status, refused.body.as_slice()), (403, &b"no rights for ***"[..]));
    // A value is a value.
    assert_eq!(client.request("GET", "/v1/kv/b", None).unwrap().body, b"hunter2");
    let lines = format!("{:?} {:?}", host.lines(), connection.report());
    assert!(lines.contains("no rights for ***") && !lines.contains("hunter2"), "{lines}");
}

#[test]
fn an_answer_without_end_is_an_error_of_that_request() {
    let server = Server::start(|number, _| match number {
        0 => Say::Endless(b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'x'; 1 << 20]),
        _ => ok(1, "[]"),
    });
    let (connection, _) = connection(settings(&[("port", &server.port().to_string())]));
    let client = Client::new(&connection, "test");
    let fault = client.request("GET", "/v1/kv/a", None).unwrap_err();
    assert_eq!(fault, "GET /v1/kv/a: Consul's answer cannot be used: it is longer than 8m");
    assert_eq!(client.request("GET", "/v1/kv/a", None).unwrap().status, 200);
}
