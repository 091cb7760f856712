// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! More events than there is room for: the bound holds, and consumers are told what they miss.

use std::collections::BTreeSet;

use rig::{Asterisk, Broker, Consumer, Version, eventually, seconds};

use crate::gate::Gate;
use crate::pair::{AmqpConf, counter, load, node, wait_for_state};
use crate::traffic::{Arrived, count_fast, count_slowly, depth, keep_all, settle};

on_each_version!(
    drop_oldest_keeps_the_newest_and_tells_of_the_rest,
    drop_newest_keeps_the_oldest_and_tells_of_the_rest,
    the_bound_in_bytes_holds_and_memory_with_it,
);

const COUNT: u32 = 5000;

struct Outcome {
    arrived: Arrived,
    /// The sequences that no message had.
    missing: BTreeSet<u64>,
}

impl Outcome {
    /// Whether variable `I` was told to be this.
    fn has_value(&self, value: u32) -> bool {
        let value = value.to_string();
        let told = self.arrived.messages().map(|message| message.json()["data"].take());
        told.filter(|data| data["variable"] == "I").any(|data| data["value"] == value.as_str())
    }
}

/// [`COUNT`] events and more with the broker away and too little room, and all that comes of it
/// later.
fn overflow(version: Version, options: &[(&str, &str)], fill: impl FnOnce(&Asterisk)) -> Outcome {
    let tenant = Broker::shared().tenant();
    keep_all(&tenant, "asterisk", "kept", "classic");
    let gate = Gate::to(tenant.broker().port());
    let conf = AmqpConf::new(&gate.url(&tenant.url())).stasis("publish_ami_events", "no");
    let conf = options.iter().fold(conf, |conf, (name, value)| conf.stasis(name, value));
    let asterisk = node(version, &conf.text()).start();
    load(&asterisk);
    wait_for_state(&asterisk, "unreachable");
    fill(&asterisk);
    assert!(counter(&asterisk, "dropped") > 1000);

    gate.open();
    wait_for_state(&asterisk, "connected");
    let last = settle(&asterisk);
    let mut arrived = Arrived::default();
    arrived.take_until(&Consumer::queue(&tenant.url(), "kept"), |arrived| arrived.has(last));
    arrived.assert_in_order();
    // Told of its losses, a consumer has an account of every sequence up to the last.
    let told = lost(&arrived);
    let missing: BTreeSet<u64> = arrived.missing(last).into_iter().collect();
    assert_eq!(told, missing, "what consumers are told is not what is missing");
    assert_eq!(counter(&asterisk, "dropped"), missing.len() as u64);
    assert_eq!(counter(&asterisk, "dropped_queue_full"), missing.len() as u64);
    assert_eq!(arrived.repeats, 0);
    Outcome { arrived, missing }
}

/// The sequences that EventsLost events tell of. No two tell of one.
fn lost(arrived: &Arrived) -> BTreeSet<u64> {
    let mut told = BTreeSet::new();
    for message in arrived.messages().filter(|message| message.routing_key == "stasis.meta") {
        let data = &message.json()["data"];
        assert_eq!((message.name(), &data["reason"]), ("EventsLost", &"queue_full".into()));
        let [first, last, count] = ["first_sequence", "last_sequence", "count"]
            .map(|name| data[name].as_u64().unwrap_or_else(|| panic!("no {name} in: {data}")));
        assert_eq!(count, last + 1 - first, "{data}");
        for sequence in first..=last {
            assert!(told.insert(sequence), "told twice of {sequence}");
        }
    }
    told
}

fn fill(asterisk: &Asterisk) {
    count_fast(asterisk, COUNT).finish(seconds(30));
    eventually("all events to have come", seconds(30), || match counter(asterisk, "queued") {
        count if count > u64::from(COUNT) => Ok(()),
        count => Err(count),
    });
    assert_eq!(depth(asterisk), (1000, 0));
}

fn drop_oldest_keeps_the_newest_and_tells_of_the_rest(version: Version) {
    let options = [("queue_max_events", "1000"), ("overflow", "drop_oldest")];
    let outcome = overflow(version, &options, fill);
    assert!(outcome.missing.contains(&1));
    assert!(outcome.has_value(COUNT) && !outcome.has_value(1));
}

fn drop_newest_keeps_the_oldest_and_tells_of_the_rest(version: Version) {
    let options = [("queue_max_events", "1000"), ("overflow", "drop_newest")];
    let outcome = overflow(version, &options, fill);
    assert!((1..=1000).all(|sequence| outcome.arrived.has(sequence)));
    assert!(outcome.has_value(1) && !outcome.has_value(COUNT));
}

fn the_bound_in_bytes_holds_and_memory_with_it(version: Version) {
    let outcome = overflow(version, &[("queue_max_bytes", "1m")], |asterisk| {
        let before = asterisk.process().rss_bytes();
        // Slowly, or it is Asterisk's own queues that grow.
        count_slowly(asterisk, 4 * COUNT).finish(seconds(60));
        let shown = asterisk.cli("amqp show status");
        let line = shown.lines().find(|line| line.trim().starts_with("Queue:"));
        let bytes: Option<u64> = line.and_then(|line| line.split_whitespace().nth(3)?.parse().ok());
        let bytes = bytes.unwrap_or_else(|| panic!("no bytes in:\n{shown}"));
        assert!((1_000_000..=1_048_576).contains(&bytes), "{bytes} bytes in a queue of 1 MiB");
        // Kept, all these events take some 32 MiB. What passes leaves 5 MiB with the allocator.
        let grown = asterisk.process().rss_bytes().saturating_sub(before);
        assert!(grown < 16 << 20, "{grown} bytes more for a queue that is bounded");
    });
    assert!(outcome.has_value(4 * COUNT) && !outcome.has_value(1));
}
