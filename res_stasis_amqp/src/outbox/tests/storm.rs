// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Many threads at once, each doing what it likes: whatever comes before what, every event is
//! settled once or told of, and no wake-up is lost.

use std::sync::atomic::AtomicBool;
use std::thread::{scope, yield_now};

use super::*;

const PUSHERS: u64 = 3;
const EACH: u64 = 10_000;

/// What a worker has settled: numbers, and the ranges it was told of.
type Settled = (Vec<u64>, Vec<(u64, u64, u64)>);

/// What the threads share.
struct Storm {
    outbox: Outbox,
    permits: [Arc<Permit>; 2],
    /// Nothing is pushed any more, and there is room for all.
    calm: AtomicBool,
}

impl Storm {
    fn new() -> Self {
        let permits: [Arc<Permit>; 2] = std::array::from_fn(|_| Arc::default());
        let bells = permits.clone();
        let wake = move || bells.iter().for_each(|bell| bell.give());
        let room = limits(40, 30_000, Overflow::DropOldest);
        let outbox = Outbox::new("1", room, Arc::default(), wake);
        Self { outbox, permits, calm: AtomicBool::new(false) }
    }

    fn is_over(&self) -> bool {
        self.calm.load(Ordering::SeqCst) && self.outbox.depth() == Depth::default()
    }

    /// Leases, and settles, discards or gives back each event as the dice fall.
    fn work(&self, worker: u64, mut dice: Dice) -> Settled {
        let deadline = Instant::now() + DEADLINE;
        let own = &self.permits[usize::try_from(worker - 1).unwrap()];
        let (mut settled, mut ranges) = (Vec::new(), Vec::new());
        while !self.is_over() {
            let mut leased = Vec::new();
            self.outbox.lease(worker, 1 + dice.roll(20), dice.roll(8000), &mut leased);
            if leased.is_empty() {
                if self.outbox.sleep_if_empty(worker) && !self.is_over() {
                    own.take(deadline);
                }
                continue;
            }
            assert!(leased.windows(2).all(|two| two[0].sequence < two[1].sequence));
            let mut back = Vec::new();
            for event in leased {
                match dice.roll(10) {
                    0 => back.push(event),
                    1 => self.outbox.discard(worker, &event, Reason::Refused),
                    _ => {
                        self.outbox.settle(worker, std::slice::from_ref(&event));
                        settled.push(event.sequence);
                        let range =
                            told(&event).map(|(first, last, count, _)| (first, last, count));
                        ranges.extend(range);
                    }
                }
            }
            self.outbox.give_back(worker, back);
        }
        // The other may sleep, with nothing to come.
        self.permits.iter().for_each(|permit| permit.give());
        (settled, ranges)
    }

    fn push(&self, mut dice: Dice) {
        for _ in 0..EACH {
            self.outbox.push(event(dice.roll(600)));
        }
    }

    /// Changes the bounds until all is pushed, then makes room for all that is left.
    fn disturb(&self, mut dice: Dice, is_pushed: impl Fn() -> bool) {
        while !is_pushed() {
            let overflow = [Overflow::DropOldest, Overflow::DropNewest][dice.roll(2)];
            let room = limits(1 + dice.roll(60), 2000 + dice.roll(60_000), overflow);
            self.outbox.set_limits(room);
            yield_now();
        }
        self.outbox.set_limits(limits(1 << 20, usize::MAX, Overflow::DropOldest));
        self.calm.store(true, Ordering::SeqCst);
        self.permits.iter().for_each(|permit| permit.give());
    }
}

#[test]
fn in_a_storm_each_event_is_settled_once_or_told_of() {
    for seed in 0..6 {
        let storm = Storm::new();
        let dice = |thread: u64| Dice(seed * 100 + thread);
        let (mut settled, ranges) = scope(|scope| {
            let storm = &storm;
            let workers =
                [1, 2].map(|worker| scope.spawn(move || storm.work(worker, dice(worker))));
            let pushers: Vec<_> =
                (0..PUSHERS).map(|one| scope.spawn(move || storm.push(dice(10 + one)))).collect();
            storm.disturb(dice(0), || pushers.iter().all(|pusher| pusher.is_finished()));
            let [(mut settled, mut ranges), other] = workers.map(|worker| worker.join().unwrap());
            settled.extend(other.0);
            ranges.extend(other.1);
            (settled, ranges)
        });

        let ledger = storm.outbox.ledger();
        assert_eq!(ledger.numbered, ledger.settled + ledger.dropped);
        assert!(ledger.dropped > 0 && ledger.settled > 0, "{ledger:?}");
        assert_eq!(settled.len() as u64, ledger.settled);
        settled.sort_unstable();
        settled.dedup();
        assert_eq!(settled.len() as u64, ledger.settled, "an event was settled twice");
        assert_eq!(ranges.iter().map(|(_, _, count)| count).sum::<u64>(), ledger.dropped);
        let settled: BTreeSet<u64> = settled.into_iter().collect();
        for number in (1..=ledger.numbered).filter(|number| !settled.contains(number)) {
            let is_told = |(first, last, _): &(u64, u64, u64)| (*first..=*last).contains(&number);
            assert!(ranges.iter().any(is_told), "{number} was lost and never told of");
        }
    }
}
