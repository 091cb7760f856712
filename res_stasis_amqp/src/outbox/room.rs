// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What the outbox keeps under its lock.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Depth, Ledger, Limits, Overflow};
use crate::counters::Counters;
use crate::event::Event;
use crate::loss::{Loss, Losses, Reason};

/// Places made ahead (a megabyte of addresses, real memory only once used), so that with the
/// default bound the queue never grows, and so never moves, under the lock.
const PLACES: usize = 1 << 17;

/// The same for what is in flight, in a worker's window.
const WINDOW: usize = 4096;

/// What an operation leaves to be done without the lock.
#[derive(Default)]
pub(super) struct After {
    /// Dropped events, to be freed. Mostly one, for which no list is allocated.
    freed: Option<Arc<Event>>,
    more_freed: Vec<Arc<Event>>,
    /// Something can be taken that could not before.
    news: bool,
}

impl After {
    fn free(&mut self, event: Arc<Event>) {
        if self.freed.is_none() {
            self.freed = Some(event);
        } else {
            self.more_freed.push(event);
        }
    }
}

pub(super) struct Room {
    limits: Limits,
    /// In order of sequence, always.
    queue: VecDeque<Arc<Event>>,
    queued_bytes: usize,
    /// Cost by sequence number: of what, and only of what, has been leased and not settled. It makes
    /// a second settling of one event harmless.
    in_flight: HashMap<u64, usize>,
    in_flight_bytes: usize,
    /// The worker that has what is in flight; none if nothing is.
    holder: Option<u64>,
    /// Workers that wait to be woken: one, or two while one takes over from the other.
    sleepers: Vec<u64>,
    closed: bool,
    losses: Losses,
    ledger: Ledger,
    counters: Arc<Counters>,
}

impl Room {
    pub(super) fn new(limits: Limits, counters: Arc<Counters>) -> Self {
        Self {
            limits,
            queue: VecDeque::with_capacity(limits.events.min(PLACES)),
            queued_bytes: 0,
            in_flight: HashMap::with_capacity(limits.events.min(WINDOW)),
            in_flight_bytes: 0,
            holder: None,
            sleepers: Vec::with_capacity(4),
            closed: false,
            losses: Losses::default(),
            ledger: Ledger::default(),
            counters,
        }
    }

    pub(super) fn push(&mut self, mut event: Arc<Event>, after: &mut After) {
        self.number(&mut event);
        let cost = event.cost();
        let Limits { events, bytes, overflow } = self.limits;
        let beside_in_flight =
            self.in_flight.len() < events && cost <= bytes.saturating_sub(self.in_flight_bytes);
        if self.closed {
            self.lose(event, Reason::Stopped, after);
        } else if cost > bytes {
            self.lose(event, Reason::TooLarge, after);
        } else if self.fits(cost) {
            self.enqueue(event, cost, after);
        } else if overflow == Overflow::DropNewest || !beside_in_flight {
            self.lose(event, Reason::QueueFull, after);
        } else {
            while !self.fits(cost)
                && let Some(oldest) = self.queue.pop_front()
            {
                self.queued_bytes -= oldest.cost();
                self.lose(oldest, Reason::QueueFull, after);
            }
            self.enqueue(event, cost, after);
        }
    }

    pub(super) fn lease(
        &mut self,
        worker: u64,
        max_events: usize,
        max_bytes: usize,
        into: &mut Vec<Arc<Event>>,
    ) -> usize {
        if !self.is_open_to(worker) {
            return 0;
        }
        let (mut events, mut bytes) = (0, 0usize);
        while events < max_events
            && let Some(cost) = self.queue.front().map(|event| event.cost())
            && (bytes.saturating_add(cost) <= max_bytes || self.in_flight.is_empty())
            && let Some(event) = self.queue.pop_front()
        {
            self.queued_bytes -= cost;
            self.in_flight_bytes += cost;
            self.in_flight.insert(event.sequence, cost);
            into.push(event);
            events += 1;
            bytes = bytes.saturating_add(cost);
        }
        if events > 0 {
            self.holder = Some(worker);
        }
        events
    }

    pub(super) fn settle(&mut self, worker: u64, event: &Event, after: &mut After) {
        if self.land(worker, event.sequence, after) {
            self.ledger.settled += 1;
        }
    }

    pub(super) fn discard(
        &mut self,
        worker: u64,
        event: &Event,
        reason: Reason,
        after: &mut After,
    ) {
        if self.land(worker, event.sequence, after) {
            self.count_loss(event, reason);
        }
    }

    /// `events` in order of sequence.
    pub(super) fn give_back(&mut self, worker: u64, events: Vec<Arc<Event>>, after: &mut After) {
        for event in events.into_iter().rev() {
            if !self.land(worker, event.sequence, after) {
                continue;
            }
            self.queued_bytes += event.cost();
            let place = self.queue.partition_point(|other| other.sequence < event.sequence);
            self.queue.insert(place, event);
        }
        after.news = true;
        // The bounds may have become smaller meanwhile.
        self.trim(after);
    }

    pub(super) fn sleep_if_empty(&mut self, worker: u64) -> bool {
        if self.is_open_to(worker) && !self.queue.is_empty() {
            return false;
        }
        if !self.sleepers.contains(&worker) {
            self.sleepers.push(worker);
        }
        true
    }

    pub(super) fn set_limits(&mut self, limits: Limits, after: &mut After) {
        self.limits = limits;
        self.trim(after);
        let missing = limits.events.min(PLACES).saturating_sub(self.queue.len());
        self.queue.reserve(missing);
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    pub(super) fn abandon(&mut self, reason: Reason, after: &mut After) -> usize {
        self.closed = true;
        let Depth { queued_events, in_flight_events, .. } = self.depth();
        while let Some(event) = self.queue.pop_front() {
            self.lose(event, reason, after);
        }
        self.queued_bytes = 0;
        for sequence in std::mem::take(&mut self.in_flight).into_keys() {
            self.count_loss_of(sequence, reason);
        }
        self.in_flight_bytes = 0;
        self.holder = None;
        queued_events + in_flight_events
    }

    pub(super) fn depth(&self) -> Depth {
        Depth {
            queued_events: self.queue.len(),
            queued_bytes: self.queued_bytes,
            in_flight_events: self.in_flight.len(),
            in_flight_bytes: self.in_flight_bytes,
        }
    }

    #[cfg(test)]
    pub(super) fn ledger(&self) -> Ledger {
        self.ledger
    }

    /// Whether a worker sleeps that there is something new for. It counts as woken from here on; one
    /// that has to wait for another's events sleeps on.
    pub(super) fn takes_wake(&mut self, after: &After) -> bool {
        if !after.news || self.queue.is_empty() {
            return false;
        }
        let holder = self.holder;
        let sleepers = self.sleepers.len();
        self.sleepers.retain(|worker| holder.is_some_and(|holder| holder != *worker));
        self.sleepers.len() < sleepers
    }

    /// Whether consumers are to be told of losses now: some room is free again, so that telling is
    /// not what fills it, and a queue that stays at its bound tells once and not at every event.
    pub(super) fn owes_report(&self) -> bool {
        let Limits { events, bytes, .. } = self.limits;
        let used = self.queue.len() + self.in_flight.len();
        !self.losses.is_empty()
            && !self.closed
            && used < events
            && used <= events - events / 10
            && self.used_bytes() <= bytes - bytes / 10
    }

    /// As many losses as there are places for reports.
    pub(super) fn take_losses(&mut self) -> Vec<Loss> {
        let used = self.queue.len() + self.in_flight.len();
        match self.closed {
            true => Vec::new(),
            false => self.losses.take(self.limits.events.saturating_sub(used)),
        }
    }

    /// Queues a report, or takes its loss back if there is no room. It never displaces an event, and
    /// a report that is not queued is no loss itself: the telling cannot make more to tell.
    pub(super) fn push_report(&mut self, mut report: Arc<Event>, after: &mut After) {
        let cost = report.cost();
        if self.fits(cost) {
            self.number(&mut report);
            self.enqueue(report, cost, after);
        } else if let Some(loss) = &report.loss {
            self.losses.add(**loss);
        }
    }

    fn number(&mut self, event: &mut Arc<Event>) {
        self.ledger.numbered += 1;
        self.counters.queued.fetch_add(1, Ordering::Relaxed);
        // Nobody else has it yet, so there is always a way in.
        if let Some(event) = Arc::get_mut(event) {
            event.sequence = self.ledger.numbered;
        }
    }

    fn enqueue(&mut self, event: Arc<Event>, cost: usize, after: &mut After) {
        self.queued_bytes += cost;
        self.queue.push_back(event);
        after.news = true;
    }

    /// Takes an event out of flight; false if `worker` does not have it.
    fn land(&mut self, worker: u64, sequence: u64, after: &mut After) -> bool {
        if self.holder != Some(worker) {
            return false;
        }
        let Some(cost) = self.in_flight.remove(&sequence) else {
            return false;
        };
        self.in_flight_bytes -= cost;
        if self.in_flight.is_empty() {
            // Another worker may have waited for this.
            self.holder = None;
            after.news = true;
        }
        true
    }

    fn lose(&mut self, event: Arc<Event>, reason: Reason, after: &mut After) {
        self.count_loss(&event, reason);
        after.free(event);
    }

    /// With a report that is lost, what it told of is untold again.
    fn count_loss(&mut self, event: &Event, reason: Reason) {
        self.count_loss_of(event.sequence, reason);
        if let Some(loss) = &event.loss {
            self.losses.add(**loss);
        }
    }

    fn count_loss_of(&mut self, sequence: u64, reason: Reason) {
        self.ledger.dropped += 1;
        self.counters.lost(reason);
        self.losses.add(Loss::of_one(sequence, reason));
    }

    /// Drops what is queued beyond the bounds. What is in flight stays, whatever they are.
    fn trim(&mut self, after: &mut After) {
        while !self.fits_all()
            && let Some(event) = match self.limits.overflow {
                Overflow::DropOldest => self.queue.pop_front(),
                Overflow::DropNewest => self.queue.pop_back(),
            }
        {
            self.queued_bytes -= event.cost();
            self.lose(event, Reason::QueueFull, after);
        }
    }

    fn is_open_to(&self, worker: u64) -> bool {
        self.holder.is_none_or(|holder| holder == worker)
    }

    fn fits(&self, cost: usize) -> bool {
        self.queue.len() + self.in_flight.len() < self.limits.events
            && cost <= self.limits.bytes.saturating_sub(self.used_bytes())
    }

    fn fits_all(&self) -> bool {
        self.queue.len() + self.in_flight.len() <= self.limits.events
            && self.used_bytes() <= self.limits.bytes
    }

    fn used_bytes(&self) -> usize {
        self.queued_bytes + self.in_flight_bytes
    }
}
