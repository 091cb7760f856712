// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The bounded queue between Asterisk's threads and the one that publishes.
//!
//! An event is *queued* until a worker leases it, then *in flight* until the worker settles it
//! (delivered), discards it (undeliverable) or gives it back (the connection ended first). Room is
//! bounded in events and bytes, and what is in flight has its place still, so that giving back
//! always fits. When all room is taken, `drop_oldest` drops queued events from the front and
//! `drop_newest` the new one. What is in flight is never dropped, and what was given back only where
//! it takes more than half of the room, since it may have been delivered.
//!
//! With a spool, what is too much for memory goes to disk and comes back before it is leased; see
//! `spool` and `outbox/spooling.rs`.
//!
//! Every event has a sequence number, also one that is dropped, so that consumers see the gap. Once
//! a tenth of the room is free again, the gap is explained: an `EventsLost` for each range is queued
//! like any event. If that is dropped in turn, its range goes back to those not told of. So at every
//! moment `numbered = settled + dropped + queued + in flight` (and on disk), and each number is either leased or
//! in a range that was told of or will be.
//!
//! A push is one short critical section of a std mutex, which leaves nothing behind on Asterisk's
//! thread. Events are made before it and freed after it; inside, only the queue may grow.

mod alarm;
mod room;
mod spooling;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub(crate) use alarm::Alarm;
pub(crate) use spooling::{Batch, Budget, Calls, Goal, Progress};

use crate::counters::Counters;
use crate::event::{Event, now};
use crate::identity::Place;
use crate::limits::Limits;
use crate::loss::Reason;
use crate::spool::Lost;
use room::{After, Room};

/// Events that are settled under one lock, for which a push may have to wait.
const SETTLED_AT_ONCE: usize = 64;

/// How much a push may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reserve {
    events: usize,
    bytes: usize,
}

/// How much there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Depth {
    /// Events that wait in memory.
    pub queued_events: usize,
    /// Their bytes.
    pub queued_bytes: usize,
    /// Events leased and not yet settled.
    pub in_flight_events: usize,
    /// Their bytes.
    pub in_flight_bytes: usize,
    /// Events on disk that are not in memory.
    pub spooled_events: u64,
}

impl Depth {
    /// Whether nothing waits, wherever.
    pub(crate) fn nothing_waits(&self) -> bool {
        self.queued_events == 0 && self.spooled_events == 0
    }
}

/// What became of all events there ever were:
/// `numbered + recovered = settled + dropped + queued + in flight + spooled`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    /// The highest sequence number given.
    pub numbered: u64,
    /// Found in the spool.
    pub recovered: u64,
    /// Delivered.
    pub settled: u64,
    /// Lost.
    pub dropped: u64,
}

/// The queue. Shared by all who push and the workers who take; one worker at a time has events.
pub(crate) struct Outbox {
    boot: Box<str>,
    room: Mutex<Room>,
    wake: Box<dyn Fn() + Send + Sync>,
    alarm: Arc<Alarm>,
}

impl Outbox {
    /// `wake` is called, without any lock held, when a worker that said it sleeps has something to
    /// take: on any thread, Asterisk's too. It must reach every worker of this outbox, and reach one
    /// that has said so but does not sleep yet (a permit, not an edge). `boot` is this run.
    pub(crate) fn new(
        boot: &str,
        limits: Limits,
        counters: Arc<Counters>,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        Self {
            boot: boot.into(),
            room: Mutex::new(Room::new(limits, counters)),
            wake: Box::new(wake),
            alarm: Arc::default(),
        }
    }

    /// Numbers an event and queues it, if there is room.
    pub(crate) fn push(&self, event: Event) {
        let event = Arc::new(event);
        self.with_room(|room, after| room.push(event, after));
    }

    /// Moves up to `max_events` of at most `max_bytes` together to `into`, in order, and returns how
    /// many. An event larger than `max_bytes` goes alone. Nothing while another worker has events:
    /// two connections would mix up the order.
    pub(crate) fn lease(
        &self,
        worker: u64,
        max_events: usize,
        max_bytes: usize,
        into: &mut Vec<Arc<Event>>,
    ) -> usize {
        self.with_room(|room, _| room.lease(worker, max_events, max_bytes, into))
    }

    /// Leased events are delivered, or as good as. Ignored for one that `worker` does not have.
    pub(crate) fn settle(&self, worker: u64, events: &[Arc<Event>]) {
        for some in events.chunks(SETTLED_AT_ONCE) {
            self.with_room(|room, after| {
                some.iter().for_each(|event| room.settle(worker, event, after));
            });
        }
    }

    /// A leased event can never be delivered: counted as dropped, and told of.
    pub(crate) fn discard(&self, worker: u64, event: &Event, reason: Reason) {
        self.with_room(|room, after| room.discard(worker, event, reason, after));
    }

    /// Leased events go back to where they were, before all that came later.
    pub(crate) fn give_back(&self, worker: u64, mut events: Vec<Arc<Event>>) {
        events.sort_unstable_by_key(|event| event.place());
        self.with_room(|room, after| room.give_back(worker, events, after));
    }

    /// Says that `worker` is about to sleep. False if there is something for it to take; after true
    /// it is woken as soon as there is. The two are one step, so no wake-up can be lost between.
    pub(crate) fn sleep_if_empty(&self, worker: u64) -> bool {
        self.with_room(|room, _| room.sleep_if_empty(worker))
    }

    /// New bounds. What is queued beyond them is dropped, from the end that `overflow` says.
    pub(crate) fn set_limits(&self, limits: Limits) {
        self.with_room(|room, after| room.set_limits(limits, after));
    }

    /// How much there is.
    pub(crate) fn depth(&self) -> Depth {
        self.room().depth()
    }

    /// Events in memory that are not on disk too: what a crash would lose. It looks at all that is
    /// leased or was given back, so it is for those who ask, not for each event.
    pub(crate) fn unsaved_events(&self) -> usize {
        self.room().unsaved_events()
    }

    /// What became of all events.
    #[cfg(test)]
    pub(crate) fn ledger(&self) -> Ledger {
        self.room().ledger()
    }

    /// What is pushed from now on is dropped. Consumers are told of earlier losses while they still
    /// can be.
    pub(crate) fn close(&self) {
        self.report_losses();
        self.with_room(|room, _| room.close());
    }

    /// Whether what is pushed is dropped, for good.
    pub(crate) fn is_closed(&self) -> bool {
        self.room().is_closed()
    }

    /// Closes, drops all there is in memory, in flight too, and returns how many events that were
    /// which are not on disk.
    pub(crate) fn abandon(&self, reason: Reason) -> usize {
        self.with_room(|room, after| room.abandon(reason, after))
    }

    /// What wakes the pump. The outbox rings it when memory passes half of its bounds, and when what
    /// was read ahead runs out.
    pub(crate) fn alarm(&self) -> Arc<Alarm> {
        Arc::clone(&self.alarm)
    }

    /// A spool is being opened: until it is, nothing is leased; but no longer than `limit`.
    pub(crate) fn expect_spool(&self, limit: Duration) {
        self.with_room(|room, _| room.expect(limit));
    }

    /// No spool is to be waited for.
    pub(crate) fn release(&self) {
        self.with_room(|room, after| room.release(after));
    }

    /// A spool is open, with `unread` events up to `last`. `lost` is missing from it.
    pub(crate) fn attach_spool(&self, unread: u64, last: Place, lost: &[Lost]) {
        self.with_room(|room, after| room.attach(unread, last, lost, after));
    }

    /// Nothing more goes to disk. What is there may still come back.
    pub(crate) fn detach_spool(&self) {
        self.with_room(|room, _| room.detach());
    }

    /// What was detached is wanted again.
    pub(crate) fn resume_spool(&self) {
        self.with_room(|room, _| room.resume());
    }

    /// There is no spool any more, and nothing was left in it.
    pub(crate) fn forget_spool(&self) {
        self.with_room(|room, after| room.forget_disk(after));
    }

    /// Takes from the front of the queue what is to be written now, with copies of what must be on
    /// disk before it. It counts as memory until [`Outbox::end_spooling`] or
    /// [`Outbox::undo_spooling`].
    pub(crate) fn begin_spooling(
        &self,
        goal: Goal,
        max_events: usize,
        max_bytes: usize,
    ) -> Option<Batch> {
        self.with_room(|room, _| room.begin_spooling(goal, max_events, max_bytes))
    }

    /// The batch is on disk, where `unread` events are now.
    pub(crate) fn end_spooling(&self, unread: u64, lost: &[Lost]) {
        self.with_room(|room, after| room.end_spooling(unread, lost, after));
    }

    /// The batch is not: it goes back to where it was.
    pub(crate) fn undo_spooling(&self, unread: u64, lost: &[Lost]) {
        self.with_room(|room, after| room.undo_spooling(unread, lost, after));
    }

    /// Part of what is on disk will never be read.
    pub(crate) fn lose_spooled(&self, unread: u64, lost: &[Lost]) {
        self.with_room(|room, after| {
            room.lose_spooled(lost, unread);
            after.news = true;
        });
    }

    /// The spool is full, or has room again.
    pub(crate) fn set_spool_full(&self, full: bool) {
        self.with_room(|room, _| room.set_full(full));
    }

    /// What is in memory up to this place is not on disk any more.
    pub(crate) fn note_gone(&self, gone: Place) {
        self.with_room(|room, _| room.note_gone(gone));
    }

    /// How much to read back now; none: nothing.
    pub(crate) fn budget(&self) -> Option<Budget> {
        self.room().budget()
    }

    /// Events that were read back, in order.
    pub(crate) fn replay(&self, events: Vec<Event>, unread: u64) {
        let events = events.into_iter().map(Arc::new).collect();
        self.with_room(|room, after| room.replay(events, unread, after));
    }

    /// The oldest event that may still be needed from disk.
    pub(crate) fn oldest_unsettled(&self) -> Option<Place> {
        self.room().oldest_unsettled()
    }

    /// Whether the broker takes anything.
    pub(crate) fn progress(&self) -> Progress {
        self.room().progress()
    }

    /// The pump goes to sleep.
    pub(crate) fn pump_sleeps(&self, calls: Calls) {
        self.with_room(|room, _| room.pump_sleeps(calls));
    }

    /// Runs `work` under the lock, and what it leaves to do after.
    fn with_room<T>(&self, work: impl FnOnce(&mut Room, &mut After) -> T) -> T {
        let mut after = After::default();
        let mut room = self.room();
        let result = work(&mut room, &mut after);
        let wake = room.takes_wake(&after);
        let report = room.owes_report();
        let pump = room.calls_pump();
        drop(room);
        drop(after);
        if pump {
            self.alarm.ring();
        }
        if report {
            self.report_losses();
        }
        if wake {
            (self.wake)();
        }
        result
    }

    /// Queues an `EventsLost` for each loss, for which there is room. Written outside the lock, for
    /// which Asterisk's threads would wait; what finds no room any more stays owed.
    fn report_losses(&self) {
        let losses = self.room().take_losses();
        if losses.is_empty() {
            return;
        }
        let now = now();
        let report = |told| Arc::new(Event::lost(told, &self.boot, now));
        let reports: Vec<_> = losses.iter().map(report).collect();
        let mut after = After::default();
        let mut room = self.room();
        for report in reports {
            room.push_report(report, &mut after);
        }
        let wake = room.takes_wake(&after);
        drop(room);
        if wake {
            (self.wake)();
        }
    }

    /// A panic while the lock was held leaves numbers that are still sound enough to go on with.
    fn room(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("depth", &self.depth()).finish_non_exhaustive()
    }
}
