// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A phone's own thread: what it does by itself as time goes and messages come.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::audio::{Audio, PACKET};
use super::dialog::Dialog;
use super::message::Message;
use super::{Shared, State, lock};
use crate::sip_socket::SipSocket;
use crate::tone;

/// The first pause before a request without an answer is sent again; then always twice as long.
const AGAIN: Duration = Duration::from_millis(500);
/// A request that has no answer for so long has none.
const PATIENCE: Duration = Duration::from_secs(32);
/// What is kept of what was heard.
const KEPT: usize = 20 * tone::RATE as usize;

/// A request that waits for an answer.
struct Pending {
    text: String,
    since: Instant,
    pause: Duration,
    next: Instant,
}

impl Pending {
    fn new(text: String) -> Self {
        let now = Instant::now();
        Self { text, since: now, pause: AGAIN, next: now }
    }
}

pub(super) struct Line {
    socket: SipSocket,
    proxy: u16,
    dialog: Dialog,
    audio: Audio,
    pending: Option<Pending>,
    shared: Arc<Mutex<Shared>>,
}

impl Line {
    #[track_caller]
    pub(super) fn new(proxy: u16, number: &str, tone: u32, shared: Arc<Mutex<Shared>>) -> Self {
        let (socket, audio) = (SipSocket::new(), Audio::new(tone));
        let dialog = Dialog::new(socket.port(), number, proxy, audio.port());
        let pending = Some(Pending::new(dialog.invite()));
        Self { socket, proxy, dialog, audio, pending, shared }
    }

    /// Until the phone is dropped.
    pub(super) fn run(mut self) {
        let mut tick = Instant::now();
        loop {
            self.send();
            let left = tick.saturating_duration_since(Instant::now());
            if let Some(text) = self.socket.receive(left.max(Duration::from_millis(1))) {
                self.take(&Message(text));
            }
            if Instant::now() < tick {
                continue;
            }
            tick += PACKET;
            if !self.talk() {
                return;
            }
        }
    }

    /// Sends what waits for an answer, when it is time again.
    fn send(&mut self) {
        let Some(pending) = &mut self.pending else { return };
        let now = Instant::now();
        if now >= pending.since + PATIENCE {
            self.pending = None;
            let mut shared = lock(&self.shared);
            shared.state = match shared.state {
                State::Calling => State::Refused(408),
                _ => State::HungUp(408),
            };
        } else if now >= pending.next {
            self.socket.send(self.proxy, &pending.text);
            pending.next = now + pending.pause;
            pending.pause *= 2;
        }
    }

    fn take(&mut self, message: &Message) {
        let mut shared = lock(&self.shared);
        match (message.status(), message.method()) {
            (None, "ACK") => {}
            (None, "BYE") => {
                self.socket.send(self.proxy, &message.answered("200 OK"));
                self.pending = None;
                shared.state = State::Ended;
            }
            // How what it has asked for by REFER goes on.
            (None, "NOTIFY") => self.socket.send(self.proxy, &message.answered("200 OK")),
            (None, _) => self.socket.send(self.proxy, &message.answered("501 Not Implemented")),
            // It is on its way, and may ring for long.
            (Some(..200), "INVITE") => self.pending = None,
            (Some(status), "INVITE") => {
                // Also when the answer comes once more.
                self.socket.send(self.proxy, &self.dialog.ack(message));
                if shared.state == State::Calling {
                    self.pending = None;
                    shared.state = if status < 300 { State::Up } else { State::Refused(status) };
                    shared.answer = Some(message.clone());
                } else if status < 300
                    && shared.answer.as_ref().is_some_and(|first| first.begins_another(message))
                {
                    self.socket.send(self.proxy, &self.dialog.bye_late(message));
                }
            }
            (Some(status @ 200..), "REFER") => {
                self.pending = None;
                shared.referred = Some(status);
            }
            (Some(status @ 200..), "BYE") if Dialog::is_of_end(message) => {
                self.pending = None;
                shared.state = State::HungUp(status);
            }
            _ => {}
        }
    }

    /// A packet each way. Whether there is still a phone.
    fn talk(&mut self) -> bool {
        let heard = self.audio.hear();
        let mut shared = lock(&self.shared);
        if !heard.is_empty() {
            shared.heard_at = Instant::now();
        }
        shared.heard.extend(heard);
        let over = shared.heard.len().saturating_sub(KEPT);
        shared.heard.drain(..over);
        if let (State::Up, Some(answer)) = (shared.state, &shared.answer) {
            if let Some(port) = answer.audio_port() {
                self.audio.say(port);
            }
            let wanted = match &shared.refers_to {
                _ if self.pending.is_some() => None,
                Some(to) => Some(self.dialog.refer(answer, to)),
                None => shared.hangs_up.then(|| self.dialog.bye(answer)),
            };
            if let Some(request) = wanted {
                self.pending = Some(Pending::new(request));
                shared.refers_to = None;
            }
        }
        !shared.is_gone
    }
}
