// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers
//! The outbox, case by case and against a model.

mod storm;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use super::*;
use crate::dice::Dice;
use crate::event::Category;
use crate::limits::Overflow;

const DEADLINE: Duration = Duration::from_secs(60);

fn event(bytes: usize) -> Event {
    let data = format!("\"{}\"", "x".repeat(bytes));
    Event::channel("Dial", &data, 0)
}

/// What `event(0)` costs; `event(n)` costs `n` more.
fn small() -> usize {
    event(0).cost()
}

fn limits(events: usize, bytes: usize, overflow: Overflow) -> Limits {
    Limits { events, bytes, overflow }
}

struct Bench {
    outbox: Outbox,
    counters: Arc<Counters>,
    rings: Arc<AtomicUsize>,
}

impl Bench {
    fn new(limits: Limits) -> Self {
        let counters = Arc::<Counters>::default();
        let rings = Arc::<AtomicUsize>::default();
        let bell = Arc::clone(&rings);
        let wake = move || {
            bell.fetch_add(1, Ordering::Relaxed);
        };
        Self { outbox: Outbox::new("1", limits, Arc::clone(&counters), wake), counters, rings }
    }

    fn of(events: usize, overflow: Overflow) -> Self {
        Self::new(limits(events, usize::MAX, overflow))
    }

    fn push(&self, count: usize) {
        for _ in 0..count {
            self.outbox.push(event(0));
        }
    }

    fn lease(&self, worker: u64, most: usize) -> Vec<Arc<Event>> {
        let mut leased = Vec::new();
        let count = self.outbox.lease(worker, most, usize::MAX, &mut leased);
        assert_eq!(count, leased.len());
        leased
    }

    fn settle(&self, worker: u64, events: &[Arc<Event>]) {
        self.outbox.settle(worker, events);
    }

    fn value(&self, name: &str) -> u64 {
        let values = self.counters.values();
        values.iter().find(|(known, _)| *known == name).unwrap().1
    }

    fn rings(&self) -> usize {
        self.rings.load(Ordering::Relaxed)
    }

    /// The identities that hold at every moment.
    fn check(&self) {
        let (depth, ledger) = (self.outbox.depth(), self.outbox.ledger());
        let held = (depth.queued_events + depth.in_flight_events) as u64 + depth.spooled_events;
        assert_eq!(ledger.numbered + ledger.recovered, ledger.settled + ledger.dropped + held);
        assert_eq!(self.value("queued"), ledger.numbered);
        assert_eq!(self.value("dropped"), ledger.dropped);
    }
}

fn numbers(events: &[Arc<Event>]) -> Vec<u64> {
    events.iter().map(|event| event.sequence).collect()
}

/// First, last, count and reason, as a consumer reads them.
fn told(event: &Event) -> Option<(u64, u64, u64, String)> {
    if event.category != Category::Meta {
        return None;
    }
    let body: serde_json::Value = serde_json::from_slice(&event.body).unwrap();
    let data = &body["data"];
    let number = |name: &str| data[name].as_u64().unwrap();
    Some((
        number("first_sequence"),
        number("last_sequence"),
        number("count"),
        data["reason"].as_str().unwrap().to_owned(),
    ))
}

#[test]
fn events_leave_in_order_and_keep_their_room_until_settled() {
    let bench = Bench::of(4, Overflow::DropNewest);
    bench.push(3);
    let leased = bench.lease(1, 2);
    assert_eq!(numbers(&leased), [1, 2]);
    let depth = bench.outbox.depth();
    assert_eq!((depth.queued_events, depth.queued_bytes), (1, small()));
    assert_eq!((depth.in_flight_events, depth.in_flight_bytes), (2, 2 * small()));
    bench.push(2);
    assert_eq!(bench.outbox.ledger().dropped, 1);
    bench.settle(1, &leased);
    assert_eq!(numbers(&bench.lease(1, 9))[..2], [3, 4]);
    bench.check();
}

#[test]
fn drop_oldest_keeps_the_newest_and_what_is_in_flight() {
    let bench = Bench::of(3, Overflow::DropOldest);
    bench.push(3);
    let leased = bench.lease(1, 1);
    bench.push(2);
    assert_eq!(numbers(&leased), [1]);
    assert_eq!(numbers(&bench.lease(1, 9)), [4, 5]);
    // All room is in flight now.
    bench.push(1);
    assert_eq!(bench.outbox.depth().queued_events, 0);
    assert_eq!(bench.value("dropped_queue_full"), 3);
    bench.check();
}

#[test]
fn bytes_are_bounded_as_events_are() {
    let bench = Bench::new(limits(100, 3 * small(), Overflow::DropOldest));
    bench.push(3);
    bench.outbox.push(event(small()));
    assert_eq!(bench.outbox.depth().queued_bytes, 3 * small());
    assert_eq!(numbers(&bench.lease(1, 9)), [3, 4]);
    // Too large beside what is in flight: nothing is dropped in vain.
    bench.push(0);
    bench.outbox.push(event(2 * small()));
    assert_eq!(bench.value("dropped_queue_full"), 3);
    // Too large for ever.
    bench.outbox.push(event(2 * small() + 1));
    assert_eq!(bench.value("dropped_too_large"), 1);
    bench.check();
}

#[test]
fn a_lease_is_bounded_but_never_starves_a_large_event() {
    let bench = Bench::of(9, Overflow::DropOldest);
    bench.push(2);
    bench.outbox.push(event(1000));
    bench.push(1);
    let mut leased = Vec::new();
    assert_eq!(bench.outbox.lease(1, 9, 2 * small() + 1, &mut leased), 2);
    assert_eq!(bench.outbox.lease(1, 9, 1000, &mut leased), 0);
    bench.settle(1, &leased);
    assert_eq!(bench.outbox.lease(1, 9, 1000, &mut leased), 1);
    assert_eq!(bench.outbox.lease(1, 0, usize::MAX, &mut leased), 0);
    assert_eq!(numbers(&leased), [1, 2, 3]);
}

#[test]
fn what_is_given_back_goes_first_and_in_order() {
    let bench = Bench::of(9, Overflow::DropOldest);
    bench.push(6);
    let mut leased = bench.lease(1, 4);
    bench.settle(1, &leased[1..2]);
    leased.remove(1);
    leased.reverse();
    let last = leased.remove(0);
    bench.outbox.give_back(1, leased);
    bench.outbox.give_back(1, vec![last]);
    assert_eq!(numbers(&bench.lease(2, 9)), [1, 3, 4, 5, 6]);
    bench.check();
}

#[test]
fn a_second_worker_waits_for_the_first_to_end() {
    let bench = Bench::of(9, Overflow::DropOldest);
    bench.push(3);
    let leased = bench.lease(1, 2);
    assert!(bench.lease(2, 9).is_empty());
    assert!(bench.outbox.sleep_if_empty(2));
    // For what it cannot take it is not woken.
    bench.push(1);
    assert_eq!(bench.rings(), 0);
    bench.settle(1, &leased[..1]);
    assert_eq!(bench.rings(), 0);
    bench.outbox.give_back(1, leased[1..].to_vec());
    assert_eq!(bench.rings(), 1);
    assert_eq!(numbers(&bench.lease(2, 9)), [2, 3, 4]);
}

#[test]
fn the_end_of_the_last_event_in_flight_wakes_the_second_worker() {
    for discards in [true, false] {
        let bench = Bench::of(9, Overflow::DropOldest);
        bench.push(2);
        let leased = bench.lease(1, 1);
        assert!(bench.outbox.sleep_if_empty(2));
        if discards {
            bench.outbox.discard(1, &leased[0], Reason::Refused);
        } else {
            bench.settle(1, &leased);
        }
        assert_eq!(bench.rings(), 1, "discards: {discards}");
    }
}

#[test]
fn only_a_sleeper_is_woken_and_only_once() {
    let bench = Bench::of(9, Overflow::DropOldest);
    bench.push(1);
    assert_eq!(bench.rings(), 0);
    assert!(!bench.outbox.sleep_if_empty(1));
    let leased = bench.lease(1, 9);
    // Its own events in flight are no reason to stay awake.
    assert!(bench.outbox.sleep_if_empty(1));
    bench.settle(1, &leased);
    assert_eq!(bench.rings(), 0);
    bench.push(3);
    assert_eq!(bench.rings(), 1);
}

#[test]
fn a_loss_is_told_once_there_is_room_before_what_comes_later() {
    let bench = Bench::of(10, Overflow::DropOldest);
    bench.push(13);
    let leased = bench.lease(1, 2);
    assert_eq!(numbers(&leased), [4, 5]);
    bench.settle(1, &leased);
    bench.push(1);
    let all = bench.lease(1, 99);
    // The report has a number like any event.
    assert_eq!(numbers(&all), [6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
    assert_eq!(told(&all[8]), Some((1, 3, 3, "queue_full".into())));
    assert_eq!((told(&all[9]), &*all[8].key), (None, "stasis.meta"));
    bench.check();
}

#[test]
fn a_queue_that_stays_full_tells_nothing_yet() {
    let bench = Bench::of(20, Overflow::DropNewest);
    bench.push(30);
    for _ in 0..5 {
        // Down to 19, which is above nine tenths.
        let leased = bench.lease(1, 1);
        bench.settle(1, &leased);
        bench.push(2);
    }
    assert_eq!(bench.outbox.ledger().dropped, 15);
    let leased = bench.lease(1, 20);
    assert!(leased.iter().all(|event| told(event).is_none()));
    bench.settle(1, &leased);
    let reports = bench.lease(1, 20);
    let count: u64 = reports.iter().filter_map(|event| Some(told(event)?.2)).sum();
    assert_eq!(count, 15);
    bench.check();
}

#[test]
fn an_event_too_large_is_told_at_once_and_wakes() {
    let bench = Bench::new(limits(9, 10 * small(), Overflow::DropOldest));
    assert!(bench.outbox.sleep_if_empty(1));
    bench.outbox.push(event(99 * small()));
    assert_eq!(bench.rings(), 1);
    let leased = bench.lease(1, 9);
    assert_eq!(told(&leased[0]), Some((1, 1, 1, "too_large".into())));
}

#[test]
fn what_is_discarded_is_a_loss() {
    let bench = Bench::of(9, Overflow::DropOldest);
    bench.push(2);
    let leased = bench.lease(1, 9);
    bench.outbox.discard(1, &leased[1], Reason::Refused);
    let reports = bench.lease(1, 9);
    assert_eq!(told(&reports[0]), Some((2, 2, 1, "refused".into())));
    assert_eq!(bench.value("dropped_refused"), 1);
    bench.check();
}

#[test]
fn a_report_that_is_dropped_is_told_again() {
    let bench = Bench::of(10, Overflow::DropOldest);
    bench.push(12);
    let leased = bench.lease(1, 10);
    bench.settle(1, &leased);
    // A report waits now, with number 13; it and what comes after is pushed out.
    assert_eq!(bench.outbox.depth().queued_events, 1);
    bench.push(12);
    let leased = bench.lease(1, 10);
    assert!(leased.iter().all(|event| told(event).is_none()));
    bench.settle(1, &leased);
    let told: Vec<_> = bench.lease(1, 10).iter().filter_map(|event| told(event)).collect();
    let full = || "queue_full".to_owned();
    assert_eq!(told, [(1, 2, 2, full()), (13, 15, 3, full())]);
    bench.check();
}

#[test]
fn settling_is_for_what_one_has_and_once() {
    let bench = Bench::of(9, Overflow::DropOldest);
    bench.push(3);
    let leased = bench.lease(1, 2);
    bench.settle(2, &leased);
    bench.outbox.give_back(2, leased.clone());
    assert_eq!(bench.outbox.depth().in_flight_events, 2);
    bench.settle(1, &leased[..1]);
    bench.settle(1, &leased[..1]);
    bench.outbox.discard(1, &leased[0], Reason::Refused);
    assert_eq!(bench.outbox.depth().in_flight_events, 1);
    assert_eq!(bench.outbox.ledger().settled, 1);
    bench.check();
}

#[test]
fn smaller_bounds_drop_what_is_queued_from_the_right_end() {
    for (overflow, left) in [(Overflow::DropOldest, [6, 7]), (Overflow::DropNewest, [2, 3])] {
        let bench = Bench::of(9, overflow);
        bench.push(7);
        let leased = bench.lease(1, 1);
        bench.outbox.set_limits(limits(3, usize::MAX, overflow));
        assert_eq!(bench.outbox.depth().queued_events, 2);
        bench.check();
        bench.settle(1, &leased);
        assert_eq!(numbers(&bench.lease(1, 2)), left);
    }
}

#[test]
fn what_is_given_back_beyond_smaller_bounds_is_dropped() {
    let bench = Bench::of(9, Overflow::DropOldest);
    bench.push(5);
    let leased = bench.lease(1, 5);
    bench.outbox.set_limits(limits(2, usize::MAX, Overflow::DropOldest));
    assert_eq!(bench.outbox.depth().in_flight_events, 5);
    bench.outbox.give_back(1, leased);
    assert_eq!(numbers(&bench.lease(1, 9)), [4, 5]);
    bench.check();
}

#[test]
fn what_was_given_back_stays_while_it_leaves_half_of_the_room() {
    let bench = Bench::of(10, Overflow::DropOldest);
    bench.push(10);
    let leased = bench.lease(1, 5);
    bench.outbox.give_back(1, leased);
    bench.push(7);
    assert_eq!(numbers(&bench.lease(2, 9))[..7], [1, 2, 3, 4, 5, 13, 14]);

    let bench = Bench::of(10, Overflow::DropOldest);
    bench.push(10);
    let leased = bench.lease(1, 8);
    bench.outbox.give_back(1, leased);
    bench.push(7);
    assert_eq!(numbers(&bench.lease(2, 9))[..7], [4, 5, 6, 7, 8, 13, 14]);
    bench.check();
}

#[test]
fn larger_bounds_make_room_to_tell() {
    let bench = Bench::of(2, Overflow::DropNewest);
    bench.push(3);
    bench.outbox.set_limits(limits(9, usize::MAX, Overflow::DropNewest));
    let all = bench.lease(1, 9);
    assert_eq!(numbers(&all), [1, 2, 4]);
    assert_eq!(told(&all[2]).unwrap().0, 3);
}

#[test]
fn after_close_nothing_comes_in_and_what_is_left_is_counted() {
    let bench = Bench::of(9, Overflow::DropOldest);
    bench.push(11);
    bench.outbox.close();
    bench.push(2);
    assert_eq!(bench.outbox.depth().queued_events, 9);
    let leased = bench.lease(1, 1);
    assert_eq!(numbers(&leased), [3]);
    assert_eq!(bench.outbox.abandon(Reason::Stopped), 9);
    assert_eq!(bench.value("dropped_stopped"), 2 + 9);
    assert_eq!(bench.outbox.depth(), Depth::default());
    bench.settle(1, &leased);
    bench.check();
}

#[test]
fn close_tells_of_losses_while_it_can() {
    let bench = Bench::of(100, Overflow::DropNewest);
    bench.push(101);
    let leased = bench.lease(1, 5);
    bench.settle(1, &leased);
    assert_eq!(bench.outbox.depth().queued_events, 95);
    bench.outbox.close();
    let left = bench.lease(1, 100);
    assert_eq!(told(left.last().unwrap()).unwrap().0, 101);
}

/// What a consumer and its worker know, from which every promise of the outbox can be checked.
struct Model {
    bench: Bench,
    limits: Limits,
    worker: u64,
    held: BTreeMap<u64, Arc<Event>>,
    given_back: BTreeSet<u64>,
    highest_leased: u64,
    settled: BTreeSet<u64>,
    reports: Vec<(u64, u64, u64)>,
}

impl Model {
    fn new(limits: Limits) -> Self {
        Self {
            bench: Bench::new(limits),
            limits,
            worker: 1,
            held: BTreeMap::new(),
            given_back: BTreeSet::new(),
            highest_leased: 0,
            settled: BTreeSet::new(),
            reports: Vec::new(),
        }
    }

    fn step(&mut self, dice: &mut Dice) {
        match dice.roll(100) {
            0..55 => {
                for _ in 0..=dice.roll(6) {
                    let bytes = if dice.roll(40) == 0 { 60_000 } else { dice.roll(800) };
                    self.bench.outbox.push(event(bytes));
                }
            }
            55..75 => self.lease(1 + dice.roll(8), dice.roll(6000)),
            75..92 => {
                for _ in 0..=dice.roll(8) {
                    self.settle_one(dice);
                }
            }
            92..95 => self.give_back(dice),
            95..97 => {
                if let Some(number) = self.pick(dice) {
                    let event = self.held.remove(&number).unwrap();
                    self.bench.outbox.discard(self.worker, &event, Reason::Refused);
                }
            }
            97 => {
                let other = self.worker + 1;
                let mut none = Vec::new();
                let leased = self.bench.outbox.lease(other, 1, 1, &mut none);
                assert!(leased == 0 || self.held.is_empty(), "two workers have events");
                self.bench.outbox.give_back(other, none.clone());
                self.note_given_back(&none);
            }
            98 => {
                // A worker ends and another takes over.
                while !self.held.is_empty() {
                    self.give_back(dice);
                }
                self.worker += 1;
            }
            _ => {
                self.limits.events = 1 + dice.roll(60);
                self.limits.bytes = 2000 + dice.roll(60_000);
                self.limits.overflow = match dice.roll(2) {
                    0 => Overflow::DropOldest,
                    _ => Overflow::DropNewest,
                };
                self.bench.outbox.set_limits(self.limits);
            }
        }
        self.check();
    }

    fn lease(&mut self, events: usize, bytes: usize) {
        let mut leased = Vec::new();
        let before = self.bench.outbox.depth();
        self.bench.outbox.lease(self.worker, events, bytes, &mut leased);
        let cost: usize = leased.iter().map(|event| event.cost()).sum();
        assert!(leased.len() <= events);
        assert!(cost <= bytes || leased.len() == 1 && before.in_flight_events == 0);
        for event in leased {
            let number = event.sequence;
            // What was given back comes first. If not, it was dropped, and is not to come any more.
            self.given_back.retain(|back| *back >= number);
            if !self.given_back.remove(&number) {
                assert!(number > self.highest_leased, "{number} is out of order");
                self.highest_leased = number;
            }
            assert!(!self.settled.contains(&number));
            assert!(self.held.insert(number, event).is_none());
        }
    }

    fn pick(&self, dice: &mut Dice) -> Option<u64> {
        let at = dice.roll(self.held.len().max(1));
        self.held.keys().nth(at).copied()
    }

    fn settle_one(&mut self, dice: &mut Dice) {
        let Some(number) = self.pick(dice) else {
            return;
        };
        let event = self.held.remove(&number).unwrap();
        self.bench.outbox.settle(self.worker, std::slice::from_ref(&event));
        assert!(self.settled.insert(number), "{number} was delivered twice");
        if let Some((first, last, count, _)) = told(&event) {
            self.reports.push((first, last, count));
        }
    }

    fn give_back(&mut self, dice: &mut Dice) {
        let count = 1 + dice.roll(self.held.len().max(1));
        let mut events = Vec::new();
        for _ in 0..count {
            if let Some(number) = self.pick(dice) {
                events.extend(self.held.remove(&number));
            }
        }
        self.note_given_back(&events);
        self.bench.outbox.give_back(self.worker, events);
    }

    fn note_given_back(&mut self, events: &[Arc<Event>]) {
        self.given_back.extend(events.iter().map(|event| event.sequence));
        let highest = self.given_back.last().copied().unwrap_or_default();
        self.highest_leased = self.highest_leased.max(highest);
    }

    fn check(&self) {
        self.bench.check();
        let depth = self.bench.outbox.depth();
        let held: usize = self.held.values().map(|event| event.cost()).sum();
        assert_eq!(depth.in_flight_events, self.held.len());
        assert_eq!(depth.in_flight_bytes, held);
        let events = depth.queued_events + depth.in_flight_events;
        let bytes = depth.queued_bytes + depth.in_flight_bytes;
        // Smaller bounds do not take back what is in flight, and leave no room beside it.
        let no_room = depth.queued_events == 0;
        assert!(events <= self.limits.events || no_room, "{depth:?}");
        assert!(bytes <= self.limits.bytes || no_room, "{depth:?}");
        assert_eq!(self.bench.outbox.ledger().settled, self.settled.len() as u64);
    }

    /// Delivers the rest, then accounts for every number there ever was. True if every report was
    /// exact, so that each lost number was looked for in one range of its own.
    fn account(mut self, dice: &mut Dice) -> bool {
        self.limits = limits(1000, 10 << 20, Overflow::DropOldest);
        self.bench.outbox.set_limits(self.limits);
        while self.bench.outbox.depth() != Depth::default() {
            self.lease(100, usize::MAX);
            while !self.held.is_empty() {
                self.settle_one(dice);
            }
            self.check();
        }
        let ledger = self.bench.outbox.ledger();
        let all: BTreeSet<u64> = (1..=ledger.numbered).collect();
        let lost: Vec<u64> = all.difference(&self.settled).copied().collect();
        assert_eq!(lost.len() as u64, ledger.dropped);
        let told: u64 = self.reports.iter().map(|(_, _, count)| count).sum();
        assert_eq!(told, ledger.dropped, "each loss is told of once");
        let exact = self.reports.iter().all(|(first, last, count)| last - first + 1 == *count);
        for number in &lost {
            let within = |(first, last, _): &&(u64, u64, u64)| (*first..=*last).contains(number);
            let ranges = self.reports.iter().filter(within).count();
            assert!(ranges == 1 || ranges > 1 && !exact, "{number} is in {ranges} ranges");
        }
        exact
    }
}

#[test]
fn every_event_is_delivered_in_order_or_told_of() {
    let (mut exact, mut lost) = (0, 0);
    for seed in 0..60 {
        let mut dice = Dice(seed);
        let overflow = match seed % 2 {
            0 => Overflow::DropOldest,
            _ => Overflow::DropNewest,
        };
        let mut model = Model::new(limits(4 + dice.roll(60), 20_000, overflow));
        for _ in 0..500 {
            model.step(&mut dice);
        }
        lost += model.bench.outbox.ledger().dropped;
        exact += usize::from(model.account(&mut dice));
    }
    // Both kinds of account must have been taken, and there must have been something to account for.
    assert!(exact > 5 && exact < 60, "{exact}");
    assert!(lost > 10_000, "{lost}");
}

/// A wake-up that is never lost, as a worker's bell keeps it.
#[derive(Default)]
struct Permit {
    given: Mutex<bool>,
    changed: Condvar,
}

impl Permit {
    fn give(&self) {
        *self.given.lock().unwrap() = true;
        self.changed.notify_all();
    }

    fn take(&self, deadline: Instant) {
        let mut given = self.given.lock().unwrap();
        while !*given {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "a wake-up was lost");
            (given, _) = self.changed.wait_timeout(given, left).unwrap();
        }
        *given = false;
    }
}

/// Takes and settles until `until` events were settled by all workers together.
fn consume(outbox: &Outbox, worker: u64, permit: &Permit, until: u64, give_back: bool) -> Vec<u64> {
    let deadline = Instant::now() + DEADLINE;
    let mut seen = Vec::new();
    while outbox.ledger().settled < until {
        let mut leased = Vec::new();
        outbox.lease(worker, 64, 1 << 20, &mut leased);
        if leased.is_empty() {
            if outbox.sleep_if_empty(worker) && outbox.ledger().settled < until {
                permit.take(deadline);
            }
            continue;
        }
        let keep = leased.len().div_ceil(if give_back { 2 } else { 1 });
        let rest = leased.split_off(keep);
        for event in leased {
            seen.push(event.sequence);
            outbox.settle(worker, std::slice::from_ref(&event));
        }
        outbox.give_back(worker, rest);
    }
    seen
}

#[test]
fn no_wake_up_is_lost_and_no_event_with_many_pushing() {
    const THREADS: u64 = 4;
    const EACH: u64 = 20_000;
    let permit = Arc::<Permit>::default();
    let bell = Arc::clone(&permit);
    let room = limits(1 << 20, usize::MAX, Overflow::DropOldest);
    let outbox = Outbox::new("1", room, Arc::default(), move || bell.give());
    let seen = std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| (0..EACH).for_each(|_| outbox.push(event(0))));
        }
        consume(&outbox, 1, &permit, THREADS * EACH, true)
    });
    assert!(seen.iter().copied().eq(1..=THREADS * EACH));
}

#[test]
fn two_workers_share_without_losing_a_wake_up() {
    const EVENTS: u64 = 20_000;
    let permits: [Arc<Permit>; 2] = std::array::from_fn(|_| Arc::default());
    let bells = permits.clone();
    let room = limits(1 << 20, usize::MAX, Overflow::DropOldest);
    let wake = move || bells.iter().for_each(|bell| bell.give());
    let outbox = Outbox::new("1", room, Arc::default(), wake);
    let mut seen = std::thread::scope(|scope| {
        let workers = [1, 2].map(|worker| {
            let (outbox, permits) = (&outbox, &permits);
            scope.spawn(move || {
                let own = &permits[usize::try_from(worker - 1).unwrap()];
                let seen = consume(outbox, worker, own, EVENTS, worker == 1);
                // The other may sleep, with nothing to come.
                permits.iter().for_each(|permit| permit.give());
                seen
            })
        });
        for _ in 0..EVENTS {
            outbox.push(event(0));
        }
        workers.map(|worker| worker.join().unwrap()).concat()
    });
    seen.sort_unstable();
    assert!(seen.iter().copied().eq(1..=EVENTS));
}

#[test]
fn abandoning_tells_nobody_and_closes() {
    let bench = Bench::of(9, Overflow::DropOldest);
    bench.push(5);
    assert_eq!(bench.outbox.abandon(Reason::Stopped), 5);
    bench.push(1);
    assert_eq!(bench.outbox.depth(), Depth::default());
    assert_eq!(bench.value("dropped_stopped"), 6);
    bench.check();
}
