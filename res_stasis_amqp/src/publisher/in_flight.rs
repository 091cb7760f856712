// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The events that were taken from the outbox and are not settled: what goes out next, what waits
//! for its confirm, what rests after a nack.
//!
//! Whatever is in here goes back to the outbox, in order, when this is dropped: at the end of
//! a channel, and also when a panic unwinds through its owner.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::event::Event;
use crate::identity::Place;
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

/// Which event the broker closed the channel for.
pub(super) enum Refused {
    This(Arc<Event>),
    OneUpTo(Place),
}

pub(super) struct InFlight {
    outbox: Arc<Outbox>,
    worker: u64,
    fresh: Vec<Arc<Event>>,
    sent: BTreeMap<Place, Sent>,
    sent_bytes: usize,
    /// The server closed the last channel for one of the events up to here, which therefore go one
    /// by one.
    doubt: Option<Place>,
    /// When what was sent, oldest first; an entry may be out of date.
    order: VecDeque<(Instant, Place)>,
    resting: BTreeMap<(Instant, Place), (Arc<Event>, u32)>,
}

impl InFlight {
    pub(super) fn new(outbox: Arc<Outbox>, worker: u64, doubt: Option<Place>) -> Self {
        Self {
            outbox,
            worker,
            fresh: Vec::with_capacity(BATCH),
            sent: BTreeMap::new(),
            sent_bytes: 0,
            doubt,
            order: VecDeque::new(),
            resting: BTreeMap::new(),
        }
    }

    fn has_room(&self) -> bool {
        let events = if self.doubt.is_some() { 1 } else { WINDOW_EVENTS };
        self.sent.len() < events && self.sent_bytes < WINDOW_BYTES
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
            self.doubt = self.doubt.filter(|last| event.place() <= *last);
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
        let place = event.place();
        let again = event.was_sent.set();
        self.sent_bytes += event.cost();
        self.order.push_back((now, place));
        self.sent.insert(place, Sent { event: event.clone(), attempt, at: now });
        Parcel { event, again }
    }

    fn unsent(&mut self, place: Place) -> Option<Sent> {
        let sent = self.sent.remove(&place)?;
        self.sent_bytes = self.sent_bytes.saturating_sub(sent.event.cost());
        Some(sent)
    }

    /// The broker has them, or they were only to be written.
    pub(super) fn settle(&mut self, places: impl IntoIterator<Item = Place>) {
        let sent = places.into_iter().filter_map(|place| self.unsent(place));
        let events: Vec<_> = sent.map(|sent| sent.event).collect();
        if !events.is_empty() {
            self.outbox.settle(self.worker, &events);
        }
    }

    /// The broker would not take it now. It is sent again after a rest, or given up.
    pub(super) fn nacked(&mut self, place: Place, now: Instant) {
        let Some(sent) = self.unsent(place) else { return };
        if sent.attempt >= MOST_ATTEMPTS {
            self.outbox.discard(self.worker, &sent.event, Reason::Refused);
            return;
        }
        let rest = FIRST_REST.saturating_mul(1 << (sent.attempt - 1));
        self.resting.insert((now + rest, place), (sent.event, sent.attempt));
    }

    /// The routing keys of what the broker may have something against.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.sent.values().map(|sent| &*sent.event.key)
    }

    /// The broker closed the channel for one of the events that are out. A single one is given up,
    /// since it would close every channel; of several the last is told, up to which the next channel
    /// must find it.
    pub(super) fn refused(&mut self) -> Option<Refused> {
        let last = *self.sent.last_key_value()?.0;
        if self.sent.len() > 1 {
            return Some(Refused::OneUpTo(last));
        }
        let Sent { event, .. } = self.unsent(last)?;
        self.outbox.discard(self.worker, &event, Reason::Refused);
        Some(Refused::This(event))
    }

    /// Since when the broker owes the oldest confirm.
    pub(super) fn oldest(&mut self) -> Option<Instant> {
        while let Some((at, place)) = self.order.front() {
            if self.sent.get(place).is_some_and(|sent| sent.at == *at) {
                return Some(*at);
            }
            self.order.pop_front();
        }
        None
    }

    /// The broker was not able to confirm until now, so it owes nothing yet.
    pub(super) fn forgive(&mut self, now: Instant) {
        self.order.clear();
        for (place, sent) in &mut self.sent {
            sent.at = now;
            self.order.push_back((now, *place));
        }
    }

    pub(super) fn unconfirmed(&self) -> usize {
        self.sent.len()
    }

    pub(super) fn resting(&self) -> usize {
        self.resting.len()
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    use crate::counters::Counters;
    use crate::identity::{Identity, Origin};
    use crate::limits::{Limits, Overflow};

    const WORKER: u64 = 7;

    fn at(sequence: u64) -> Place {
        Place { rank: Place::THIS_RUN, sequence }
    }

    struct Bench {
        outbox: Arc<Outbox>,
        counters: Arc<Counters>,
        now: Instant,
    }

    impl Bench {
        fn new() -> Self {
            let limits = Limits { events: 100_000, bytes: 1 << 30, overflow: Overflow::DropOldest };
            let counters = Arc::new(Counters::default());
            let outbox = Arc::new(Outbox::new("1", limits, counters.clone(), || {}));
            Self { outbox, counters, now: Instant::now() }
        }

        fn push(&self, events: usize, bytes: usize) {
            let data = "1".repeat(bytes);
            (0..events).for_each(|_| self.outbox.push(Event::channel("Dial", &data, 0)));
        }

        fn in_flight(&self) -> InFlight {
            self.in_doubt(None)
        }

        fn in_doubt(&self, doubt: Option<Place>) -> InFlight {
            InFlight::new(self.outbox.clone(), WORKER, doubt)
        }

        fn sequences(&self, in_flight: &mut InFlight) -> Vec<u64> {
            let next = || in_flight.next(self.now, true).map(|parcel| parcel.event.sequence);
            std::iter::from_fn(next).collect()
        }

        fn dropped(&self) -> u64 {
            self.outbox.ledger().dropped
        }
    }

    #[test]
    fn the_window_fills_in_order_and_confirms_in_any_order_make_room() {
        let bench = Bench::new();
        bench.push(WINDOW_EVENTS + 10, 10);
        let mut in_flight = bench.in_flight();
        let window = WINDOW_EVENTS as u64;
        assert_eq!(bench.sequences(&mut in_flight), (1..=window).collect::<Vec<_>>());
        assert!(!in_flight.would_lease());
        in_flight.settle([at(1000)]);
        in_flight.settle([at(5)]);
        in_flight.settle([at(5)]);
        assert_eq!(bench.sequences(&mut in_flight), [window + 1, window + 2]);
        assert_eq!(bench.outbox.ledger().settled, 2);
    }

    #[test]
    fn large_events_fill_the_window_by_their_bytes_but_one_always_fits() {
        let bench = Bench::new();
        bench.push(4, WINDOW_BYTES / 2);
        bench.push(1, WINDOW_BYTES + 1);
        let mut in_flight = bench.in_flight();
        let first = bench.sequences(&mut in_flight);
        assert!(first.len() < 4, "{first:?}");
        first.iter().for_each(|sequence| in_flight.settle([at(*sequence)]));
        let mut seen = first.len();
        while seen < 5 {
            let more = bench.sequences(&mut in_flight);
            assert!(!more.is_empty(), "stuck after {seen}");
            seen += more.len();
            more.iter().for_each(|sequence| in_flight.settle([at(*sequence)]));
        }
    }

    #[test]
    fn what_the_server_cannot_take_is_dropped_and_what_follows_goes_out() {
        let bench = Bench::new();
        bench.push(1, 10);
        bench.push(1, MOST_BODY_BYTES);
        bench.push(1, 10);
        let mut in_flight = bench.in_flight();
        assert_eq!(bench.sequences(&mut in_flight), [1]);
        in_flight.settle([at(1)]);
        assert_eq!(bench.sequences(&mut in_flight)[0], 3);
        assert_eq!(bench.counters.dropped_too_large.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_refused_event_rests_longer_each_time_and_is_given_up() {
        let mut bench = Bench::new();
        bench.push(1, 10);
        let mut in_flight = bench.in_flight();
        for attempt in 1..=MOST_ATTEMPTS {
            let parcel = in_flight.next(bench.now, true).unwrap();
            assert_eq!((parcel.event.sequence, parcel.again), (1, attempt > 1));
            assert_eq!(bench.dropped(), 0);
            in_flight.nacked(at(1), bench.now);
            if attempt == MOST_ATTEMPTS {
                break;
            }
            let rest = FIRST_REST * (1 << (attempt - 1));
            let early = bench.now + rest - Duration::from_millis(1);
            assert!(in_flight.next(early, true).is_none(), "attempt {attempt}");
            bench.now += rest;
        }
        assert_eq!(bench.dropped(), 1);
        assert_eq!(bench.counters.dropped_refused.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn what_the_server_closes_the_channel_for_is_found_by_sending_one_by_one() {
        let bench = Bench::new();
        bench.push(10, 10);
        let mut in_flight = bench.in_flight();
        assert_eq!(bench.sequences(&mut in_flight).len(), 10);
        in_flight.settle([at(1), at(3)]);
        let Some(Refused::OneUpTo(last)) = in_flight.refused() else { panic!("one of eight") };
        assert_eq!((last, bench.dropped()), (at(10), 0));
        drop(in_flight);

        bench.push(10, 10);
        let mut in_flight = bench.in_doubt(Some(last));
        assert_eq!(bench.sequences(&mut in_flight), [2]);
        assert!(!in_flight.would_lease());
        in_flight.settle([at(2)]);
        assert_eq!(bench.sequences(&mut in_flight), [4]);
        let Some(Refused::This(event)) = in_flight.refused() else { panic!("the only one") };
        assert_eq!((event.sequence, bench.dropped()), (4, 1));
        assert_eq!(bench.counters.dropped_refused.load(Ordering::Relaxed), 1);
        assert!(in_flight.refused().is_none());
        drop(in_flight);
        // The last tells of the loss.
        assert_eq!(bench.sequences(&mut bench.in_flight()), (5..=21).collect::<Vec<_>>());
    }

    #[test]
    fn what_came_after_those_in_doubt_goes_together_again() {
        let bench = Bench::new();
        bench.push(10, 10);
        let mut in_flight = bench.in_doubt(Some(at(2)));
        for sequence in 1..=2 {
            assert_eq!(bench.sequences(&mut in_flight), [sequence]);
            in_flight.settle([at(sequence)]);
        }
        assert_eq!(bench.sequences(&mut in_flight), (3..=10).collect::<Vec<_>>());
    }

    #[test]
    fn resting_events_do_not_hold_up_later_ones() {
        let bench = Bench::new();
        bench.push(WINDOW_EVENTS * 2, 10);
        let mut in_flight = bench.in_flight();
        let first = bench.sequences(&mut in_flight);
        first.iter().for_each(|sequence| in_flight.nacked(at(*sequence), bench.now));
        assert_eq!(bench.sequences(&mut in_flight).len(), WINDOW_EVENTS);
    }

    #[test]
    fn dropping_gives_everything_back_in_order_and_the_next_one_sends_it_again() {
        let bench = Bench::new();
        bench.push(600, 10);
        let mut in_flight = bench.in_flight();
        for _ in 0..300 {
            in_flight.next(bench.now, true).unwrap();
        }
        in_flight.settle([at(2)]);
        in_flight.nacked(at(3), bench.now);
        drop(in_flight);
        assert_eq!(bench.outbox.depth().in_flight_events, 0);
        let mut in_flight = bench.in_flight();
        let next = || in_flight.next(bench.now, true).map(|p| (p.event.sequence, p.again));
        let sent: Vec<(u64, bool)> = std::iter::from_fn(next).collect();
        let expected: Vec<(u64, bool)> =
            (1..=600).filter(|s| *s != 2).map(|s| (s, s <= 300)).collect();
        assert_eq!(sent, expected);
    }

    #[test]
    fn what_was_sent_is_known_whoever_sends_it_next_and_whatever_was_sent_before() {
        let bench = Bench::new();
        bench.push(3, 10);
        let mut in_flight = bench.in_flight();
        in_flight.next(bench.now, true).unwrap();
        drop(in_flight);
        // Another connection.
        let mut other = InFlight::new(bench.outbox.clone(), WORKER + 1, None);
        let next = || other.next(bench.now, true).map(|p| (p.event.sequence, p.again));
        let sent: Vec<(u64, bool)> = std::iter::from_fn(next).collect();
        assert_eq!(sent, [(1, true), (2, false), (3, false)]);
        other.settle([at(1), at(2), at(3)]);

        // An event of the run before, read from disk only now.
        let origin =
            Origin { rank: 0, identity: Identity { eid: "e".into(), boot: "0".into() }.into() };
        let event = Event { origin: Some(origin), ..Event::channel("Dial", "1", 0) };
        bench.outbox.attach_spool(1, event.place(), &[]);
        bench.outbox.replay(vec![event], 0);
        assert!(!other.next(bench.now, true).unwrap().again);
    }

    #[test]
    fn a_panic_gives_everything_back_too() {
        let bench = Bench::new();
        bench.push(10, 10);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut in_flight = bench.in_flight();
            in_flight.next(bench.now, true);
            panic!("on purpose");
        }));
        assert!(result.is_err());
        let depth = bench.outbox.depth();
        assert_eq!((depth.queued_events, depth.in_flight_events), (10, 0));
    }

    #[test]
    fn the_oldest_is_the_one_sent_first_that_is_still_out() {
        let mut bench = Bench::new();
        bench.push(3, 10);
        let mut in_flight = bench.in_flight();
        assert_eq!(in_flight.oldest(), None);
        let start = bench.now;
        for _ in 0..3 {
            in_flight.next(bench.now, true).unwrap();
            bench.now += Duration::from_secs(1);
        }
        assert_eq!(in_flight.oldest(), Some(start));
        in_flight.settle([at(1)]);
        assert_eq!(in_flight.oldest(), Some(start + Duration::from_secs(1)));
        in_flight.nacked(at(2), bench.now);
        assert_eq!(in_flight.oldest(), Some(start + Duration::from_secs(2)));
        in_flight.forgive(bench.now);
        assert_eq!(in_flight.oldest(), Some(bench.now));
    }
}
