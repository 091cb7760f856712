// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The consumer at the broker: counts what arrives, and takes the time from each event's making to its
//! arrival.

use std::io;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rig::eventually;

use crate::address::Address;
use crate::cores;
use crate::wire::{self, Arguments, Frame, Reader};

/// What the generator's events have before their time stamp.
const BEFORE_STAMP: &[u8] = br#""value":""#;
const STAMP_DIGITS: usize = 16;

/// How often it looks whether it is to end.
const LOOK: Duration = Duration::from_millis(100);

/// Takes messages from a queue until it is dropped.
pub(crate) struct Listener {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    ends: AtomicBool,
    messages: AtomicU64,
    stamped: AtomicU64,
    /// Of the last message with a stamp.
    body_bytes: AtomicU64,
    /// In microseconds.
    latencies: Mutex<Vec<u64>>,
    failed: Mutex<Option<String>>,
}

impl Listener {
    /// Consumes a queue that is there, without acknowledging.
    ///
    /// # Panics
    ///
    /// When the broker does not let it.
    #[track_caller]
    pub(crate) fn open(address: &Address, queue: &str) -> Self {
        let mut reader = begin(address, queue)
            .unwrap_or_else(|error| panic!("the consumer does not start: {error}"));
        let shared = Arc::<Shared>::default();
        let state = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            cores::keep_to_last();
            if let Err(error) = listen(&mut reader, &state) {
                let mut failed = state.failed.lock().unwrap_or_else(PoisonError::into_inner);
                *failed = Some(error.to_string());
            }
        });
        Self { shared, thread: Some(thread) }
    }

    /// All messages so far.
    pub(crate) fn messages(&self) -> u64 {
        self.shared.messages.load(Ordering::Acquire)
    }

    /// The generator's events among them.
    pub(crate) fn stamped(&self) -> u64 {
        self.shared.stamped.load(Ordering::Acquire)
    }

    /// The size of the last of the generator's events.
    pub(crate) fn body_bytes(&self) -> u64 {
        self.shared.body_bytes.load(Ordering::Acquire)
    }

    /// Waits until there are so many of the generator's events.
    #[track_caller]
    pub(crate) fn wait_stamped(&self, wanted: u64, within: Duration) {
        eventually(&format!("{wanted} events at the consumer"), within, || {
            if let Some(error) = &*self.shared.failed.lock().unwrap_or_else(PoisonError::into_inner)
            {
                panic!("the consumer's connection has ended: {error}");
            }
            let stamped = self.stamped();
            if stamped >= wanted { Ok(()) } else { Err(stamped) }
        });
    }

    /// What the events since the last call took, in microseconds.
    pub(crate) fn take_latencies(&self) -> Vec<u64> {
        std::mem::take(&mut self.shared.latencies.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // What it failed with is told to whoever waits for messages.
            let _ = thread.join();
        }
    }
}

fn begin(address: &Address, queue: &str) -> io::Result<Reader> {
    use wire::{CHANNEL_OPEN, CHANNEL_OPEN_OK, CONSUME, CONSUME_OK, OPEN, OPEN_OK, PROTOCOL};
    use wire::{START, START_OK, TUNE, TUNE_OK};

    let Address { port, vhost, user, password } = address;
    let stream = TcpStream::connect(("127.0.0.1", *port))?;
    stream.set_read_timeout(Some(LOOK))?;
    let mut reader = Reader::new(stream);
    io::Write::write_all(reader.stream(), PROTOCOL)?;
    reader.expect(START)?;
    let login = format!("\0{user}\0{password}");
    let arguments = Arguments::default().empty_table().short_string("PLAIN").long_string(&login);
    wire::send(reader.stream(), 0, START_OK, arguments.short_string("en_US"))?;
    reader.expect(TUNE)?;
    // No heartbeats: a broker that is gone ends the connection.
    let arguments = Arguments::default().short(1).long(wire::FRAME_BYTES).short(0);
    wire::send(reader.stream(), 0, TUNE_OK, arguments)?;
    let arguments = Arguments::default().short_string(vhost).short_string("").byte(0);
    wire::send(reader.stream(), 0, OPEN, arguments)?;
    reader.expect(OPEN_OK)?;
    wire::send(reader.stream(), 1, CHANNEL_OPEN, Arguments::default().short_string(""))?;
    reader.expect(CHANNEL_OPEN_OK)?;
    let no_ack = 0b10;
    let arguments = Arguments::default().short(0).short_string(queue).short_string("").byte(no_ack);
    wire::send(reader.stream(), 1, CONSUME, arguments.empty_table())?;
    reader.expect(CONSUME_OK)?;
    Ok(reader)
}

fn listen(reader: &mut Reader, shared: &Shared) -> io::Result<()> {
    let mut body = Body::default();
    let mut latencies = Vec::new();
    while !shared.ends.load(Ordering::Acquire) {
        let (mut messages, mut stamped) = (0, 0);
        reader.read(|frame| {
            if body.take(&frame) {
                messages += 1;
                if let Some(stamp) = stamp(&body.beginning) {
                    stamped += 1;
                    shared.body_bytes.store(body.bytes, Ordering::Relaxed);
                    latencies.push(stamp);
                }
            }
        })?;
        if messages == 0 {
            continue;
        }
        // All of it has come at once.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
        let mut known = shared.latencies.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(latencies.drain(..).map(|stamp| now.saturating_sub(stamp)));
        drop(known);
        shared.messages.fetch_add(messages, Ordering::Release);
        shared.stamped.fetch_add(stamped, Ordering::Release);
    }
    Ok(())
}

/// A message's body as its frames come.
#[derive(Default)]
struct Body {
    bytes: u64,
    missing: u64,
    /// Its first frame.
    beginning: Vec<u8>,
}

impl Body {
    /// Whether this was the last frame of it.
    fn take(&mut self, frame: &Frame<'_>) -> bool {
        if let Some(bytes) = frame.body_bytes() {
            (self.bytes, self.missing) = (bytes, bytes);
            self.beginning.clear();
            return bytes == 0;
        }
        if frame.kind != wire::BODY {
            return false;
        }
        if self.beginning.is_empty() {
            // Enough for what precedes the stamp.
            self.beginning.extend(&frame.payload[..frame.payload.len().min(1024)]);
        }
        self.missing = self.missing.saturating_sub(frame.payload.len() as u64);
        self.missing == 0
    }
}

/// The time an event of the generator was made at, in microseconds since 1970.
fn stamp(body: &[u8]) -> Option<u64> {
    let mut starts = body.windows(BEFORE_STAMP.len());
    let at = starts.position(|window| window == BEFORE_STAMP)? + BEFORE_STAMP.len();
    let digits = body.get(at..at + STAMP_DIGITS)?;
    let value = |value, digit: &u8| match digit {
        b'0'..=b'9' => Some(value * 10 + u64::from(digit - b'0')),
        _ => None,
    };
    digits.iter().try_fold(0, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_a_stamp_where_its_value_begins_with_one() {
        let event =
            br#"{"name":"ChannelVarset","data":{"variable":"BENCH","value":"1763760000123456xx"}}"#;
        assert_eq!(stamp(event), Some(1_763_760_000_123_456));
        assert_eq!(stamp(br#"{"data":{"variable":"A","value":"17637600001234"}}"#), None);
        assert_eq!(stamp(br#"{"data":{"value":"1763760"#), None);
        assert_eq!(stamp(b"{}"), None);
    }

    #[test]
    fn a_body_is_whole_with_its_last_frame() {
        let mut body = Body::default();
        let mut header = vec![0; 14];
        header[11] = 5;
        let frame = |kind, payload| Frame { kind, channel: 1, payload };
        assert!(!body.take(&frame(wire::METHOD, &[0, 60, 0, 60])));
        assert!(!body.take(&frame(wire::HEADER, &header)));
        assert!(!body.take(&frame(wire::BODY, b"abc")));
        assert!(body.take(&frame(wire::BODY, b"de")));
        assert_eq!((body.bytes, &*body.beginning), (5, &b"abc"[..]));
    }
}
