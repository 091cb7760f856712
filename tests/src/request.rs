// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Requests of HTTP/1.1 as they come over a connection, for servers that look at them.

use serde_json::Value;

/// The longest head that is taken for one.
const HEAD: usize = 1 << 20;

/// A request that has come completely.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// GET, PUT, …
    pub method: String,
    /// The path with its query, as it was sent.
    pub target: String,
    /// Names as they were sent, and values.
    pub headers: Vec<(String, String)>,
    /// The body, without the marks of its chunks.
    pub body: Vec<u8>,
}

impl Request {
    /// The path without the query, as it was sent.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// A parameter of the query, decoded; an empty text when it has no value.
    pub fn query(&self, name: &str) -> Option<String> {
        let (_, query) = self.target.split_once('?')?;
        query.split('&').find_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (key == name).then(|| decoded(value))
        })
    }

    /// A header, by its name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let named = |header: &&(String, String)| header.0.eq_ignore_ascii_case(name);
        self.headers.iter().find(named).map(|(_, value)| value.as_str())
    }

    /// The body as JSON; `Null` when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Whether it begins so: with `/v1/kv/` the path, with `GET /v1/kv/` method and path.
    pub fn begins(&self, beginning: &str) -> bool {
        if beginning.starts_with('/') {
            return self.target.starts_with(beginning);
        }
        format!("{} {}", self.method, self.target).starts_with(beginning)
    }
}

fn decoded(text: &str) -> String {
    let text = text.replace('+', " ");
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend_from_slice(&part.as_bytes()[2..]);
            }
            None => {
                bytes.push(b'%');
                bytes.extend_from_slice(part.as_bytes());
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Finds the requests of one connection in what comes over it, however it is cut into pieces.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    pending: Vec<u8>,
    expected: Expected,
}

/// What comes next.
#[derive(Debug, Default)]
enum Expected {
    /// A request line and headers.
    #[default]
    Head,
    /// So many bytes of the body.
    Body(Request, usize),
    /// The line with the size of the next chunk.
    ChunkSize(Request),
    /// So many bytes of a chunk, and the end of its line.
    Chunk(Request, usize),
    /// Lines until an empty one: what may follow the last chunk.
    Trailer(Request),
    /// What is no HTTP (TLS, say) and is not looked at.
    Opaque,
}

impl Requests {
    /// The requests that are complete with these bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<Request> {
        if matches!(self.expected, Expected::Opaque) {
            return Vec::new();
        }
        self.pending.extend_from_slice(bytes);
        let mut complete = Vec::new();
        while self.step(&mut complete) {}
        complete
    }

    /// Whether what comes is no HTTP.
    pub(crate) fn is_opaque(&self) -> bool {
        matches!(self.expected, Expected::Opaque)
    }

    /// One part of a request; `false` when more bytes are needed for it.
    fn step(&mut self, complete: &mut Vec<Request>) -> bool {
        let (next, went_on) = match std::mem::take(&mut self.expected) {
            Expected::Head => match self.taken_until(b"\r\n\r\n") {
                Some(head) => (begun(&String::from_utf8_lossy(&head)), true),
                None if self.is_no_head() => (Expected::Opaque, false),
                None => (Expected::Head, false),
            },
            Expected::Body(mut request, length) => match self.taken(length) {
                Some(body) => {
                    request.body = body;
                    complete.push(request);
                    (Expected::Head, true)
                }
                None => (Expected::Body(request, length), false),
            },
            Expected::ChunkSize(request) => match self.taken_until(b"\r\n") {
                Some(line) => (chunk(request, &String::from_utf8_lossy(&line)), true),
                None => (Expected::ChunkSize(request), false),
            },
            Expected::Chunk(mut request, length) => match self.taken(length + 2) {
                Some(bytes) => {
                    request.body.extend_from_slice(&bytes[..length]);
                    (Expected::ChunkSize(request), true)
                }
                None => (Expected::Chunk(request, length), false),
            },
            Expected::Trailer(request) => match self.taken_until(b"\r\n") {
                Some(line) if line.is_empty() => {
                    complete.push(request);
                    (Expected::Head, true)
                }
                Some(_) => (Expected::Trailer(request), true),
                None => (Expected::Trailer(request), false),
            },
            Expected::Opaque => (Expected::Opaque, false),
        };
        self.expected = next;
        if self.is_opaque() {
            self.pending.clear();
        }
        went_on
    }

    fn is_no_head(&self) -> bool {
        let is_text = self.pending.first().is_none_or(u8::is_ascii_graphic);
        !is_text || self.pending.starts_with(b"AMQP\0") || self.pending.len() > HEAD
    }

    fn taken(&mut self, length: usize) -> Option<Vec<u8>> {
        (self.pending.len() >= length).then(|| self.pending.drain(..length).collect())
    }

    /// What comes before an end, which is taken too.
    fn taken_until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        let length = self.pending.windows(end.len()).position(|window| window == end)?;
        let taken = self.taken(length);
        self.pending.drain(..end.len());
        taken
    }
}

/// A request by its head.
fn begun(head: &str) -> Expected {
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target), Some(_)) = (words.next(), words.next(), words.next()) else {
        return Expected::Opaque;
    };
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_owned(), value.trim().to_owned()))
    };
    let request = Request {
        method: method.to_owned(),
        target: target.to_owned(),
        headers: lines.filter_map(header).collect(),
        body: Vec::new(),
    };
    if request.header("Transfer-Encoding").is_some_and(|coding| coding.contains("chunked")) {
        return Expected::ChunkSize(request);
    }
    let length = request.header("Content-Length").and_then(|length| length.parse().ok());
    Expected::Body(request, length.unwrap_or_default())
}

fn chunk(request: Request, line: &str) -> Expected {
    let digits = line.split(';').next().unwrap_or_default().trim();
    match usize::from_str_radix(digits, 16) {
        Ok(0) => Expected::Trailer(request),
        Ok(length) => Expected::Chunk(request, length),
        Err(_) => Expected::Opaque,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "PUT /v1/txn?wait=1%20s&stale HTTP/1.1\r\nX-Consul-Token: a\r\n\
                       Content-Length: 5\r\n\r\n[1,2]\
                       POST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\
                       3;x\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: t\r\n\r\n\
                       GET /c HTTP/1.1\r\n\r\n";

    #[test]
    fn requests_are_found_in_pieces_of_any_size() {
        for size in 1..TWO.len() {
            let mut requests = Requests::default();
            let found: Vec<Request> =
                TWO.as_bytes().chunks(size).flat_map(|piece| requests.push(piece)).collect();
            let [put, post, last] = found.as_slice() else { panic!("pieces of {size}: {found:?}") };
            assert_eq!((put.method.as_str(), put.path()), ("PUT", "/v1/txn"));
            assert_eq!(put.query("wait").as_deref(), Some("1 s"));
            assert_eq!((put.query("stale").as_deref(), put.query("at")), (Some(""), None));
            assert_eq!(put.header("x-consul-token"), Some("a"));
            assert_eq!(put.json(), serde_json::json!([1, 2]));
            assert_eq!(post.body, b"abcde");
            assert!(last.begins("/c") && last.begins("GET /") && !last.begins("PUT /"));
        }
    }

    #[test]
    fn what_is_no_http_is_left_alone() {
        let mut requests = Requests::default();
        assert_eq!(requests.push(b"\x16\x03\x01\x02\0 and more"), []);
        assert!(requests.is_opaque());
        assert_eq!(requests.push(b"GET / HTTP/1.1\r\n\r\n"), []);
    }
}
