// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The spool with its outbox, case by case and against a model, on a disk that fails on demand.

mod cases;
mod memory;
mod model;
mod speed;

use std::sync::Arc;
use std::time::{Duration, Instant};

use memory::Memory;

use super::log::{Log, Options};
use super::pump::{Level, Pump, Wanted};
use crate::counters::Counters;
use crate::event::Event;
use crate::identity::Identity;
use crate::limits::{Limits, Overflow};
use crate::outbox::{Depth, Outbox};

const DIR: &str = "/spool";
const WORKER: u64 = 1;

fn run(boot: u64) -> Identity {
    Identity { eid: "e".into(), boot: boot.to_string() }
}

fn event(bytes: usize) -> Event {
    Event::channel("Dial", &format!("\"{}\"", "x".repeat(bytes)), 0)
}

fn options(max_bytes: u64, overflow: Overflow) -> Options {
    Options { max_bytes, sync: true, overflow }
}

/// One run of Asterisk: an outbox and its pump, on a disk that outlives them.
struct Bench {
    outbox: Arc<Outbox>,
    counters: Arc<Counters>,
    pump: Pump<Memory>,
    now: Instant,
    wanted: Wanted,
}

impl Bench {
    fn new(disk: &Memory, boot: u64, limits: Limits, max_bytes: u64) -> Self {
        let counters = Arc::<Counters>::default();
        let identity = run(boot);
        let outbox = Outbox::new(&identity.boot, limits, Arc::clone(&counters), || {});
        let outbox = Arc::new(outbox);
        let now = Instant::now();
        let far = disk.clone();
        let opener = Box::new(move |_: &str| far.open());
        let mut pump = Pump::new(Arc::clone(&outbox), Arc::new(identity), opener, now);
        let wanted = Wanted { dir: DIR.into(), options: options(max_bytes, limits.overflow) };
        pump.want(Some(wanted.clone()));
        outbox.expect_spool(Duration::from_secs(3600));
        Self { outbox, counters, pump, now, wanted }
    }

    fn small(disk: &Memory, boot: u64) -> Self {
        let limits = Limits { events: 80, bytes: 1 << 20, overflow: Overflow::DropOldest };
        let mut bench = Self::new(disk, boot, limits, 1 << 20);
        bench.turn();
        bench
    }

    fn turn(&mut self) {
        self.pump.turn(self.now, &mut || true);
        self.check();
    }

    /// Long enough for every tick, retry and sync.
    fn later(&mut self) {
        self.now += Duration::from_secs(31);
        self.turn();
    }

    /// The broker takes nothing: all goes to disk.
    fn stall(&mut self) {
        self.later();
        self.later();
        assert!(!self.outbox.progress().waits, "{:?}", self.pump.lines());
    }

    fn push(&self, count: usize) {
        (0..count).for_each(|_| self.outbox.push(event(0)));
    }

    fn lease(&self, most: usize) -> Vec<Arc<Event>> {
        let mut leased = Vec::new();
        self.outbox.lease(WORKER, most, usize::MAX, &mut leased);
        leased
    }

    fn settle(&self, events: &[Arc<Event>]) {
        self.outbox.settle(WORKER, events);
    }

    /// Delivers everything there is, and returns what.
    fn deliver(&mut self) -> Vec<(String, u64)> {
        self.deliver_with(|_| {})
    }

    fn deliver_with(&mut self, mut see: impl FnMut(&Event)) -> Vec<(String, u64)> {
        let mut delivered = Vec::new();
        let mut turns = 0;
        while self.outbox.depth() != Depth::default() {
            turns += 1;
            assert!(turns < 10_000, "stuck: {:?} {:?}", self.outbox.depth(), self.pump.report());
            self.now += Duration::from_secs(31);
            self.turn();
            loop {
                let leased = self.lease(7);
                if leased.is_empty() {
                    break;
                }
                leased.iter().for_each(|event| see(event));
                delivered.extend(leased.iter().map(|event| id(event)));
                self.settle(&leased);
                self.turn();
            }
        }
        self.turn();
        delivered
    }

    fn value(&self, name: &str) -> u64 {
        self.counters.values().iter().find(|(known, _)| *known == name).unwrap().1
    }

    /// What holds at every moment.
    fn check(&mut self) {
        let (depth, ledger) = (self.outbox.depth(), self.outbox.ledger());
        let held = (depth.queued_events + depth.in_flight_events) as u64 + depth.spooled_events;
        assert_eq!(ledger.numbered + ledger.recovered, ledger.settled + ledger.dropped + held);
        assert_eq!(self.value("dropped"), ledger.dropped);
        if let Some(log) = self.pump.log() {
            assert_eq!(log.unread(), depth.spooled_events);
            let files: u64 = log.disk().spool_bytes();
            assert!(log.bytes() >= files, "there is more than it reckons with");
        }
    }

    fn said(&mut self, level: Level) -> Vec<String> {
        self.pump.lines().into_iter().filter(|(at, _)| *at == level).map(|(_, text)| text).collect()
    }

    fn finish(&mut self) -> usize {
        let now = self.now;
        self.outbox.close();
        self.pump.finish(now + Duration::from_secs(2), || now);
        self.outbox.abandon(crate::loss::Reason::Stopped)
    }
}

/// Run and number.
fn id(event: &Event) -> (String, u64) {
    let boot = event.origin.as_ref().map_or("", |origin| origin.identity.boot.as_str());
    (boot.to_owned(), event.sequence)
}

fn numbers(boot: &str, numbers: impl IntoIterator<Item = u64>) -> Vec<(String, u64)> {
    numbers.into_iter().map(|number| (boot.to_owned(), number)).collect()
}

fn log(disk: &Memory, boot: u64, max_bytes: u64) -> Log<Memory> {
    let options = options(max_bytes, Overflow::DropOldest);
    let disk = disk.open().unwrap();
    Log::open(disk, Arc::new(run(boot)), options, &mut || true).unwrap().unwrap().0
}
