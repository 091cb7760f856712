// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The spool's side of the room: what goes to disk, what comes back, and what of it is settled.
//!
//! In order of events: in flight, `ready`, on disk, `spooling`, `queue`. While anything is before
//! the queue, nothing is leased from it. Whenever the disk holds unread events, everything older
//! that is not settled is on disk too: what was leased from memory is copied before them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Reserve;
use super::room::{After, Room};
use crate::event::Event;
use crate::identity::Place;
use crate::limits::Overflow;
use crate::loss::Reason;
use crate::spool::Lost;

/// The most to read ahead.
const AHEAD: usize = 8 << 20;

/// What the room knows of the disk.
#[derive(Default)]
pub(super) struct Disk {
    /// Memory may be relieved: pushes leave a reserve, and wake the pump.
    pub(super) is_on: bool,
    /// Until then nothing is leased: what a former run left comes first.
    pub(super) opening_until: Option<Instant>,
    /// It takes no more, or has just dropped something.
    pub(super) is_full: bool,
    pub(super) unread: u64,
    /// Everything up to here that is not settled is on disk.
    pub(super) written: Place,
    /// What that will be when the batch is written.
    pub(super) writing_to: Place,
    /// But nothing up to here: it went to make room, or is damaged.
    pub(super) gone: Place,
    /// The highest that was leased from the queue.
    pub(super) leased: Place,
    pub(super) recovered: u64,
    /// Leased and settled together: it stands still if the broker does.
    pub(super) moves: u64,
    /// A batch is being written: what is queued comes after it, also if it has copies only.
    pub(super) is_writing: bool,
    /// The pump has been woken and has not come yet.
    pub(super) is_called: bool,
    /// What it would come for.
    pub(super) calls: Calls,
}

/// What there is no use in waking the pump for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Calls {
    /// It can write.
    pub(crate) to_write: bool,
    /// It can read, and what comes next has room.
    pub(crate) to_read: bool,
}

/// How much to take from memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// What is beyond half of the bounds.
    Half,
    /// Everything.
    All,
}

/// What is to be written now.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// What is in memory, was taken from there, and is not on disk.
    pub(crate) copies: Vec<Arc<Event>>,
    /// What leaves memory.
    pub(crate) events: Vec<Arc<Event>>,
}

/// How much may be read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    pub(crate) events: usize,
    pub(crate) bytes: usize,
    /// Nothing else is left to publish, so one event has to come, however large.
    pub(crate) at_least_one: bool,
}

/// What the pump judges by whether the broker takes anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) moves: u64,
    /// Something is only in memory.
    pub(crate) waits: bool,
}

impl Room {
    /// Nothing is leased until [`Room::attach`] or [`Room::release`], or for `limit`.
    pub(super) fn expect(&mut self, limit: Duration) {
        self.disk.opening_until = Some(Instant::now() + limit);
    }

    pub(super) fn release(&mut self, after: &mut After) {
        after.news |= self.disk.opening_until.take().is_some();
    }

    /// A push, a lease or a look at what there is finds out that waiting has taken too long.
    pub(super) fn is_opening(&mut self) -> bool {
        let over = self.disk.opening_until.is_some_and(|until| Instant::now() >= until);
        if over {
            self.disk.opening_until = None;
        }
        self.disk.opening_until.is_some()
    }

    /// A spool was opened that holds `unread` events, the last of which is `written`; others that it
    /// held are lost.
    pub(super) fn attach(&mut self, unread: u64, written: Place, lost: &[Lost], after: &mut After) {
        let gone: u64 = lost.iter().map(|lost| lost.loss.count).sum();
        self.disk.is_on = true;
        self.disk.is_full = false;
        self.disk.written = written;
        self.disk.gone = Place::default();
        self.disk.recovered += unread + gone;
        self.counters.recovered.fetch_add(unread + gone, Ordering::Relaxed);
        self.disk.unread = unread;
        self.lose_spooled(lost, unread);
        self.disk.opening_until = None;
        after.news = true;
    }

    /// Nothing is to be written any more; what is on disk may still be read.
    pub(super) fn detach(&mut self) {
        self.disk.is_on = false;
        self.disk.is_full = false;
    }

    /// What was detached is wanted again.
    pub(super) fn resume(&mut self) {
        self.disk.is_on = true;
    }

    /// The disk is empty, and another or none comes.
    pub(super) fn forget_disk(&mut self, after: &mut After) {
        self.detach();
        self.disk.unread = 0;
        self.disk.written = Place::default();
        self.disk.gone = Place::default();
        after.news = true;
    }

    pub(super) fn begin_spooling(
        &mut self,
        goal: Goal,
        max_events: usize,
        max_bytes: usize,
    ) -> Option<Batch> {
        if self.disk.is_writing {
            return None;
        }
        let mut batch = Batch::default();
        let (used_events, used_bytes) = (self.used_events(), self.used_bytes());
        while batch.events.len() < max_events
            && let Some(cost) = self.queue.front().map(|event| event.cost())
            && (batch.events.is_empty() || self.spooling_bytes + cost <= max_bytes)
            && (goal == Goal::All
                || self.is_above_half(
                    used_events - batch.events.len(),
                    used_bytes - self.spooling_bytes,
                ))
            && let Some(event) = self.queue.pop_front()
        {
            self.queued_bytes -= cost;
            self.spooling_bytes += cost;
            batch.events.push(event);
        }
        if self.disk.leased > self.disk.written && (goal == Goal::All || !batch.events.is_empty()) {
            let written = self.disk.written;
            let in_memory = self.in_flight.values().chain(&self.ready);
            let is_due = |event: &&Arc<Event>| event.origin.is_none() && event.place() > written;
            batch.copies.extend(in_memory.filter(is_due).cloned());
        }
        let last = batch.events.last().map(|event| event.place()).unwrap_or_default();
        self.disk.writing_to = self.disk.written.max(last).max(self.disk.leased);
        self.spooling.clone_from(&batch.events);
        self.disk.is_writing = !batch.events.is_empty() || !batch.copies.is_empty();
        self.disk.is_writing.then_some(batch)
    }

    /// The batch is on disk, but for what is `lost` of it, or had to go for it.
    pub(super) fn end_spooling(&mut self, unread: u64, lost: &[Lost], after: &mut After) {
        let spooled = std::mem::take(&mut self.spooling);
        self.spooling_bytes = 0;
        self.disk.is_writing = false;
        self.disk.written = self.disk.writing_to;
        self.counters.spooled.fetch_add(spooled.len() as u64, Ordering::Relaxed);
        after.free_all(spooled);
        self.lose_spooled(lost, unread);
        after.news = true;
    }

    /// The batch could not be written: it is where it was.
    pub(super) fn undo_spooling(&mut self, unread: u64, lost: &[Lost], after: &mut After) {
        self.disk.is_writing = false;
        let spooling = std::mem::take(&mut self.spooling);
        self.queued_bytes += std::mem::take(&mut self.spooling_bytes);
        for event in spooling.into_iter().rev() {
            self.queue.push_front(event);
        }
        self.lose_spooled(lost, unread);
        after.news = true;
    }

    /// The spool takes no more, or does again.
    pub(super) fn set_full(&mut self, full: bool) {
        self.disk.is_full = full;
    }

    /// What of the spool nobody will read any more. `unread` is what is left in it.
    pub(super) fn lose_spooled(&mut self, lost: &[Lost], unread: u64) {
        self.disk.unread = unread;
        for Lost { about, loss, untold } in lost {
            self.ledger.dropped += loss.count;
            self.counters.lost_many(loss.reason, loss.count);
            self.losses.add(about.as_ref(), *loss);
            for told in untold {
                self.losses.add(told.about.as_ref(), told.loss);
            }
            self.disk.is_full |= loss.reason == Reason::SpoolFull;
        }
    }

    /// What is in memory up to here is not on disk any more.
    pub(super) fn note_gone(&mut self, gone: Place) {
        self.disk.gone = self.disk.gone.max(gone);
    }

    pub(super) fn budget(&self) -> Option<Budget> {
        if self.disk.unread == 0 {
            return None;
        }
        let most_events = (self.limits.events / 8).max(1);
        let most_bytes = (self.limits.bytes / 8).min(AHEAD);
        if self.ready.len() > most_events / 2 || self.ready_bytes > most_bytes / 2 {
            return None;
        }
        // What comes live needs its room too, or it would be dropped for what is read.
        let held_events = self.ready.len() + self.in_flight.len();
        let held_bytes = self.ready_bytes + self.in_flight_bytes;
        let may_hold = |all: usize| all / 8 * 3;
        let free_events = may_hold(self.limits.events).saturating_sub(held_events);
        let free_bytes = may_hold(self.limits.bytes).saturating_sub(held_bytes);
        let free_events = free_events.min(self.limits.events.saturating_sub(self.used_events()));
        let free_bytes = free_bytes.min(self.limits.bytes.saturating_sub(self.used_bytes()));
        let events = most_events.saturating_sub(self.ready.len()).min(free_events);
        let bytes = most_bytes.saturating_sub(self.ready_bytes).min(free_bytes);
        let at_least_one = self.ready.is_empty() && self.in_flight.is_empty();
        let events = if at_least_one { events.max(1) } else { events };
        (events > 0).then_some(Budget { events, bytes, at_least_one })
    }

    /// Events that were read back, in order. If they do not fit they come all the same, and what is
    /// queued makes room: nothing else would get on.
    pub(super) fn replay(&mut self, events: Vec<Arc<Event>>, unread: u64, after: &mut After) {
        self.disk.unread = unread;
        self.counters.replayed.fetch_add(events.len() as u64, Ordering::Relaxed);
        for event in events {
            let cost = event.cost();
            if cost > self.limits.bytes {
                self.lose(event, Reason::TooLarge, after);
                continue;
            }
            self.ready_bytes += cost;
            let place = event.place();
            let at = self.ready.partition_point(|other| other.place() < place);
            self.ready.insert(at, event);
        }
        self.trim(after);
        after.news = true;
    }

    /// The oldest that is not settled; none if all is.
    pub(super) fn oldest_unsettled(&self) -> Option<Place> {
        let in_flight = self.in_flight.keys().min().copied();
        let ready = self.ready.front().map(|event| event.place());
        in_flight.into_iter().chain(ready).min()
    }

    pub(super) fn progress(&self) -> Progress {
        let is_leased = !self.in_flight.is_empty() || !self.ready.is_empty();
        let leased_only = self.disk.leased > self.disk.written && is_leased;
        Progress { moves: self.disk.moves, waits: !self.queue.is_empty() || leased_only }
    }

    /// Whether the pump should come at once: memory has passed half, or what was read ahead runs out.
    pub(super) fn calls_pump(&mut self) -> bool {
        let Calls { to_write, to_read } = self.disk.calls;
        if self.disk.is_called || !to_write && !to_read {
            return false;
        }
        let relieve = to_write
            && !self.queue.is_empty()
            && self.is_above_half(self.used_events(), self.used_bytes());
        self.disk.is_called = relieve || to_read && self.budget().is_some();
        self.disk.is_called
    }

    /// The pump goes to sleep, until one of these or its time.
    pub(super) fn pump_sleeps(&mut self, calls: Calls) {
        self.disk.calls = calls;
        self.disk.is_called = false;
    }

    /// Whether an event that is in memory is on disk too.
    pub(super) fn is_on_disk(&self, place: Place) -> bool {
        self.disk.gone < place && place <= self.disk.written
    }

    /// Whether one more event may be in flight: with a spool, what is in flight leaves room for what
    /// comes, which could not be written to disk to make some.
    pub(super) fn may_fly(&self, cost: usize) -> bool {
        !self.disk.is_on
            || self.in_flight.is_empty()
            || self.in_flight.len() < self.limits.events / 2
                && self.in_flight_bytes + cost <= self.limits.bytes / 2
    }

    /// What pushes may use: with a spool, not all, so that reading back always has room.
    pub(super) fn bounds(&self) -> Reserve {
        let reserve = |all: usize| if self.disk.is_on { all - all / 8 } else { all };
        Reserve { events: reserve(self.limits.events), bytes: reserve(self.limits.bytes) }
    }

    fn is_above_half(&self, events: usize, bytes: usize) -> bool {
        events > self.limits.events / 2 || bytes > self.limits.bytes / 2
    }

    /// Drops what is queued beyond the bounds. What is in flight, or on its way to or from the disk,
    /// stays, whatever they are.
    pub(super) fn trim(&mut self, after: &mut After) {
        while !self.fits_all()
            && let Some(event) = match self.limits.overflow {
                Overflow::DropOldest => self.pop_oldest(),
                Overflow::DropNewest => self.pop_newest(),
            }
        {
            self.lose(event, Reason::QueueFull, after);
        }
    }

    /// What `drop_oldest` drops next. What was given back is older, but may be delivered yet by the
    /// connection that had it, and then would come too late: it goes only where it leaves less than
    /// half of the room to what comes.
    pub(super) fn pop_oldest(&mut self) -> Option<Arc<Event>> {
        let crowds = self.ready.len() > self.limits.events / 2
            || self.ready_bytes > self.limits.bytes / 2
            || self.queue.is_empty();
        let (line, bytes) = match crowds && !self.disk.is_on {
            true => (&mut self.ready, &mut self.ready_bytes),
            false => (&mut self.queue, &mut self.queued_bytes),
        };
        let event = line.pop_front()?;
        *bytes -= event.cost();
        Some(event)
    }

    fn pop_newest(&mut self) -> Option<Arc<Event>> {
        let (line, bytes) = match self.queue.is_empty() && !self.disk.is_on {
            true => (&mut self.ready, &mut self.ready_bytes),
            false => (&mut self.queue, &mut self.queued_bytes),
        };
        let event = line.pop_back()?;
        *bytes -= event.cost();
        Some(event)
    }
}
