// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A client of Asterisk's manager interface.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::wait::seconds;

/// A response or an event: its fields in order, repeated ones kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block(pub Vec<(String, String)>);

impl Block {
    /// The first value of a field; empty when there is none.
    pub fn field(&self, name: &str) -> &str {
        self.values(name).next().unwrap_or_default()
    }

    /// All values of a field.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        let named = move |(key, _): &&(String, String)| key.eq_ignore_ascii_case(name);
        self.0.iter().filter(named).map(|(_, value)| value.as_str())
    }
}

/// A session.
#[derive(Debug)]
pub struct Ami {
    stream: Mutex<TcpStream>,
    responses: Mutex<Receiver<Block>>,
    events: Mutex<Receiver<Block>>,
    next_id: AtomicU64,
}

impl Ami {
    /// Logs in on this port of 127.0.0.1, with all events.
    ///
    /// # Panics
    ///
    /// When that fails.
    #[track_caller]
    pub fn login(port: u16, user: &str, password: &str) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port))
            .unwrap_or_else(|error| panic!("the manager interface on port {port}: {error}"));
        let reader = stream.try_clone().unwrap_or_else(|error| panic!("manager socket: {error}"));
        let (response_sender, responses) = channel();
        let (event_sender, events) = channel();
        thread::spawn(move || gather(BufReader::new(reader), &response_sender, &event_sender));
        let session = Self {
            stream: Mutex::new(stream),
            responses: Mutex::new(responses),
            events: Mutex::new(events),
            next_id: AtomicU64::new(1),
        };
        let answer = session.action("Login", &[("Username", user), ("Secret", password)]);
        assert_eq!(answer.field("Response"), "Success", "manager login: {answer:?}");
        session
    }

    /// Does an action and gives its response.
    ///
    /// # Panics
    ///
    /// When there is none within 20 s.
    #[track_caller]
    pub fn action(&self, name: &str, fields: &[(&str, &str)]) -> Block {
        self.try_action(name, fields)
            .unwrap_or_else(|error| panic!("no response to action {name}: {error}"))
    }

    /// Does an action in a session that may end meanwhile, and gives its response.
    ///
    /// # Errors
    ///
    /// When the session has ended, or there is none within 20 s.
    pub fn try_action(&self, name: &str, fields: &[(&str, &str)]) -> std::io::Result<Block> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed).to_string();
        let mut text = format!("Action: {name}\r\nActionID: {id}\r\n");
        for (key, value) in fields {
            text.push_str(&format!("{key}: {value}\r\n"));
        }
        text.push_str("\r\n");
        // One action at a time, so that a response is not taken by another thread.
        let responses = self.responses.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        stream.write_all(text.as_bytes())?;
        let deadline = Instant::now() + seconds(20);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match responses.recv_timeout(left) {
                Ok(response) if response.field("ActionID") == id => return Ok(response),
                Ok(_) => {}
                Err(error) => return Err(std::io::Error::other(error)),
            }
        }
    }

    /// The next event of this name; the others before it are dropped.
    ///
    /// # Panics
    ///
    /// When none comes `within`, with the names that came instead.
    #[track_caller]
    pub fn next_of(&self, name: &str, within: Duration) -> Block {
        self.next_where(name, within, |event| event.field("Event") == name)
    }

    /// The next event that `wanted` accepts; the others before it are dropped.
    ///
    /// # Panics
    ///
    /// When none comes `within`, with the names that came instead.
    #[track_caller]
    pub fn next_where(
        &self,
        what: &str,
        within: Duration,
        wanted: impl Fn(&Block) -> bool,
    ) -> Block {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let deadline = Instant::now() + within;
        let mut seen = Vec::new();
        loop {
            match events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(event) if wanted(&event) => return event,
                Ok(event) => seen.push(event.field("Event").to_owned()),
                Err(error) => {
                    panic!("no manager event {what} within {within:?} ({error}); seen: {seen:?}")
                }
            }
        }
    }

    /// The events that have come so far.
    pub fn drain(&self) -> Vec<Block> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).try_iter().collect()
    }
}

impl Drop for Ami {
    fn drop(&mut self) {
        let stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        // Ends the reading thread.
        let _ = stream.shutdown(std::net::Shutdown::Both);
    }
}

fn gather(reader: impl BufRead, responses: &Sender<Block>, events: &Sender<Block>) {
    let mut block = Block::default();
    for line in reader.split(b'\n') {
        let Ok(line) = line else { return };
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end_matches('\r');
        if line.is_empty() {
            let whole = std::mem::take(&mut block);
            let target = if whole.field("Event").is_empty() { responses } else { events };
            // Nobody reads any more: the session is being dropped.
            if !whole.0.is_empty() && target.send(whole).is_err() {
                return;
            }
        } else if let Some((key, value)) = line.split_once(':') {
            block.0.push((key.to_owned(), value.strip_prefix(' ').unwrap_or(value).to_owned()));
        }
    }
}
