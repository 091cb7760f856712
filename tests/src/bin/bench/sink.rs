// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A broker that costs next to nothing: takes every message, confirms what it is asked to confirm, and
//! keeps nothing. What a publisher can do shows only where the broker is not the wall, and RabbitMQ on
//! the same two cores is.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::address::Address;
use crate::cores;
use crate::wire::{self, Arguments, Frame, Method, Reader};

/// How often it looks whether it is to end.
const LOOK: Duration = Duration::from_millis(100);

/// What it proposes, and when it sends one, far more often than that.
const HEARTBEAT_SECONDS: u16 = 60;
const HEARTBEAT: Duration = Duration::from_secs(1);

pub(crate) struct Sink {
    port: u16,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    ends: AtomicBool,
    messages: AtomicU64,
}

impl Sink {
    /// Takes publishers from now on.
    ///
    /// # Panics
    ///
    /// When there is no port to listen on.
    pub(crate) fn open() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let listener = listener.unwrap_or_else(|error| panic!("the sink: {error}"));
        let port = listener.local_addr().map_or(0, |address| address.port());
        let shared = Arc::<Shared>::default();
        let state = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            cores::keep_to_last();
            let mut publishers = Vec::new();
            for stream in listener.incoming().flatten() {
                if state.ends.load(Ordering::Acquire) {
                    break;
                }
                let state = Arc::clone(&state);
                publishers.push(thread::spawn(move || serve(stream, &state)));
            }
            for publisher in publishers {
                // It ends with its connection, however that ends.
                let _ = publisher.join();
            }
        });
        Self { port, shared, thread: Some(thread) }
    }

    /// Where it is; it takes any login.
    pub(crate) fn address(&self) -> Address {
        let guest = || "guest".to_owned();
        Address { port: self.port, vhost: "sink".to_owned(), user: guest(), password: guest() }
    }

    /// All messages so far.
    pub(crate) fn messages(&self) -> u64 {
        self.shared.messages.load(Ordering::Acquire)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Release);
        // It sees that when it is connected to.
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A publisher, to its end: an error is one.
fn serve(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(LOOK))?;
    let mut reader = Reader::new(stream);
    reader.expect_protocol()?;
    let arguments = Arguments::default().byte(0).byte(9).empty_table();
    let arguments = arguments.long_string("PLAIN").long_string("en_US");
    wire::send(reader.stream(), 0, wire::START, arguments)?;

    let mut channels = BTreeMap::<u16, Channel>::new();
    let mut heartbeat = Instant::now();
    while !shared.ends.load(Ordering::Acquire) {
        let (mut messages, mut asked) = (0, Vec::new());
        reader.read(|frame| {
            let channel = channels.entry(frame.channel).or_default();
            messages += u64::from(channel.take(&frame));
            asked
                .extend(frame.method().filter(|m| *m != wire::PUBLISH).map(|m| (frame.channel, m)));
        })?;
        shared.messages.fetch_add(messages, Ordering::Release);
        for (number, method) in asked {
            if let Some((method, arguments)) = answer(method) {
                wire::send(reader.stream(), number, method, arguments)?;
            }
            if method == wire::CONFIRM_SELECT {
                channels.entry(number).or_default().confirmed = Some(0);
            }
        }
        for (number, channel) in &mut channels {
            channel.confirm(*number, reader.stream())?;
        }
        if heartbeat.elapsed() >= HEARTBEAT {
            wire::send_heartbeat(reader.stream())?;
            heartbeat = Instant::now();
        }
    }
    Ok(())
}

fn answer(method: Method) -> Option<(Method, Arguments)> {
    let nothing = Arguments::default;
    match method {
        wire::START_OK => Some((
            wire::TUNE,
            nothing().short(100).long(wire::FRAME_BYTES).short(HEARTBEAT_SECONDS),
        )),
        wire::OPEN => Some((wire::OPEN_OK, nothing().short_string(""))),
        wire::CHANNEL_OPEN => Some((wire::CHANNEL_OPEN_OK, nothing().long_string(""))),
        wire::CHANNEL_CLOSE => Some((wire::CHANNEL_CLOSE_OK, nothing())),
        wire::EXCHANGE_DECLARE => Some((wire::EXCHANGE_DECLARE_OK, nothing())),
        wire::CONFIRM_SELECT => Some((wire::CONFIRM_SELECT_OK, nothing())),
        wire::CLOSE => Some((wire::CLOSE_OK, nothing())),
        _ => None,
    }
}

/// One of a publisher's.
#[derive(Default)]
struct Channel {
    messages: u64,
    /// Bytes of the message that is under way.
    missing: u64,
    /// The last message that was confirmed, if they are to be.
    confirmed: Option<u64>,
}

impl Channel {
    /// Whether this frame is a message's last.
    fn take(&mut self, frame: &Frame<'_>) -> bool {
        let is_last = match frame.body_bytes() {
            Some(bytes) => {
                self.missing = bytes;
                bytes == 0
            }
            None if frame.kind == wire::BODY => {
                self.missing = self.missing.saturating_sub(frame.payload.len() as u64);
                self.missing == 0
            }
            None => false,
        };
        self.messages += u64::from(is_last);
        is_last
    }

    /// Confirms all that has come.
    fn confirm(&mut self, number: u16, stream: &mut TcpStream) -> io::Result<()> {
        if self.confirmed.is_some_and(|last| last < self.messages) {
            self.confirmed = Some(self.messages);
            let multiple = 1;
            let arguments = Arguments::default().long_long(self.messages).byte(multiple);
            wire::send(stream, number, wire::ACK, arguments)?;
        }
        Ok(())
    }
}
