// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Requests to servers that answer well, badly or not at all, and their interruption.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use asterisk::secret::Secret;
use socket2::{Domain, Socket, Type};

use super::*;
use crate::config::Settings;
use crate::tests::{LONG, Say, Server, TestHost, answer, ok, settings, until};

const LIMIT: usize = 100_000;

struct Scene {
    setup: Arc<Setup>,
    cutter: Arc<Cutter>,
    wire: Arc<Wire>,
}

impl Scene {
    fn new(settings: Settings) -> Self {
        let setup = Arc::new(Setup::new(settings));
        let resolver = Arc::new(Resolver::new(Arc::new(TestHost::default())));
        let cutter: Arc<Cutter> = Arc::default();
        let wire = Wire::new(&setup, &resolver, &cutter, cutter.turn().unwrap());
        Self { setup, cutter, wire: Arc::new(wire) }
    }

    fn to(server: &Server) -> Self {
        Self::new(server.settings(&[]))
    }

    fn get(&self) -> Result<Reply, Fault> {
        self.wire.send(&get(), self.setup.token().as_ref())
    }

    /// Makes a request on another thread.
    fn begin(&self, request: Request) -> JoinHandle<Result<Reply, Fault>> {
        let wire = Arc::clone(&self.wire);
        std::thread::spawn(move || wire.send(&request, None))
    }

    /// Cuts a request that goes on, and sees that it has ended a moment later.
    #[track_caller]
    fn cut(&self, request: JoinHandle<Result<Reply, Fault>>) {
        assert!(!request.is_finished());
        let began = Instant::now();
        self.cutter.cut();
        let result = request.join().unwrap();
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
        assert!(result.is_err(), "{result:?}");
    }
}

fn request(method: Method, path: &str, body: Option<&[u8]>) -> Request {
    let body = body.map(<[u8]>::to_vec);
    Request { method, path: path.to_owned(), body, wait: Duration::ZERO, limit: LIMIT }
}

fn get() -> Request {
    request(Method::Get, "/v1/kv/a?recurse", None)
}

#[test]
fn requests_say_what_consul_wants_and_share_a_connection() {
    let server = Server::start(|_, _| ok(u64::MAX, "[]"));
    let lines = [("datacenter", "dc 1"), ("token", "hunter2")];
    let scene = Scene::new(server.settings(&lines));
    let reply = scene.get().unwrap();
    assert_eq!((reply.status, reply.body.as_slice()), (200, &b"[]"[..]));
    assert_eq!(reply.index.unwrap(), "18446744073709551615");
    let token = scene.setup.token();
    for (method, path, body) in [
        (Method::Put, "/v1/agent/service/register", Some(&b"{}"[..])),
        (Method::Put, "/v1/kv/a", None),
        (Method::Delete, "/v1/kv/a", None),
        (Method::Post, "/v1/x", Some(b"\xff")),
    ] {
        scene.wire.send(&request(method, path, body), token.as_ref()).unwrap();
    }
    assert_eq!(
        server.asked(),
        [
            "GET /v1/kv/a?recurse&dc=dc%201",
            "PUT /v1/agent/service/register",
            "PUT /v1/kv/a?dc=dc%201",
            "DELETE /v1/kv/a?dc=dc%201",
            "POST /v1/x?dc=dc%201",
        ]
    );
    let seen = server.seen();
    assert!(seen.iter().all(|text| text.to_lowercase().contains("x-consul-token: hunter2\r\n")));
    assert!(seen[1].ends_with("\r\n\r\n{}"), "{}", seen[1]);
    assert!(seen[2].to_lowercase().contains("content-length: 0\r\n"), "{}", seen[2]);
    assert_eq!(server.connections(), 1);
}

#[test]
fn any_status_is_an_answer_and_a_redirect_is_not_followed() {
    let server = Server::start(|number, _| match number {
        0 => answer(404, "X-Consul-Index: 7\r\n", ""),
        1 => answer(500, "", "No cluster leader"),
        2 => answer(301, "Location: /v1/other\r\n", "moved"),
        _ => Say::Last(b"HTTP/1.0 200 OK\r\n\r\nuntil the end".to_vec()),
    });
    let scene = Scene::to(&server);
    let replies: Vec<_> = (0..4).map(|_| scene.get().unwrap()).collect();
    let statuses: Vec<_> = replies.iter().map(|reply| reply.status).collect();
    assert_eq!(statuses, [404, 500, 301, 200]);
    assert_eq!(replies[0].index.as_deref(), Some("7"));
    assert_eq!(replies[1].body, b"No cluster leader");
    assert_eq!(replies[3].body, b"until the end");
    assert_eq!(server.seen().len(), 4);
}

#[test]
fn a_connection_that_was_closed_meanwhile_is_made_again() {
    let server = Server::start(|number, _| match number {
        0 => Say::Last(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na".to_vec()),
        _ => ok(1, "b"),
    });
    let scene = Scene::to(&server);
    assert_eq!(scene.get().unwrap().body, b"a");
    // The end of the connection is on its way; what is asked before it has come may be lost.
    until(|| scene.get().is_ok_and(|reply| reply.body == b"b"));
    assert_eq!(server.connections(), 2);
}

#[test]
fn hostile_answers_are_errors_that_say_what_is_wrong() {
    let head = |rest: &str| format!("HTTP/1.1 200 OK\r\n{rest}\r\n").into_bytes();
    let much = vec![b'x'; LIMIT + 1];
    let chunked = |size: usize| {
        let mut text = String::new();
        write!(text, "{size:x}\r\n{}\r\n", "x".repeat(size)).unwrap();
        text.into_bytes()
    };
    type Case = (&'static str, Box<dyn Fn() -> Say + Send>, fn(&Fault) -> bool, &'static str);
    let unusable: fn(&Fault) -> bool = |fault| matches!(fault, Fault::Unusable(_));
    let unreachable: fn(&Fault) -> bool = |fault| matches!(fault, Fault::Unreachable(_));
    let length = head(&format!("Content-Length: {}\r\n", LIMIT + 1));
    let announced = head("Content-Length: 18446744073709551615\r\n");
    let transfer = head("Transfer-Encoding: chunked\r\n");
    let ended = [transfer.clone(), b"5\r\nab".to_vec()].concat();
    let odd = [transfer.clone(), b"zz\r\nab\r\n0\r\n\r\n".to_vec()].concat();
    let piece = chunked(5000);
    let line =
        b"X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n".to_vec();
    let nothing = head("");
    let cases: Vec<Case> = vec![
        (
            "garbage",
            Box::new(|| Say::Last(b"\0\xff not HTTP at all\r\n\r\n".to_vec())),
            unusable,
            "not HTTP",
        ),
        ("closes", Box::new(|| Say::Last(vec![])), unreachable, "closed before"),
        (
            "half a head",
            Box::new(|| Say::Last(b"HTTP/1.1 200 OK\r\nX:".to_vec())),
            unreachable,
            "closed before",
        ),
        (
            "endless head",
            Box::new(move || Say::Endless(b"HTTP/1.1 200 OK\r\n".to_vec(), line.clone())),
            unusable,
            "",
        ),
        (
            "too long",
            Box::new(move || Say::Last([length.clone(), much.clone()].concat())),
            unusable,
            "longer than",
        ),
        (
            "endless chunks",
            Box::new(move || Say::Endless(transfer.clone(), piece.clone())),
            unusable,
            "longer than",
        ),
        (
            "endless",
            Box::new(move || Say::Endless(nothing.clone(), vec![b'x'; 5000])),
            unusable,
            "longer than",
        ),
        (
            "announced",
            Box::new(move || Say::Last([announced.clone(), b"ab".to_vec()].concat())),
            unreachable,
            "closed before",
        ),
        ("half a chunk", Box::new(move || Say::Last(ended.clone())), unreachable, "closed before"),
        ("odd chunk", Box::new(move || Say::Last(odd.clone())), unusable, "not HTTP"),
    ];
    for (name, say, is_right, words) in cases {
        let server = Server::start(move |_, _| say());
        let fault = Scene::to(&server).get().unwrap_err();
        assert!(is_right(&fault) && fault.to_string().contains(words), "{name}: {fault:?}");
    }
}

#[test]
fn slow_drips_end_with_the_deadline_of_the_whole() {
    let each = Duration::from_millis(50);
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n".to_vec();
    for (first, rest, words) in [
        (head.clone(), vec![b'x'; 1000], "not complete in time"),
        (b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'x'; 1000], "no answer in time"),
    ] {
        let server = Server::start(move |_, _| Say::Drip(first.clone(), rest.clone(), each));
        let scene = Scene::new(settings(&[
            ("port", &server.port().to_string()),
            ("request_timeout", "300ms"),
        ]));
        let began = Instant::now();
        let fault = scene.get().unwrap_err();
        assert!(fault.to_string().contains(words), "{fault}");
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }
}

#[test]
fn a_blocking_query_has_its_time_and_another_request_has_not() {
    let server = Server::start(|_, _| {
        Say::Drip(
            vec![],
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec(),
            Duration::from_millis(20),
        )
    });
    let scene =
        Scene::new(settings(&[("port", &server.port().to_string()), ("request_timeout", "200ms")]));
    assert!(scene.get().is_err());
    let patient = Request { wait: LONG, ..get() };
    assert_eq!(scene.wire.send(&patient, None).unwrap().status, 200);
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let scene = Scene::new(settings(&[("port", &port.to_string())]));
    let fault = scene.get().unwrap_err();
    let text = format!("Consul does not answer: 127.0.0.1:{port}: Connection refused");
    assert!(fault.to_string().starts_with(&text), "{fault}");
}

#[test]
fn a_token_is_in_no_error() {
    let secret = Secret::new("hun\nter2");
    let server = Server::start(|_, _| Say::Hang);
    let fault = Scene::to(&server).wire.send(&get(), Some(&secret)).unwrap_err();
    assert!(matches!(&fault, Fault::Invalid(text) if !text.contains("ter2")), "{fault:?}");
}

/// A listener whose queue is full, so that a connect to it gets no answer.
fn deaf() -> (Socket, u16, Vec<Socket>) {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    listener.bind(&any.into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let port = address.as_socket().unwrap().port();
    let mut waiting = Vec::new();
    loop {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let connected = socket.connect_timeout(&address, Duration::from_millis(200));
        waiting.push(socket);
        if connected.is_err() {
            return (listener, port, waiting);
        }
        assert!(waiting.len() < 10, "the queue does not fill");
    }
}

/// Sockets that wait for an answer of `port`, as the kernel lists them (state SYN_SENT).
fn connecting(port: u16) -> usize {
    let list = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let to = format!(":{port:04X} 02 ");
    list.lines().filter(|line| line.contains(&to)).count()
}

#[test]
fn a_connect_that_gets_no_answer_can_be_cut() {
    let (_listener, port, waiting) = deaf();
    drop(waiting.into_iter().next_back());
    let lines = [("port", &*port.to_string()), ("connect_timeout", "1m")];
    let scene = Scene::new(settings(&lines));
    until(|| connecting(port) == 0);
    let request = scene.begin(get());
    until(|| connecting(port) == 1);
    scene.cut(request);
    // The socket was shut down in that state, and is gone.
    until(|| connecting(port) == 0);
}

#[test]
fn a_connect_that_gets_no_answer_ends_with_its_deadline() {
    let (_listener, port, _waiting) = deaf();
    let lines = [("port", &*port.to_string()), ("connect_timeout", "200ms")];
    let fault = Scene::new(settings(&lines)).get().unwrap_err();
    assert!(fault.to_string().contains("no answer within 200ms"), "{fault}");
}

#[test]
fn what_was_cut_before_it_began_does_not_begin() {
    let server = Server::start(|_, _| ok(1, "[]"));
    let scene = Scene::to(&server);
    scene.cutter.cut();
    assert_eq!(scene.get(), Err(Fault::Interrupted));
    assert_eq!(server.seen().len(), 0);
}

#[test]
fn a_wait_for_an_answer_can_be_cut() {
    let server = Server::start(|_, _| Say::Hang);
    let scene = Scene::new(server.settings(&[]));
    let request = scene.begin(Request { wait: LONG * 10, ..get() });
    until(|| server.seen().len() == 1);
    scene.cut(request);
}

#[test]
fn an_answer_that_is_being_read_can_be_cut() {
    let server = Server::start(|_, _| {
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nx".to_vec();
        Say::Drip(head, vec![b'x'; 999], LONG)
    });
    let lines = [("port", &*server.port().to_string()), ("request_timeout", "5m")];
    let scene = Scene::new(settings(&lines));
    let request = scene.begin(get());
    until(|| server.seen().len() == 1);
    scene.cut(request);
}

#[test]
fn a_request_that_nobody_reads_can_be_cut() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let lines = [("port", &*port.to_string()), ("request_timeout", "5m")];
    let scene = Scene::new(settings(&lines));
    let body = vec![0; 64 << 20];
    let request = scene.begin(request(Method::Put, "/v1/kv/a", Some(&body)));
    let (stream, _) = listener.accept().unwrap();
    // Full is what it is when nothing more comes.
    let pending = || {
        let mut buffer = vec![0; 16 << 20];
        stream.peek(&mut buffer).unwrap()
    };
    let mut before = 0;
    until(|| {
        let now = pending();
        std::thread::sleep(Duration::from_millis(50));
        std::mem::replace(&mut before, now) == now && now > 0
    });
    scene.cut(request);
}

#[test]
fn a_tls_handshake_that_gets_no_answer_can_be_cut_and_has_a_deadline() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port().to_string();
    let lines = [("port", port.as_str()), ("scheme", "https"), ("ca_file", "")];
    let with = |timeout| [&lines[..], &[("connect_timeout", timeout)]].concat();
    let unverified = |timeout| {
        let mut settings = settings(&with(timeout));
        settings.consul.tls.verify = false;
        Scene::new(settings)
    };
    let scene = unverified("1m");
    let request = scene.begin(get());
    let (_stream, _) = server.accept().unwrap();
    scene.cut(request);
    let fault = unverified("200ms").get().unwrap_err();
    assert!(fault.to_string().contains("no TLS handshake within 200ms"), "{fault}");
}

#[test]
fn a_peer_that_speaks_no_tls_is_told_so() {
    let server = Server::start(|_, _| ok(1, "[]"));
    let mut settings = server.settings(&[("scheme", "https")]);
    settings.consul.tls.verify = false;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    settings.consul.port = listener.local_addr().unwrap().port();
    let scene = Scene::new(settings);
    let request = scene.begin(get());
    let (mut stream, _) = listener.accept().unwrap();
    std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    let fault = request.join().unwrap().unwrap_err();
    assert!(fault.to_string().contains("TLS handshake failed"), "{fault}");
}

#[test]
fn a_token_file_is_read_again_but_not_all_the_time() {
    let path = std::env::temp_dir().join(format!("res_consul-token-{}", std::process::id()));
    std::fs::write(&path, "one\n").unwrap();
    let lines = [("token_file", path.to_str().unwrap())];
    let setup = Setup::new(settings(&lines));
    let one = setup.token();
    assert_eq!(one.as_ref().unwrap().reveal(), "one");
    assert!(!setup.renew_token(one.as_ref()));
    std::fs::write(&path, " two \n").unwrap();
    // It was read a moment ago.
    assert!(!setup.renew_token(one.as_ref()));
    until(|| setup.renew_token(one.as_ref()));
    assert_eq!(setup.token().unwrap().reveal(), "two");
    std::fs::remove_file(&path).unwrap();
    let plain = Setup::new(settings(&[("token", "one")]));
    assert!(!plain.renew_token(plain.token().as_ref()));
}
