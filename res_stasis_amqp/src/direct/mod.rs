// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The text of events without the tree that the host makes of them first, which is most of what an
//! event costs.
//!
//! Two kinds of events have such a way: those of the channel topic, from the snapshots they hold
//! (`channel`), and those of applications, whose tree is there already and is only walked (`app`).
//! Whether it may be taken is decided for each type of event by `proof`: the first events and a
//! sample for ever are written both ways, and a type that ever differs is written by the host from
//! then on. What is published of a compared event is the host's text.

mod app;
mod channel;
mod clock;
mod json;
mod proof;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use asterisk::channel_event::{self, ChannelMessage};
use asterisk::json::Value;

use crate::counters::Counters;
use crate::event::Body;
use clock::Clock;
use proof::{Proofs, Way};

/// What the direct ways need, shared by all threads that bring events.
pub(crate) struct Direct {
    counters: Arc<Counters>,
    /// The channel topic has one thread.
    channels: Mutex<Channels>,
    apps: Mutex<Apps>,
}

/// Applications have a thread each.
#[derive(Default)]
struct Apps {
    proofs: Proofs,
    /// Of whoever writes; another who writes meanwhile has one of its own.
    buffer: Vec<u8>,
}

struct Channels {
    clock: Clock,
    proofs: Proofs,
    buffer: Vec<u8>,
}

/// What is kept of a buffer: no event but a rare one is larger.
const MOST_KEPT: usize = 64 * 1024;

/// What an application's event mostly fits in.
const TYPICAL: usize = 1024;

/// How it stands, for operators.
pub(crate) struct Standing {
    /// Whether events of channels are written directly at all.
    pub(crate) reads_snapshots: bool,
    /// Types of events that differed once, and are written by Asterisk since.
    pub(crate) off: Vec<String>,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.reads_snapshots {
            true => "written directly, and compared with Asterisk's",
            false => "of channels by Asterisk, whose structures this build does not know",
        })?;
        match self.off.is_empty() {
            true => Ok(()),
            false => write!(f, "; differed, so by Asterisk: {}", self.off.join(", ")),
        }
    }
}

impl Apps {
    /// How to write an event, and what into; none: the general way.
    fn begin(&mut self, name: &str) -> Option<(Way, Vec<u8>)> {
        let way = self.proofs.way(name);
        let mut buffer = (way != Way::General).then(|| std::mem::take(&mut self.buffer))?;
        buffer.reserve(TYPICAL);
        Some((way, buffer))
    }

    /// Takes the buffer back.
    fn end(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        buffer.shrink_to(MOST_KEPT);
        self.buffer = buffer;
    }
}

impl Direct {
    pub(crate) fn new(counters: Arc<Counters>) -> Self {
        let clock = Clock::new(asterisk::time::iso8601);
        let channels = Channels { clock, proofs: Proofs::default(), buffer: Vec::new() };
        Self { counters, channels: Mutex::new(channels), apps: Mutex::default() }
    }

    pub(crate) fn standing(&self) -> Standing {
        let (channels, apps) = (locked(&self.channels), locked(&self.apps));
        let mut off: Vec<_> =
            channels.proofs.off().chain(apps.proofs.off()).map(str::to_owned).collect();
        off.sort_unstable();
        off.dedup();
        Standing { reads_snapshots: channel_event::reads_snapshots(), off }
    }

    /// The body of a channel's event. `general` is the host's text of it.
    ///
    /// `None`: it has to be made the general way.
    pub(crate) fn channel_event<T: AsRef<str>>(
        &self,
        message: &ChannelMessage<'_>,
        general: impl FnOnce() -> Option<T>,
    ) -> Option<Box<[u8]>> {
        let name = message.kind.name();
        let mut channels = locked(&self.channels);
        let Channels { clock, proofs, buffer } = &mut *channels;
        let way = proofs.way(name);
        if way == Way::General {
            return None;
        }
        buffer.clear();
        buffer.shrink_to(MOST_KEPT);
        let mut body = Body::begin(buffer, name);
        channel::event(body.data(), clock, message)?;
        if way == Way::Compare {
            let is_same = self.is_same(body.data_so_far(), general);
            tell_of_end(name, proofs.compared(name, is_same));
            is_same.then_some(())?;
        }
        let body = body.end(None);
        self.counters.written_directly();
        Some(body.into())
    }

    /// The body of an application's event. `general` is the host's text of it.
    ///
    /// `None`: it has to be made the general way.
    pub(crate) fn app_event<T: AsRef<str>>(
        &self,
        app: &str,
        name: &str,
        event: &Value,
        general: impl FnOnce() -> Option<T>,
    ) -> Option<Box<[u8]>> {
        let (way, mut buffer) = locked(&self.apps).begin(name)?;
        let mut body = Body::begin(&mut buffer, name);
        app::event(body.data(), app, event)?;
        if way == Way::Compare {
            let is_same = self.is_same(body.data_so_far(), general);
            let ends = locked(&self.apps).proofs.compared(name, is_same);
            tell_of_end(name, ends);
            is_same.then_some(())?;
        }
        // No larger than it is: what is cut off a block is another that somebody has to find.
        let body: Box<[u8]> = body.end(Some(app)).into();
        locked(&self.apps).end(buffer);
        self.counters.written_directly();
        Some(body)
    }

    fn is_same<T: AsRef<str>>(&self, direct: &[u8], general: impl FnOnce() -> Option<T>) -> bool {
        self.counters.compared();
        let is_same = general().is_some_and(|text| text.as_ref().as_bytes() == direct);
        if !is_same {
            self.counters.differed();
        }
        is_same
    }
}

/// Says, once for each type, that Asterisk writes its events from now on.
fn tell_of_end(name: &str, ends: bool) {
    if ends {
        asterisk::warning!(
            "an event {name} would not be written as Asterisk writes it; from now on Asterisk \
             writes those, which costs more and changes nothing else"
        );
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
