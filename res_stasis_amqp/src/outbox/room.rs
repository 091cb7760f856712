// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What the outbox keeps under its lock.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::spooling::Disk;
use super::{Depth, Ledger, Reserve};
use crate::counters::Counters;
use crate::event::Event;
use crate::identity::Place;
use crate::limits::{Limits, Overflow};
use crate::loss::{Loss, Losses, Reason, Told};

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
    pub(super) news: bool,
}

impl After {
    pub(super) fn free_all(&mut self, events: Vec<Arc<Event>>) {
        if self.more_freed.is_empty() {
            self.more_freed = events;
        } else {
            self.more_freed.extend(events);
        }
    }

    fn free(&mut self, event: Arc<Event>) {
        if self.freed.is_none() {
            self.freed = Some(event);
        } else {
            self.more_freed.push(event);
        }
    }
}

pub(super) struct Room {
    pub(super) limits: Limits,
    /// In order of sequence, always.
    pub(super) queue: VecDeque<Arc<Event>>,
    pub(super) queued_bytes: usize,
    /// Given back, or read back from disk; in order, all before what is unread there and before the
    /// queue.
    pub(super) ready: VecDeque<Arc<Event>>,
    pub(super) ready_bytes: usize,
    /// Being written to disk by the pump. It is between what is on disk and the queue.
    pub(super) spooling: Vec<Arc<Event>>,
    pub(super) spooling_bytes: usize,
    pub(super) disk: Disk,
    /// What, and only what, has been leased and not settled. It makes a second settling of one event
    /// harmless.
    pub(super) in_flight: HashMap<Place, Arc<Event>>,
    pub(super) in_flight_bytes: usize,
    /// The worker that has what is in flight; none if nothing is.
    holder: Option<u64>,
    /// Workers that wait to be woken: one, or two while one takes over from the other.
    sleepers: Vec<u64>,
    closed: bool,
    pub(super) losses: Losses,
    pub(super) ledger: Ledger,
    pub(super) counters: Arc<Counters>,
}

impl Room {
    pub(super) fn new(limits: Limits, counters: Arc<Counters>) -> Self {
        Self {
            limits,
            queue: VecDeque::with_capacity(limits.events.min(PLACES)),
            queued_bytes: 0,
            ready: VecDeque::new(),
            ready_bytes: 0,
            spooling: Vec::new(),
            spooling_bytes: 0,
            disk: Disk::default(),
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
        let Reserve { events, bytes } = self.bounds();
        let beside_held =
            self.held_events() < events && cost <= bytes.saturating_sub(self.held_bytes());
        if self.closed {
            self.lose(event, Reason::Stopped, after);
        } else if cost > bytes {
            self.lose(event, Reason::TooLarge, after);
        } else if self.fits(cost) {
            self.enqueue(event, cost, after);
        } else if self.limits.overflow == Overflow::DropNewest || !beside_held {
            self.lose(event, Reason::QueueFull, after);
        } else {
            while !self.fits(cost)
                && let Some(oldest) = self.pop_oldest()
            {
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
        if !self.is_open_to(worker) || self.is_opening() {
            return 0;
        }
        let (mut events, mut bytes) = (0, 0usize);
        while events < max_events
            && let Some(cost) = self.first().map(|event| event.cost())
            && (bytes.saturating_add(cost) <= max_bytes || self.in_flight.is_empty())
            && self.may_fly(cost)
            && let Some(event) = self.take_first(cost)
        {
            self.in_flight_bytes += cost;
            self.in_flight.insert(event.place(), Arc::clone(&event));
            into.push(event);
            events += 1;
            bytes = bytes.saturating_add(cost);
        }
        if events > 0 {
            self.holder = Some(worker);
            self.disk.moves += 1;
        }
        events
    }

    /// The next to lease. From the queue only if nothing before it is on disk, or on its way there.
    fn first(&self) -> Option<&Arc<Event>> {
        match self.ready.front() {
            None if self.disk.unread == 0 && !self.disk.is_writing => self.queue.front(),
            first => first,
        }
    }

    fn take_first(&mut self, cost: usize) -> Option<Arc<Event>> {
        if let Some(event) = self.ready.pop_front() {
            self.ready_bytes -= cost;
            return Some(event);
        }
        let event = self.queue.pop_front()?;
        self.queued_bytes -= cost;
        self.disk.leased = self.disk.leased.max(event.place());
        Some(event)
    }

    pub(super) fn settle(&mut self, worker: u64, event: &Event, after: &mut After) {
        if self.land(worker, event.place(), after) {
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
        if self.land(worker, event.place(), after) {
            self.count_loss(event, reason);
        }
    }

    /// `events` in order. With a spool a worker gives back all that it has at once, or what it keeps
    /// may come out of order.
    pub(super) fn give_back(&mut self, worker: u64, events: Vec<Arc<Event>>, after: &mut After) {
        for event in events.into_iter().rev() {
            let place = event.place();
            if !self.land(worker, place, after) {
                continue;
            }
            self.ready_bytes += event.cost();
            let at = self.ready.partition_point(|other| other.place() < place);
            self.ready.insert(at, event);
        }
        after.news = true;
        // The bounds may have become smaller meanwhile.
        self.trim(after);
    }

    pub(super) fn sleep_if_empty(&mut self, worker: u64) -> bool {
        if self.is_open_to(worker) && self.first().is_some() && !self.is_opening() {
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

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(super) fn abandon(&mut self, reason: Reason, after: &mut After) -> usize {
        self.closed = true;
        let held: Vec<_> = std::mem::take(&mut self.in_flight).into_values().collect();
        self.in_flight_bytes = 0;
        self.holder = None;
        let held = held.into_iter().chain(std::mem::take(&mut self.ready));
        let held = held.chain(std::mem::take(&mut self.spooling));
        let held = held.chain(std::mem::take(&mut self.queue));
        self.ready_bytes = 0;
        self.spooling_bytes = 0;
        self.queued_bytes = 0;
        let mut lost = 0;
        for event in held.collect::<Vec<_>>() {
            if self.is_on_disk(event.place()) {
                self.disk.unread += 1;
                after.free(event);
            } else {
                lost += 1;
                self.lose(event, reason, after);
            }
        }
        lost
    }

    pub(super) fn depth(&self) -> Depth {
        Depth {
            queued_events: self.queue.len() + self.ready.len() + self.spooling.len(),
            queued_bytes: self.queued_bytes + self.ready_bytes + self.spooling_bytes,
            in_flight_events: self.in_flight.len(),
            in_flight_bytes: self.in_flight_bytes,
            spooled_events: self.disk.unread,
        }
    }

    pub(super) fn unsaved_events(&self) -> usize {
        let held = self.ready.iter().chain(self.in_flight.values());
        let unsaved = held.filter(|event| !self.is_on_disk(event.place())).count();
        self.queue.len() + self.spooling.len() + unsaved
    }

    #[cfg(test)]
    pub(super) fn ledger(&self) -> Ledger {
        Ledger { recovered: self.disk.recovered, ..self.ledger }
    }

    /// Whether a worker sleeps that there is something new for. It counts as woken from here on; one
    /// that has to wait for another's events sleeps on.
    pub(super) fn takes_wake(&mut self, after: &After) -> bool {
        if !after.news || self.first().is_none() || self.is_opening() {
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
        let Reserve { events, bytes } = self.bounds();
        let used = self.used_events();
        !self.losses.is_empty()
            && !self.closed
            && !self.disk.is_full
            && used < events
            && used <= events - events / 10
            && self.used_bytes() <= bytes - bytes / 10
    }

    /// As many losses as there are places for reports.
    pub(super) fn take_losses(&mut self) -> Vec<Told> {
        match self.closed {
            true => Vec::new(),
            false => self.losses.take(self.bounds().events.saturating_sub(self.used_events())),
        }
    }

    /// Queues a report, or takes its loss back if there is no room. It never displaces an event, and
    /// a report that is not queued is no loss itself: the telling cannot make more to tell.
    pub(super) fn push_report(&mut self, mut report: Arc<Event>, after: &mut After) {
        let cost = report.cost();
        if self.fits(cost) {
            self.number(&mut report);
            self.enqueue(report, cost, after);
        } else if let Some(told) = &report.loss {
            self.losses.add(told.about.as_ref(), told.loss);
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
    fn land(&mut self, worker: u64, place: Place, after: &mut After) -> bool {
        if self.holder != Some(worker) {
            return false;
        }
        // The caller has the event too, so nothing is freed here.
        let Some(event) = self.in_flight.remove(&place) else {
            return false;
        };
        self.in_flight_bytes -= event.cost();
        self.disk.moves += 1;
        if self.in_flight.is_empty() {
            // Another worker may have waited for this.
            self.holder = None;
            after.news = true;
        }
        true
    }

    pub(super) fn lose(&mut self, event: Arc<Event>, reason: Reason, after: &mut After) {
        self.count_loss(&event, reason);
        after.free(event);
    }

    /// With a report that is lost, what it told of is untold again.
    fn count_loss(&mut self, event: &Event, reason: Reason) {
        self.ledger.dropped += 1;
        self.counters.lost(reason);
        let of = event.origin.as_ref().map(|origin| &origin.identity);
        self.losses.add(of, Loss::of_one(event.sequence, reason));
        if let Some(told) = &event.loss {
            self.losses.add(told.about.as_ref().or(of), told.loss);
        }
    }

    fn is_open_to(&self, worker: u64) -> bool {
        self.holder.is_none_or(|holder| holder == worker)
    }

    /// Whether a push has room.
    fn fits(&self, cost: usize) -> bool {
        let Reserve { events, bytes } = self.bounds();
        self.used_events() < events && cost <= bytes.saturating_sub(self.used_bytes())
    }

    /// What no push can displace.
    fn held_events(&self) -> usize {
        let ready = if self.disk.is_on { self.ready.len() } else { 0 };
        ready + self.spooling.len() + self.in_flight.len()
    }

    fn held_bytes(&self) -> usize {
        let ready = if self.disk.is_on { self.ready_bytes } else { 0 };
        ready + self.spooling_bytes + self.in_flight_bytes
    }

    pub(super) fn fits_all(&self) -> bool {
        self.used_events() <= self.limits.events && self.used_bytes() <= self.limits.bytes
    }

    pub(super) fn used_events(&self) -> usize {
        self.queue.len() + self.ready.len() + self.spooling.len() + self.in_flight.len()
    }

    pub(super) fn used_bytes(&self) -> usize {
        self.queued_bytes + self.ready_bytes + self.spooling_bytes + self.in_flight_bytes
    }
}
