// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The events that were taken from the outbox and are not settled: what goes out next, what waits
//! for its confirm, what rests after a nack.
//!
//! Whatever is in here goes back to the outbox, in order, when this is dropped: at the end of
//! a channel, and also when a panic unwinds through its owner.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::event::Event;
use crate::loss::Reason;
use crate::outbox::Outbox;

use super::message::MOST_BODY_BYTES;

/// Events that may be unconfirmed. Two thousand keep a broker busy over any sensible latency, and
/// lapin's bookkeeping of a `multiple` ack is linear in their number.
const WINDOW_EVENTS: usize = 2048;

/// Bytes that may be unconfirmed; one event may pass it.
const WINDOW_BYTES: usize = 8 * 1024 * 1024;

/// Events taken from the outbox at one time.
const BATCH: usize = 256;

/// Events that may rest at one time. They do not count in the window, so that what the broker
/// refuses for one queue does not hold up the others.
const MOST_RESTING: usize = 4096;

/// How often an event is sent before its nacks are taken as final, and how long it rests after
/// the first; then twice as long each time.
const MOST_ATTEMPTS: u32 = 5;
const FIRST_REST: Duration = Duration::from_millis(250);

struct Sent {
    event: Arc<Event>,
    attempt: u32,
    at: Instant,
}

/// An event on its way out.
pub(super) struct Parcel {
    pub(super) event: Arc<Event>,
    /// It has been sent before, so consumers may see it twice.
    pub(super) again: bool,
}

pub(super) struct InFlight {
    outbox: Arc<Outbox>,
    worker: u64,
    /// The highest sequence number ever sent by this worker.
    high_water: Arc<AtomicU64>,
    fresh: Vec<Arc<Event>>,
    sent: BTreeMap<u64, Sent>,
    sent_bytes: usize,
    /// When what was sent, oldest first; an entry may be out of date.
    order: VecDeque<(Instant, u64)>,
    resting: BTreeMap<(Instant, u64), (Arc<Event>, u32)>,
}

impl InFlight {
    pub(super) fn new(outbox: Arc<Outbox>, worker: u64, high_water: Arc<AtomicU64>) -> Self {
        Self {
            outbox,
            worker,
            high_water,
            fresh: Vec::with_capacity(BATCH),
            sent: BTreeMap::new(),
            sent_bytes: 0,
            order: VecDeque::new(),
            resting: BTreeMap::new(),
        }
    }

    fn has_room(&self) -> bool {
        self.sent.len() < WINDOW_EVENTS && self.sent_bytes < WINDOW_BYTES
    }

    /// Whether an event that arrives now could be taken. If not, there is no use in being woken.
    pub(super) fn would_lease(&self) -> bool {
        self.has_room() && self.resting.len() < MOST_RESTING
    }

    /// The next event to send: one whose rest is over, or one from the outbox if `lease`. It is
    /// then held as sent.
    pub(super) fn next(&mut self, now: Instant, lease: bool) -> Option<Parcel> {
        if !self.has_room() {
            return None;
        }
        if let Some(entry) = self.resting.first_entry()
            && entry.key().0 <= now
        {
            let ((_, _), (event, attempt)) = entry.remove_entry();
            return Some(self.send(event, attempt + 1, now));
        }
        if !lease {
            return None;
        }
        loop {
            if self.fresh.is_empty() && !self.refill() {
                return None;
            }
            let event = self.fresh.pop()?;
            if event.body.len() <= MOST_BODY_BYTES {
                return Some(self.send(event, 1, now));
            }
            self.outbox.discard(self.worker, &event, Reason::TooLarge);
        }
    }

    fn refill(&mut self) -> bool {
        if self.resting.len() >= MOST_RESTING {
            return false;
        }
        let events = BATCH.min(WINDOW_EVENTS.saturating_sub(self.sent.len()));
        let bytes = WINDOW_BYTES.saturating_sub(self.sent_bytes);
        self.outbox.lease(self.worker, events, bytes, &mut self.fresh);
        // Taken from the end, so the oldest must be last.
        self.fresh.reverse();
        !self.fresh.is_empty()
    }

    fn send(&mut self, event: Arc<Event>, attempt: u32, now: Instant) -> Parcel {
        let sequence = event.sequence;
        let highest = self.high_water.fetch_max(sequence, Ordering::Relaxed);
        self.sent_bytes += event.cost();
        self.order.push_back((now, sequence));
        self.sent.insert(sequence, Sent { event: event.clone(), attempt, at: now });
        Parcel { event, again: sequence <= highest }
    }

    fn unsent(&mut self, sequence: u64) -> Option<Sent> {
        let sent = self.sent.remove(&sequence)?;
        self.sent_bytes = self.sent_bytes.saturating_sub(sent.event.cost());
        Some(sent)
    }

    /// The broker has it, or it was only to be written.
    pub(super) fn settle(&mut self, sequence: u64) {
        if let Some(sent) = self.unsent(sequence) {
            self.outbox.settle(self.worker, &sent.event);
        }
    }

    /// The broker would not take it now. It is sent again after a rest, or given up.
    pub(super) fn nacked(&mut self, sequence: u64, now: Instant) {
        let Some(sent) = self.unsent(sequence) else { return };
        if sent.attempt >= MOST_ATTEMPTS {
            self.outbox.discard(self.worker, &sent.event, Reason::Refused);
            return;
        }
        let rest = FIRST_REST.saturating_mul(1 << (sent.attempt - 1));
        self.resting.insert((now + rest, sequence), (sent.event, sent.attempt));
    }

    /// Since when the broker owes the oldest confirm.
    pub(super) fn oldest(&mut self) -> Option<Instant> {
        while let Some((at, sequence)) = self.order.front() {
            if self.sent.get(sequence).is_some_and(|sent| sent.at == *at) {
                return Some(*at);
            }
            self.order.pop_front();
        }
        None
    }

    /// The broker was not able to confirm until now, so it owes nothing yet.
    pub(super) fn forgive(&mut self, now: Instant) {
        self.order.clear();
        for (sequence, sent) in &mut self.sent {
            sent.at = now;
            self.order.push_back((now, *sequence));
        }
    }

    pub(super) fn unconfirmed(&self) -> usize {
        self.sent.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sent.is_empty() && self.resting.is_empty() && self.fresh.is_empty()
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut events = std::mem::take(&mut self.fresh);
        events.extend(std::mem::take(&mut self.sent).into_values().map(|sent| sent.event));
        events.extend(std::mem::take(&mut self.resting).into_values().map(|(event, _)| event));
        if !events.is_empty() {
            self.outbox.give_back(self.worker, events);
        }
    }
}
