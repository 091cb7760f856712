// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A small HTTP server that says what a test has it say.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::config::Settings;

/// What to do about a request.
pub(crate) enum Say {
    /// Send this, and read on.
    Whole(Vec<u8>),
    /// Send this, and close.
    Last(Vec<u8>),
    /// Send the second byte by byte, with this time between two.
    Drip(Vec<u8>, Vec<u8>, Duration),
    /// Send this again and again, until nobody wants it.
    Endless(Vec<u8>, Vec<u8>),
    /// Say nothing.
    Hang,
}

/// An answer with these headers, each with its line end.
pub(crate) fn answer(status: u16, headers: &str, body: impl AsRef<[u8]>) -> Say {
    let body = body.as_ref();
    let head = format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    Say::Whole([head.as_bytes(), body].concat())
}

/// An answer of Consul's.
pub(crate) fn ok(index: u64, body: impl AsRef<[u8]>) -> Say {
    answer(200, &format!("X-Consul-Index: {index}\r\n"), body)
}

type Script = Box<dyn FnMut(usize, &str) -> Say + Send>;

struct Inner {
    script: Mutex<Script>,
    seen: Mutex<Vec<String>>,
    connections: AtomicUsize,
    over: AtomicBool,
}

/// The server; it ends when dropped.
pub(crate) struct Server {
    port: u16,
    inner: Arc<Inner>,
}

impl Server {
    /// `script` gets each request's number, from 0, and its text.
    pub(crate) fn start(script: impl FnMut(usize, &str) -> Say + Send + 'static) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), script)
    }

    pub(crate) fn on(
        listener: TcpListener,
        script: impl FnMut(usize, &str) -> Say + Send + 'static,
    ) -> Self {
        let port = listener.local_addr().unwrap().port();
        let inner = Arc::new(Inner {
            script: Mutex::new(Box::new(script)),
            seen: Mutex::default(),
            connections: AtomicUsize::new(0),
            over: AtomicBool::new(false),
        });
        let served = Arc::clone(&inner);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if served.over.load(Ordering::Acquire) {
                    return;
                }
                served.connections.fetch_add(1, Ordering::AcqRel);
                let served = Arc::clone(&served);
                // It ends with its peer, or with the process.
                std::thread::spawn(move || served.serve(stream.unwrap()));
            }
        });
        Self { port, inner }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Settings that lead here, with short timeouts, and more lines of `[consul]`.
    pub(crate) fn settings(&self, lines: &[(&str, &str)]) -> Settings {
        let port = self.port.to_string();
        let mut all = vec![("port", port.as_str()), ("request_timeout", "20s")];
        all.extend_from_slice(lines);
        super::settings(&all)
    }

    /// The texts of all requests so far.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.inner.seen.lock().unwrap().clone()
    }

    /// The first lines of all requests so far, without their version.
    pub(crate) fn asked(&self) -> Vec<String> {
        let first = |text: &String| text.lines().next().unwrap().replace(" HTTP/1.1", "");
        self.seen().iter().map(first).collect()
    }

    pub(crate) fn connections(&self) -> usize {
        self.inner.connections.load(Ordering::Acquire)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.inner.over.store(true, Ordering::Release);
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

impl Inner {
    fn serve(&self, mut stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some(text) = request(&mut reader) {
            let number = {
                let mut seen = self.seen.lock().unwrap();
                seen.push(text.clone());
                seen.len() - 1
            };
            let say = (self.script.lock().unwrap())(number, &text);
            let sent = match say {
                Say::Whole(bytes) => stream.write_all(&bytes),
                Say::Last(bytes) => {
                    let _ = stream.write_all(&bytes);
                    return;
                }
                Say::Drip(head, rest, each) => drip(&mut stream, &head, &rest, each),
                Say::Endless(head, piece) => {
                    let mut sent = stream.write_all(&head);
                    while sent.is_ok() && !self.over.load(Ordering::Acquire) {
                        sent = stream.write_all(&piece);
                    }
                    sent
                }
                Say::Hang => {
                    // Until the peer goes.
                    let _ = reader.read_to_end(&mut Vec::new());
                    return;
                }
            };
            if sent.is_err() {
                return;
            }
        }
    }
}

fn drip(stream: &mut TcpStream, head: &[u8], rest: &[u8], each: Duration) -> std::io::Result<()> {
    stream.write_all(head)?;
    for byte in rest {
        std::thread::sleep(each);
        stream.write_all(&[*byte])?;
    }
    Ok(())
}

/// Head and body of the next request, if there is one.
fn request(reader: &mut impl BufRead) -> Option<String> {
    let mut text = String::new();
    loop {
        let before = text.len();
        if reader.read_line(&mut text).ok()? == 0 {
            return None;
        }
        if text.get(before..)?.trim().is_empty() {
            break;
        }
    }
    let lower = text.to_lowercase();
    let length = lower.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).ok()?;
    text.push_str(&String::from_utf8_lossy(&body));
    Some(text)
}
