// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Random histories, and the account of every event at their end.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;

use super::*;
use crate::dice::Dice;
use crate::event::Category;
use crate::identity::Place;

/// Run and number, whichever run sees it.
type Id = (u64, u64);

/// What a consumer knows, over all runs.
struct World {
    disk: Memory,
    limits: Limits,
    max_bytes: u64,
    boot: u64,
    bench: Bench,
    held: BTreeMap<Place, Arc<Event>>,
    given_back: BTreeSet<Place>,
    highest: Place,
    delivered: BTreeSet<Id>,
    /// Of this run, by number.
    settled: BTreeSet<u64>,
    /// What a killed run had on disk and had not delivered.
    owed: BTreeSet<Id>,
    /// Boot, first, last.
    told: Vec<(u64, u64, u64)>,
}

impl World {
    fn new(limits: Limits, max_bytes: u64) -> Self {
        let disk = Memory::default();
        let mut bench = Bench::new(&disk, 1, limits, max_bytes);
        bench.turn();
        Self {
            disk,
            limits,
            max_bytes,
            boot: 1,
            bench,
            held: BTreeMap::new(),
            given_back: BTreeSet::new(),
            highest: Place::default(),
            delivered: BTreeSet::new(),
            settled: BTreeSet::new(),
            owed: BTreeSet::new(),
            told: Vec::new(),
        }
    }

    fn id(&self, event: &Event) -> Id {
        let boot = event.origin.as_ref().map(|origin| origin.identity.boot.parse().unwrap());
        (boot.unwrap_or(self.boot), event.sequence)
    }

    fn push(&mut self, dice: &mut Dice) {
        for _ in 0..=dice.roll(6) {
            self.bench.outbox.push(event(dice.roll(800)));
        }
    }

    fn turn(&mut self, dice: &mut Dice) {
        self.bench.now += Duration::from_millis([10, 100, 250, 600, 31_000][dice.roll(5)]);
        self.bench.turn();
    }

    fn lease(&mut self, most: usize) {
        for event in self.bench.lease(most) {
            let place = event.place();
            // What was given back comes first. If not, it was dropped.
            self.given_back.retain(|back| *back >= place);
            if !self.given_back.remove(&place) {
                assert!(place > self.highest, "{place:?} comes after {:?}", self.highest);
                self.highest = place;
            }
            let id = self.id(&event);
            assert!(id.0 != self.boot || !self.settled.contains(&id.1), "{id:?} comes again");
            assert!(self.held.insert(place, event).is_none());
        }
    }

    fn take(&mut self, dice: &mut Dice) -> Option<Arc<Event>> {
        let place = *self.held.keys().nth(dice.roll(self.held.len().max(1)))?;
        self.held.remove(&place)
    }

    fn settle(&mut self, dice: &mut Dice) {
        let Some(event) = self.take(dice) else { return };
        self.bench.outbox.settle(WORKER, std::slice::from_ref(&event));
        let id = self.id(&event);
        if id.0 == self.boot {
            self.settled.insert(id.1);
        }
        self.delivered.insert(id);
        self.owed.remove(&id);
        if event.category == Category::Meta {
            let body: serde_json::Value = serde_json::from_slice(&event.body).unwrap();
            let number = |name: &str| body["data"][name].as_u64().unwrap();
            let boot = body["data"]["boot"].as_str().unwrap().parse().unwrap();
            self.told.push((boot, number("first_sequence"), number("last_sequence")));
        }
    }

    /// All that it has, as a worker does at the end of a channel.
    fn give_back(&mut self) {
        let events: Vec<_> = std::mem::take(&mut self.held).into_values().rev().collect();
        self.given_back.extend(events.iter().map(|event| event.place()));
        self.bench.outbox.give_back(WORKER, events);
    }

    /// The memory that pushes and reads use is never beyond its bound.
    fn check(&mut self) {
        self.bench.check();
        let depth = self.bench.outbox.depth();
        let bytes = depth.queued_bytes + depth.in_flight_bytes;
        let events = depth.queued_events + depth.in_flight_events;
        assert!(bytes <= self.limits.bytes && events <= self.limits.events, "{depth:?}");
        assert!(self.disk.spool_bytes() <= self.max_bytes);
    }

    /// Asterisk is killed, and with `power_failure` the machine. All that is on disk and was not
    /// delivered has to come, and all that is older than anything there.
    fn kill(&mut self, power_failure: Option<bool>) {
        assert_eq!(self.bench.value("dropped"), 0, "this history is to have no losses");
        if power_failure.is_none() {
            let log = self.bench.pump.log().expect("an open spool");
            let last = log.last_place();
            if last.rank == Place::THIS_RUN {
                let numbers = 1..=last.sequence;
                let unsettled = numbers.filter(|number| !self.settled.contains(number));
                self.owed.extend(unsettled.map(|number| (self.boot, number)));
            }
        } else {
            self.owed.clear();
        }
        if let Some(half) = power_failure {
            self.disk.lose_power(half);
        }
        self.boot += 1;
        self.start();
    }

    fn start(&mut self) {
        // The former must have let go of the disk first.
        let elsewhere = Bench::new(&Memory::default(), 0, self.limits, self.max_bytes);
        drop(std::mem::replace(&mut self.bench, elsewhere));
        self.bench = Bench::new(&self.disk, self.boot, self.limits, self.max_bytes);
        self.bench.turn();
        self.held.clear();
        self.given_back.clear();
        self.settled.clear();
        self.highest = Place::default();
    }

    fn deliver_all(&mut self, dice: &mut Dice) {
        for _ in 0..100_000 {
            self.lease(100);
            while !self.held.is_empty() {
                self.settle(dice);
            }
            self.bench.now += Duration::from_secs(31);
            self.bench.turn();
            if self.bench.outbox.depth() == Depth::default() {
                return;
            }
        }
        panic!("stuck: {:?} {:?}", self.bench.outbox.depth(), self.bench.pump.report());
    }
}

fn small(overflow: Overflow) -> Limits {
    Limits { events: 60, bytes: 100_000, overflow }
}

#[test]
fn whatever_is_on_disk_at_a_kill_is_delivered_and_all_that_is_older() {
    let mut kills = 0;
    for seed in 0..50 {
        let mut dice = Dice(seed);
        let mut world = World::new(small(Overflow::DropOldest), 4 << 20);
        for _ in 0..400 {
            match dice.roll(100) {
                0..40 => world.push(&mut dice),
                40..55 if world.held.len() < 12 => world.lease(1 + dice.roll(6)),
                55..75 => (0..4).for_each(|_| world.settle(&mut dice)),
                75..80 => world.give_back(),
                98 => {
                    world.kill(None);
                    kills += 1;
                }
                _ => world.turn(&mut dice),
            }
            // Woken as it would be.
            world.bench.turn();
            world.check();
        }
        world.deliver_all(&mut dice);
        assert!(world.owed.is_empty(), "seed {seed}: {:?} never came", world.owed);
        assert_eq!(world.disk.segments(), [""; 0], "seed {seed}");
    }
    assert!(kills > 100, "{kills}");
}

#[test]
fn a_power_failure_at_any_time_leaves_a_spool_that_opens_and_is_in_order() {
    for seed in 0..30 {
        let mut dice = Dice(seed);
        let mut world = World::new(small(Overflow::DropOldest), 4 << 20);
        for _ in 0..300 {
            match dice.roll(100) {
                0..40 => world.push(&mut dice),
                40..55 if world.held.len() < 12 => world.lease(1 + dice.roll(6)),
                55..75 => (0..4).for_each(|_| world.settle(&mut dice)),
                98 => world.kill(Some(dice.roll(2) == 0)),
                _ => world.turn(&mut dice),
            }
            world.bench.turn();
            world.check();
        }
        world.deliver_all(&mut dice);
    }
}

#[test]
fn every_event_is_delivered_or_told_of_whatever_the_disk_does() {
    let (mut dropped, mut broken) = (0, 0);
    for seed in 0..50 {
        let mut dice = Dice(seed);
        let overflow = [Overflow::DropOldest, Overflow::DropNewest][dice.roll(2)];
        let max_bytes = [65_536, 200_000, 4 << 20][dice.roll(3)];
        let mut world = World::new(small(overflow), max_bytes);
        for _ in 0..500 {
            match dice.roll(100) {
                0..45 => world.push(&mut dice),
                45..58 => world.lease(1 + dice.roll(8)),
                58..72 => (0..4).for_each(|_| world.settle(&mut dice)),
                72..76 => world.give_back(),
                76 => world.disk.fail(Some(ErrorKind::PermissionDenied)),
                77 => world.disk.set_room(Some(dice.roll(60_000))),
                78..82 => {
                    world.disk.fail(None);
                    world.disk.set_room(None);
                    world.disk.fail_to_cut(false);
                }
                82 => world.disk.fail_to_cut(true),
                _ => world.turn(&mut dice),
            }
            world.bench.check();
            broken += usize::from(world.bench.pump.report().state.word() == "broken");
        }
        world.disk.fail(None);
        world.disk.set_room(None);
        world.deliver_all(&mut dice);
        let ledger = world.bench.outbox.ledger();
        assert_eq!(ledger.settled, world.settled.len() as u64);
        for number in (1..=ledger.numbered).filter(|number| !world.settled.contains(number)) {
            let is_told =
                world.told.iter().any(|(_, first, last)| (*first..=*last).contains(&number));
            assert!(is_told, "seed {seed}: nobody was told of {number}");
        }
        dropped += ledger.dropped;
    }
    assert!(dropped > 500 && broken > 500, "{dropped} dropped, {broken} times broken");
}
