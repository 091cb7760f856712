// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What stands in for the ARI of a thousand Asterisk nodes: one server, which tells by the address it
//! was called at which node it is. It answers what the gateway asks when it reads a node, takes new
//! calls, and counts what comes.

use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use rig::ports;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// The application that has all channels.
const APP: &str = "announcement";
/// What an Asterisk with some calls takes for an answer.
const TAKES: Duration = Duration::from_millis(3);
const NOBODY: u32 = u32::MAX;
const LONGEST_HEAD: usize = 64 << 10;

/// What came.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) requests: AtomicU64,
    asked: Crowd,
    open: Crowd,
    /// The node that was given the last new call.
    called: AtomicU32,
    /// The node that answers nothing.
    hangs: AtomicU32,
}

/// How many there are now, and were at most.
#[derive(Debug, Default)]
struct Crowd {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Crowd {
    fn come(&self) {
        let now = self.now.fetch_add(1, Relaxed) + 1;
        self.most.fetch_max(now, Relaxed);
    }

    fn go(&self) {
        self.now.fetch_sub(1, Relaxed);
    }
}

/// The server.
pub(crate) struct Ari {
    pub(crate) port: u16,
    pub(crate) seen: Arc<Seen>,
}

impl Ari {
    /// Each node has so many channels.
    ///
    /// # Panics
    ///
    /// When it cannot listen.
    pub(crate) fn start(channels: u32) -> Self {
        let port = ports::free();
        let seen = Arc::new(Seen {
            requests: AtomicU64::new(0),
            asked: Crowd::default(),
            open: Crowd::default(),
            called: AtomicU32::new(NOBODY),
            hangs: AtomicU32::new(NOBODY),
        });
        let shared = Arc::clone(&seen);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.unwrap_or_else(|error| panic!("no runtime: {error}"));
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)));
        let listener = listener.unwrap_or_else(|error| panic!("port {port}: {error}"));
        // It lives as long as the program.
        thread::spawn(move || {
            runtime.block_on(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, channels, Arc::clone(&shared)));
                }
            });
        });
        Self { port, seen }
    }
}

impl Seen {
    /// The most that were asked and not answered at one time.
    pub(crate) fn most_asked(&self) -> usize {
        self.asked.most.load(Relaxed)
    }

    /// The most connections at one time.
    pub(crate) fn most_open(&self) -> usize {
        self.open.most.load(Relaxed)
    }

    /// The node of the last new call.
    pub(crate) fn called(&self) -> u32 {
        self.called.load(Relaxed)
    }

    /// This node answers no more.
    pub(crate) fn hang(&self, node: u32) {
        self.hangs.store(node, Relaxed);
    }

    /// All answer.
    pub(crate) fn recover(&self) {
        self.hangs.store(NOBODY, Relaxed);
    }
}

/// Where a node is.
pub(crate) fn address(node: u32) -> Ipv4Addr {
    let [_, _, high, low] = node.to_be_bytes();
    Ipv4Addr::new(127, 100, high, low)
}

/// Its entity id.
pub(crate) fn eid(node: u32) -> String {
    let [_, _, high, low] = node.to_be_bytes();
    format!("02:00:00:99:{high:02x}:{low:02x}")
}

fn node_at(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(address) => {
            let [.., high, low] = address.octets();
            u32::from_be_bytes([0, 0, high, low])
        }
        IpAddr::V6(_) => NOBODY,
    }
}

async fn serve(mut stream: TcpStream, channels: u32, seen: Arc<Seen>) {
    seen.open.come();
    // Its end is the gateway's: there is nobody to tell.
    let _ = answers(&mut stream, channels, &seen).await;
    seen.open.go();
}

async fn answers(stream: &mut TcpStream, channels: u32, seen: &Seen) -> io::Result<()> {
    let node = node_at(stream.local_addr()?.ip());
    stream.set_nodelay(true)?;
    let mut pending = Vec::new();
    loop {
        let Some(end) = pending.windows(4).position(|four| four == b"\r\n\r\n") else {
            if stream.read_buf(&mut pending).await? == 0 || pending.len() > LONGEST_HEAD {
                return Ok(());
            }
            continue;
        };
        let head = String::from_utf8_lossy(&pending[..end]).into_owned();
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        });
        let all = end + 4 + length.unwrap_or(0_usize);
        while pending.len() < all {
            if stream.read_buf(&mut pending).await? == 0 {
                return Ok(());
            }
        }
        pending.drain(..all);
        seen.requests.fetch_add(1, Relaxed);
        seen.asked.come();
        let answered = if seen.hangs.load(Relaxed) == node {
            std::future::pending().await
        } else {
            sleep(TAKES).await;
            let (status, body) = answer(&head, node, channels, seen);
            let head = format!(
                "HTTP/1.1 {status}\r\nServer: Asterisk\r\nContent-Type: application/json\r\n\
                 Content-Length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all((head + &body).as_bytes()).await
        };
        seen.asked.go();
        answered?;
    }
}

fn answer(head: &str, node: u32, channels: u32, seen: &Seen) -> (&'static str, String) {
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default();
    match (method, path) {
        ("GET", "/ari/asterisk/info") => {
            ("200 OK", r#"{"status":{"startup_time":"2026-01-01T00:00:00.000+0000"}}"#.to_owned())
        }
        ("GET", "/ari/channels") => ("200 OK", list(channels, |number| channel(node, number))),
        ("GET", "/ari/bridges") => ("200 OK", "[]".to_owned()),
        ("GET", "/ari/applications") => {
            let ids = list(channels, |number| format!("\"{}\"", id(node, number)));
            let application = format!(
                "[{{\"name\":\"{APP}\",\"channel_ids\":{ids},\"bridge_ids\":[],\
                 \"endpoint_ids\":[],\"device_names\":[],\"events_allowed\":[],\
                 \"events_disallowed\":[]}}]"
            );
            ("200 OK", application)
        }
        ("POST", _) if path.starts_with("/ari/channels") => {
            seen.called.store(node, Relaxed);
            ("200 OK", channel(node, channels))
        }
        _ => ("404 Not Found", r#"{"message":"Not found"}"#.to_owned()),
    }
}

fn list(count: u32, each: impl Fn(u32) -> String) -> String {
    let mut text = "[".to_owned();
    for number in 0..count {
        // A text takes everything.
        let _ = write!(text, "{}{}", if number > 0 { "," } else { "" }, each(number));
    }
    text + "]"
}

fn id(node: u32, number: u32) -> String {
    format!("node{node:04}-1700000000.{number}")
}

/// As Asterisk 22 tells of one.
fn channel(node: u32, number: u32) -> String {
    let id = id(node, number);
    format!(
        "{{\"id\":\"{id}\",\"name\":\"PJSIP/kamailio-{number:08x}\",\"state\":\"Up\",\
         \"protocol_id\":\"{number}-4711@192.0.2.1\",\"caller\":{{\"name\":\"\",\
         \"number\":\"4711\"}},\"connected\":{{\"name\":\"\",\"number\":\"\"}},\
         \"accountcode\":\"\",\"dialplan\":{{\"context\":\"default\",\"exten\":\"8001\",\
         \"priority\":1,\"app_name\":\"Stasis\",\"app_data\":\"{APP},tone:ring\"}},\
         \"creationtime\":\"2026-01-01T00:00:01.000+0000\",\"language\":\"en\"}}"
    )
}
