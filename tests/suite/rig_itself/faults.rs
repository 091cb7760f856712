// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What stands between a module and its server, or in the server's place.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rig::{Answer, BlackHole, Network, Pretender, Proxy, Towards, eventually, seconds};
use serde_json::json;

/// Long enough for what must not come.
const NOTHING: Duration = Duration::from_millis(200);

/// A connection that asks as a module would.
struct Client(TcpStream);

impl Client {
    #[track_caller]
    fn to(port: u16) -> Self {
        Self(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("a listener"))
    }

    #[track_caller]
    fn send(&mut self, path: &str) {
        let request = format!("PUT {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{{}}");
        self.0.write_all(request.as_bytes()).expect("a connection");
    }

    /// What comes within a time, or until the end.
    fn receive(&mut self, within: Duration) -> Result<String, ErrorKind> {
        let mut bytes = vec![0; 4096];
        self.0.set_read_timeout(Some(within)).expect("no zero");
        let length = self.0.read(&mut bytes).map_err(|error| error.kind())?;
        Ok(String::from_utf8_lossy(&bytes[..length]).into_owned())
    }

    #[track_caller]
    fn assert_answered(&mut self) {
        let answer = self.receive(seconds(10)).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }

    #[track_caller]
    fn assert_unanswered(&mut self) {
        assert_eq!(self.receive(NOTHING), Err(ErrorKind::WouldBlock));
    }
}

fn good() -> Pretender {
    Pretender::start(|_| Answer::status(200))
}

#[test]
fn a_proxy_counts_connections_and_the_requests_on_each() {
    let server = good();
    let proxy = Proxy::to(server.port());
    let mut client = Client::to(proxy.port());
    client.send("/v1/kv/a");
    client.assert_answered();
    client.send("/v1/agent/self");
    client.assert_answered();
    let mut another = Client::to(proxy.port());
    another.send("/v1/kv/b?wait=1s");
    another.assert_answered();

    assert_eq!((proxy.connections(), proxy.requests()), (2, 3));
    assert_eq!((proxy.requests_to("/v1/kv/"), proxy.requests_to("GET /v1/kv/")), (2, 0));
    assert_eq!(proxy.seen()[2].query("wait").as_deref(), Some("1s"));
    assert_eq!(proxy.open_connections(), 2);
    drop(another);
    eventually("one to be left", seconds(10), || match proxy.open_connections() {
        1 => Ok(()),
        count => Err(count),
    });
}

#[test]
fn a_proxy_refuses_cuts_and_passes_again() {
    let server = good();
    let proxy = Proxy::to(server.port());
    let mut client = Client::to(proxy.port());
    client.send("/1");
    client.assert_answered();

    proxy.refuse();
    let refused = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port()));
    assert_eq!(refused.map_err(|error| error.kind()).err(), Some(ErrorKind::ConnectionRefused));
    client.send("/2");
    client.assert_answered();

    proxy.cut();
    assert_eq!(client.receive(seconds(10)), Err(ErrorKind::ConnectionReset));
    proxy.pass();
    let mut client = Client::to(proxy.port());
    client.send("/3");
    client.assert_answered();
    proxy.cut();
    let mut client = Client::to(proxy.port());
    client.send("/4");
    client.assert_answered();
    assert_eq!((proxy.connections(), proxy.requests()), (3, 4));
}

#[test]
fn a_proxy_swallows_answers() {
    let server = good();
    let proxy = Proxy::to(server.port());
    let mut client = Client::to(proxy.port());
    client.send("/1");
    client.assert_answered();

    proxy.swallow();
    client.send("/2");
    client.assert_unanswered();
    assert_eq!((server.requests_to("PUT /2"), proxy.requests()), (1, 2));
    proxy.pass();
    assert_eq!(client.receive(seconds(10)), Err(ErrorKind::ConnectionReset));
}

#[test]
fn a_proxy_that_is_a_black_hole_lets_go_what_it_held() {
    let server = good();
    let proxy = Proxy::to(server.port());
    let mut old = Client::to(proxy.port());
    old.send("/1");
    old.assert_answered();

    proxy.black_hole();
    let mut new = Client::to(proxy.port());
    for client in [&mut old, &mut new] {
        client.send("/held");
        client.assert_unanswered();
    }
    assert_eq!((server.requests_to("/held"), proxy.requests()), (0, 1));
    proxy.pass();
    old.assert_answered();
    new.assert_answered();
}

#[test]
fn a_proxy_throttles_and_slices() {
    let server = good();
    let proxy = Proxy::to(server.port());
    let mut client = Client::to(proxy.port());
    proxy.be(Network::good().slice(1));
    client.send("/1");
    // In as many pieces as the reader finds.
    let answer = client.receive(seconds(10)).expect("an answer");
    assert!("HTTP/1.1 200 ".starts_with(&answer) || answer.starts_with("HTTP/1.1 "), "{answer}");
    drop(client);

    proxy.be(Network::good().throttle(200));
    let began = Instant::now();
    Client::to(proxy.port()).send("/2");
    eventually("the request", seconds(10), || match server.requests_to("PUT /2") {
        1 => Ok(()),
        count => Err(count),
    });
    // Some fifty bytes.
    assert!(began.elapsed() > NOTHING, "after {:?}", began.elapsed());
}

#[test]
fn a_proxy_cuts_one_direction() {
    let server = good();
    let proxy = Proxy::to(server.port());
    let mut client = Client::to(proxy.port());
    proxy.be(Network::good().cut(Towards::Client));
    client.send("/1");
    client.assert_unanswered();
    assert_eq!(server.requests_to("PUT /1"), 1);
    proxy.pass();
    client.assert_answered();

    proxy.be(Network::good().cut(Towards::Server));
    client.send("/2");
    client.assert_unanswered();
    assert_eq!(server.requests_to("PUT /2"), 0);
    proxy.pass();
    client.assert_answered();
}

#[test]
fn a_proxy_half_closes_corrupts_and_forges() {
    let server = good();
    let proxy = Proxy::to(server.port());
    let mut client = Client::to(proxy.port());
    proxy.corrupt(Towards::Client);
    client.send("/1");
    // Its first byte is none of UTF-8.
    let answer = client.receive(seconds(10)).expect("an answer");
    assert!(answer.starts_with('\u{fffd}') && answer.contains("TTP/1.1 200"), "{answer}");

    proxy.forge(Towards::Client, b"not of the server");
    assert_eq!(client.receive(seconds(10)).as_deref(), Ok("not of the server"));
    proxy.half_close(Towards::Client);
    assert_eq!(client.receive(seconds(10)).as_deref(), Ok(""));
    client.send("/2");
    eventually("the request", seconds(10), || match server.requests_to("PUT /2") {
        1 => Ok(()),
        count => Err(count),
    });
}

#[test]
fn a_proxy_resets_after_bytes_and_every_time() {
    let server = good();
    let proxy = Proxy::to(server.port());
    let mut client = Client::to(proxy.port());
    proxy.reset_after(20);
    client.send("/1");
    assert_eq!(client.receive(seconds(10)), Err(ErrorKind::ConnectionReset));
    assert_eq!((proxy.passed(), proxy.resets_after(), server.requests_to("PUT /1")), (20, 1, 0));
    let mut client = Client::to(proxy.port());
    client.send("/2");
    client.assert_answered();

    proxy.be(Network::good().reset_every(NOTHING));
    for _ in 0..3 {
        let mut client = Client::to(proxy.port());
        assert_eq!(client.receive(seconds(10)), Err(ErrorKind::ConnectionReset));
    }
    proxy.pass();
    let mut client = Client::to(proxy.port());
    client.send("/3");
    client.assert_answered();
}

#[test]
fn a_proxy_delays() {
    let server = good();
    let proxy = Proxy::to(server.port());
    proxy.delay(NOTHING);
    let mut client = Client::to(proxy.port());
    let began = Instant::now();
    client.send("/1");
    client.assert_answered();
    // There and back.
    assert!(began.elapsed() >= NOTHING * 2, "{:?}", began.elapsed());
}

#[test]
fn a_proxy_carries_more_than_it_holds() {
    let server = Pretender::start(|_| Answer::huge(20_000_000).until_close());
    let proxy = Proxy::to(server.port());
    let mut client = Client::to(proxy.port());
    client.send("/1");
    let mut answer = Vec::new();
    client.0.read_to_end(&mut answer).expect("all of it");
    assert!(answer.len() > 20_000_000, "{}", answer.len());
}

#[test]
fn a_connect_to_a_black_hole_hangs() {
    let hole = BlackHole::new();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, hole.port()));
    let connect = TcpStream::connect_timeout(&address, NOTHING * 2);
    assert_eq!(connect.map_err(|error| error.kind()).err(), Some(ErrorKind::TimedOut));
}

/// A client as ours are, which does not wait for ever.
fn asking() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(seconds(5)))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .build()
        .into()
}

#[test]
fn a_pretender_answers_in_every_shape_of_http() {
    let body = json!({"a": [1, 2, 3]}).to_string();
    let pretended = body.clone();
    let server = Pretender::start(move |request| {
        let answer = Answer::consul(7, &json!(null)).body(pretended.clone());
        match request.path() {
            "/whole" => answer.with_status(429),
            "/chunked" => answer.chunked(),
            "/until-close" => answer.until_close(),
            "/dripping" => answer.dripping(Duration::from_micros(100)),
            "/elsewhere" => Answer::redirect("/whole"),
            _ => Answer::status(404),
        }
    });
    let agent = asking();
    let get = |path: &str| {
        let url = format!("http://127.0.0.1:{}{path}", server.port());
        let mut answer = agent.get(url).call().unwrap_or_else(|error| panic!("{path}: {error}"));
        let text = answer.body_mut().read_to_string().unwrap_or_else(|e| panic!("{path}: {e}"));
        (answer.status().as_u16(), text, answer)
    };
    for (path, status) in
        [("/whole", 429), ("/chunked", 200), ("/until-close", 200), ("/dripping", 200)]
    {
        let (got, text, answer) = get(path);
        assert_eq!((got, text.as_str()), (status, body.as_str()), "{path}");
        assert_eq!(answer.headers()["X-Consul-Index"], "7", "{path}");
    }
    assert_eq!(get("/elsewhere").2.headers()["Location"], "/whole");
    assert_eq!(get("/?x=1").0, 404);

    let requests = server.requests();
    assert_eq!(requests.len(), 6);
    assert_eq!((requests[5].method.as_str(), requests[5].target.as_str()), ("GET", "/?x=1"));
    // The one that ends with the connection takes it along.
    assert_eq!(server.connections(), 2);
}

#[test]
fn a_pretender_can_be_hostile() {
    let server = Pretender::start(|request| match request.path() {
        "/garbage" => Answer::garbage("\0\u{1}not HTTP\r\n\r\n"),
        "/endless-head" => Answer::endless_head(),
        "/close" => Answer::close(),
        "/cut" => Answer::json(&json!("all of it")).cut_after(3),
        "/huge" => Answer::huge(u64::MAX),
        _ => Answer::never(),
    });
    let agent = asking();
    for path in ["/garbage", "/endless-head", "/close", "/cut", "/huge"] {
        let url = format!("http://127.0.0.1:{}{path}", server.port());
        let read = agent.get(url).call().and_then(|mut answer| answer.body_mut().read_to_string());
        assert!(read.is_err(), "{path}: {read:?}");
    }
    assert!(server.bytes_sent() > 10_000_000, "{} of /huge", server.bytes_sent());

    let mut client = Client::to(server.port());
    client.send("/never");
    client.assert_unanswered();
    assert_eq!(server.requests_to("/never"), 1);
    // With a client that waits for it.
    drop(server);
    assert_eq!(client.receive(seconds(10)), Ok(String::new()));
}

#[test]
fn a_pretender_answers_later_what_the_test_decides() {
    let changed = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&changed);
    let server = Pretender::start(move |_| {
        let seen = Arc::clone(&seen);
        Answer::later(move || seen.load(Ordering::SeqCst).then(|| Answer::consul(8, &json!([]))))
    });
    let mut client = Client::to(server.port());
    client.send("/v1/kv/?index=7");
    client.assert_unanswered();
    changed.store(true, Ordering::SeqCst);
    client.assert_answered();
}
