// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Requests made at random, as bytes, before a gateway whose node is a pretended one that keeps what
//! comes to it: nothing makes a 500, and nothing but ARI's own operations reaches the node.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;

use rig::gateway::TOKEN;
use rig::{Answer, Consul, Gateway, Pretender, Request, eventually, seconds};
use serde_json::json;

use crate::gateway_access::operations;
use crate::gateway_fleet::scenarios;

scenarios!(
    requests_at_random_make_no_fault_and_reach_no_node,
    who_does_not_read_an_answer_holds_no_node,
);

/// Many: of what is not whole, each waits until the gateway has waited long enough.
const CLIENTS: u64 = 16;
const REQUESTS: u64 = 200;

/// A sequence that a seed decides: what fails can be made again.
struct Random(u64);

impl Random {
    fn number(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        // The high half is the better one.
        usize::try_from(self.0 >> 33).expect("31 bits") % below
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.number(count) == 0
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.number(all.len())]
    }

    /// Some pieces in a row, of which most are tame.
    fn word(&mut self) -> String {
        const PIECES: [&str; 30] = [
            "a", "1732.5", "b", "x", "é", "%C3%A9", "%2F", "..", "%2e%2e", "%252e", "/", "\\",
            "%00", "%0d%0a", "\0", "%ff", "%", "%zz", "?", "#", "&", "=", "+", "%20", " ", "\"",
            ";", ":", "@", "\u{7f}",
        ];
        let count = if self.one_in(10) { 0 } else { 1 + self.number(3) };
        (0..count).map(|_| if self.one_in(8) { self.of(&PIECES) } else { "a" }).collect()
    }

    /// One of ARI's paths, or nearly, or none.
    fn path(&mut self, paths: &[String]) -> String {
        let template = &paths[self.number(paths.len())];
        let mut parts: Vec<String> = template.split('/').map(str::to_owned).collect();
        for part in &mut parts {
            if part.starts_with('{') || self.one_in(12) {
                *part = self.word();
            }
        }
        let beginning = if self.one_in(15) { self.word() } else { "/ari".to_owned() };
        beginning + &parts.join("/")
    }

    fn pairs(&mut self) -> String {
        const NAMES: [&str; 12] = [
            "channelId",
            "bridgeId",
            "name",
            "app",
            "endpoint",
            "media",
            "channel",
            "eventSource",
            "asteriskId",
            "api_key",
            "variable",
            "value",
        ];
        let pairs: Vec<String> = (0..self.number(4))
            .map(|_| {
                let name = if self.one_in(6) { self.word() } else { self.of(&NAMES).to_owned() };
                format!("{name}={}", self.word())
            })
            .collect();
        pairs.join("&")
    }

    fn header(&mut self) -> String {
        const NAMES: [&str; 12] = [
            "X-Asterisk-ID",
            "Host",
            "Connection",
            "Upgrade",
            "Expect",
            "Transfer-Encoding",
            "Content-Length",
            "Authorization",
            "Content-Type",
            "Cookie",
            "X Y",
            "Range",
        ];
        const VALUES: [&str; 12] = [
            "",
            "a",
            "pretended",
            "close",
            "websocket",
            "100-continue",
            "chunked",
            "5",
            "-1",
            "application/json",
            "identity, chunked",
            "99999999999999999999",
        ];
        let value = if self.one_in(3) { self.word() } else { self.of(&VALUES).to_owned() };
        format!("{}: {value}\r\n", self.of(&NAMES))
    }

    /// A body with the headers that tell of it, be they true or not.
    fn body(&mut self) -> String {
        let kind =
            self.of(&["application/json", "application/x-www-form-urlencoded", "text/plain"]);
        let mut body = match self.number(5) {
            0 => String::new(),
            1 => format!("{{\"name\": \"{}\"}}", self.word()),
            2 => "[".repeat(self.number(3000)),
            3 => "x".repeat(self.number(6000)),
            _ => self.pairs(),
        };
        let length = match self.number(8) {
            0 => "Transfer-Encoding: chunked\r\n".to_owned(),
            1 => format!("Content-Length: {}\r\n", body.len() + self.number(5)),
            _ => format!("Content-Length: {}\r\n", body.len()),
        };
        if length.starts_with('T') {
            body = match self.number(4) {
                0 => format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()),
                1 => format!("{:x}\r\n{body}", body.len() + 1),
                2 => format!("zz\r\n{body}\r\n0\r\n\r\n"),
                _ => format!("ffffffffffffffff\r\n{body}"),
            };
        }
        format!("Content-Type: {kind}\r\n{length}\r\n{body}")
    }

    fn request(&mut self, paths: &[String]) -> String {
        let method = match self.one_in(12) {
            true => self.of(&["BREW", "", "get", "GET ", "CONNECT", "TRACE", "HEAD", "OPTIONS"]),
            false => self.of(&["GET", "POST", "PUT", "DELETE"]),
        };
        let (path, query) = (self.path(paths), self.pairs());
        let version = if self.one_in(20) { self.word() } else { "HTTP/1.1".to_owned() };
        let login = format!("Host: x\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\n");
        let login = if self.one_in(20) { String::new() } else { login };
        let headers: String =
            (0..self.number(6).saturating_sub(3)).map(|_| self.header()).collect();
        format!("{method} {path}?{query} {version}\r\n{login}{headers}{}", self.body())
    }
}

/// The statuses of what a server answers to these bytes, until it closes.
fn statuses(port: u16, request: &str) -> Vec<u16> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    stream.set_read_timeout(Some(seconds(20))).expect("a timeout");
    // It may close before it has read all.
    let _ = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer);
    let heads = text.split("HTTP/1.1 ").skip(1);
    heads.filter_map(|head| head.get(..3)?.parse().ok()).collect()
}

/// The answers of a node that has nothing, and says so.
pub(crate) fn nothing(request: &Request) -> Answer {
    match request.path() {
        "/ari/asterisk/info" => Answer::json(&json!({
            "system": {"entity_id": "pretended", "version": "22.10.1"},
            "status": {"startup_time": "2026-01-01T00:00:00.000+0000"},
        })),
        path if path.matches('/').count() == 2 => Answer::json(&json!([])),
        _ => Answer::json(&json!({"message": "none"})).with_status(404),
    }
}

/// A gateway for this node alone, with these lines in its configuration.
pub(crate) fn gateway_of(node: &Pretender, consul: &Consul, lines: &[(&str, &str)]) -> Gateway {
    let service = json!({
        "ID": "pretended", "Name": "asterisk", "Address": "127.0.0.1", "Port": 5060,
        "Meta": {"eid": "pretended", "ari_port": node.port().to_string()},
    });
    consul.request("PUT", "/v1/agent/service/register", Some(&service)).ok();
    let gateway = Gateway::start(consul.port(), lines);
    eventually("the node", seconds(20), || {
        let nodes = gateway.metric("gateway_nodes{kind=\"passing\"}");
        if nodes == 1.0 { Ok(()) } else { Err(nodes) }
    });
    gateway
}

/// Why this is nothing that a node should get.
fn fault(request: &Request, operations: &[(String, String)]) -> Option<&'static str> {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:@;,%/".contains(&byte);
    if !path.bytes().all(is_plain)
        || !query.bytes().all(|byte| is_plain(byte) || b"&=".contains(&byte))
    {
        return Some("not encoded");
    }
    let lower = path.to_lowercase();
    if path.split('/').skip(1).any(|part| part.is_empty() || part == "." || part == "..")
        || ["%00", "%0a", "%0d", "..%2f", "%2f.."].iter().any(|wrong| lower.contains(wrong))
    {
        return Some("leads elsewhere");
    }
    if query.contains("api_key") || format!("{:?}", request.headers).contains(TOKEN) {
        return Some("a client's credentials");
    }
    let fits = |(method, template): &(String, String)| {
        let wanted: Vec<&str> = template.split('/').collect();
        let parts: Vec<&str> = path.trim_start_matches("/ari").split('/').collect();
        let mut both = wanted.iter().zip(&parts);
        *method == request.method
            && wanted.len() == parts.len()
            && both.all(|(wanted, part)| wanted.starts_with('{') || wanted == part)
    };
    (!operations.iter().any(fits)).then_some("no operation of ARI")
}

fn requests_at_random_make_no_fault_and_reach_no_node() {
    let (consul, node) = (Consul::start(), Pretender::start(nothing));
    let limits = "body_bytes = 4096\nheader_bytes = 8192\nbody = \"1s\"\nidle = \"1s\"";
    let gateway = gateway_of(&node, &consul, &[("limits", limits)]);
    let operations = operations();
    let paths: Vec<String> = operations.iter().map(|(_, path)| path.clone()).collect();
    let begun = node.requests().len();
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (paths, port) = (&paths, gateway.port());
            scope.spawn(move || {
                for number in 1..=REQUESTS {
                    let seed = (client << 32 | number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                    let request = Random(seed).request(paths);
                    for status in statuses(port, &request) {
                        // 501: events without a broker. 503: a pretended node can be busy.
                        let is_fine = status < 500 || matches!(status, 501 | 503);
                        assert!(is_fine, "seed {seed:#x}: {status} to {request:?}");
                    }
                }
            });
        }
    });
    let came = node.requests().split_off(begun);
    for request in &came {
        let fault = fault(request, &operations);
        assert_eq!(fault, None, "{} {:?}", request.method, request.target);
    }
    // Not all was nonsense.
    assert!(came.len() > 100, "{}", came.len());
    eprintln!("{} of {} requests at random reached the node", came.len(), CLIENTS * REQUESTS);
    gateway.assert_alive();
    assert_eq!(gateway.ari().get("/channels").ok(), json!([]));
}

fn who_does_not_read_an_answer_holds_no_node() {
    const ALL: u64 = 1 << 30;
    let node = Pretender::start(|request: &Request| match request.path() {
        "/ari/recordings/stored/long" => Answer::json(&json!({"name": "long"})),
        "/ari/recordings/stored/long/file" => Answer::huge(ALL),
        "/ari/asterisk/ping" => Answer::json(&json!({})),
        _ => nothing(request),
    });
    let consul = Consul::start();
    let lines =
        [("limits", "idle = \"1s\""), ("nodes", "connections = 1\nqueue_timeout = \"100ms\"")];
    let gateway = gateway_of(&node, &consul, &lines);
    let mut client = TcpStream::connect(("127.0.0.1", gateway.port())).expect("a connection");
    client.set_read_timeout(Some(seconds(20))).expect("a timeout");
    let file = "GET /ari/recordings/stored/long/file HTTP/1.1\r\nHost: x";
    let request = format!("{file}\r\nAuthorization: Bearer {TOKEN}\r\n\r\n");
    client.write_all(request.as_bytes()).expect("a request");
    let mut begin = [0; 12];
    client.read_exact(&mut begin).expect("the beginning of an answer");
    assert_eq!(&begin, b"HTTP/1.1 200");
    eventually("the node's only connection to be free", seconds(20), || {
        match gateway.ari().get("/asterisk/ping").status {
            200 => Ok(()),
            other => Err(other),
        }
    });
    // It was cut, which can be told by a reset.
    let mut rest = Vec::new();
    let _ = client.read_to_end(&mut rest);
    assert!((rest.len() as u64) < ALL, "all of it");
    gateway.assert_alive();
}
