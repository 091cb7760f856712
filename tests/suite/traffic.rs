// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Events in numbers, and the account of what has become of each.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rig::consumer::Message;
use rig::{Asterisk, Consumer, Tenant, eventually, seconds};
use serde_json::json;

use crate::pair::counter;

/// A channel that sets its variable `I` to 1, 2, … `count`, a hundred at a time with a rest of
/// 20 ms between, then `DONE`, and stays.
pub(crate) fn count_slowly(asterisk: &Asterisk, count: u32) -> Channel<'_> {
    Channel::start(asterisk, "steady", count)
}

/// Like [`count_slowly`], as fast as the dialplan goes.
pub(crate) fn count_fast(asterisk: &Asterisk, count: u32) -> Channel<'_> {
    Channel::start(asterisk, "burst", count)
}

/// A channel that sets variable `name`, and stays.
#[track_caller]
pub(crate) fn set(asterisk: &Asterisk, name: &str) {
    let path = "/channels?endpoint=Local/stay@default&context=default&extension=set";
    let variables = json!({"variables": {"NAME": name, "VALUE": "1"}});
    let id = asterisk.ari().post_json(path, &variables).ok()["id"].clone();
    let channel = Channel { asterisk, id: id.as_str().expect("an id").to_owned() };
    eventually("the variable to be set", seconds(10), || match channel.variable(name).as_str() {
        "1" => Ok(()),
        other => Err(other.to_owned()),
    });
}

/// One that does not end by itself.
pub(crate) const ENDLESS: u32 = 1_000_000_000;

/// A channel that counts.
pub(crate) struct Channel<'a> {
    asterisk: &'a Asterisk,
    pub(crate) id: String,
}

impl<'a> Channel<'a> {
    #[track_caller]
    fn start(asterisk: &'a Asterisk, extension: &str, count: u32) -> Self {
        let path =
            format!("/channels?endpoint=Local/stay@default&context=default&extension={extension}");
        let variables = json!({"variables": {"COUNT": count.to_string()}});
        let channel = asterisk.ari().post_json(&path, &variables).ok();
        Self { asterisk, id: channel["id"].as_str().expect("an id").to_owned() }
    }

    /// Waits until it has counted to the end.
    #[track_caller]
    pub(crate) fn finish(&self, within: Duration) {
        eventually("the channel to have counted", within, || match self.is_done() {
            true => Ok(()),
            false => Err(format!("I = {}", self.variable("I"))),
        });
    }

    /// Whether it has counted to the end.
    pub(crate) fn is_done(&self) -> bool {
        self.variable("DONE") == "yes"
    }

    fn variable(&self, name: &str) -> String {
        let path = format!("/channels/{}/variable?variable={name}", self.id);
        let reply = self.asterisk.ari().get(&path);
        reply.body["value"].as_str().unwrap_or_default().to_owned()
    }
}

/// Ends all channels, waits for all that was said of them to be delivered, and gives the number of
/// events that were.
#[track_caller]
pub(crate) fn settle(asterisk: &Asterisk) -> u64 {
    hang_up(asterisk);
    // What they said last has reached us when the count of it stands still.
    let mut last = (0, Instant::now());
    eventually("events to cease", seconds(60), || {
        let seen = counter(asterisk, "seen");
        if seen != last.0 {
            last = (seen, Instant::now());
        }
        if last.1.elapsed() > Duration::from_millis(150) { Ok(()) } else { Err(seen) }
    });
    eventually("the queue to be empty", seconds(60), || match depth(asterisk) {
        (0, 0) if spool(asterisk).0 == 0 => Ok(counter(asterisk, "queued")),
        (queued, unconfirmed) => Err(format!("{queued} queued, {unconfirmed} unconfirmed")),
    })
}

#[track_caller]
pub(crate) fn hang_up(asterisk: &Asterisk) {
    asterisk.hang_up_all(seconds(20));
}

/// Events queued, and events unconfirmed.
#[track_caller]
pub(crate) fn depth(asterisk: &Asterisk) -> (u64, u64) {
    let shown = asterisk.cli("amqp show status");
    let of = |name: &str| {
        let line = shown.lines().find_map(|line| line.trim().strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    match (of("Queue:"), of("Unconfirmed:")) {
        (Some(queued), Some(unconfirmed)) => (queued, unconfirmed),
        _ => panic!("no depth in:\n{shown}"),
    }
}

/// Events and bytes in the spool, if it has any.
#[track_caller]
pub(crate) fn spool(asterisk: &Asterisk) -> (u64, u64) {
    let status = asterisk.ari().get("/amqp").ok();
    let of = |name: &str| status["spool"][name].as_u64();
    match (of("events"), of("bytes")) {
        (Some(events), Some(bytes)) => (events, bytes),
        _ => panic!("no spool in: {status}"),
    }
}

/// A durable queue for all events of an exchange, which is there before the events are.
pub(crate) fn keep_all(tenant: &Tenant<'_>, exchange: &str, queue: &str, kind: &str) {
    tenant.declare_exchange(exchange, "topic");
    tenant.declare_queue(queue, &json!({"x-queue-type": kind}));
    tenant.bind(exchange, queue, "#");
}

/// A durable queue that gets what every exchange of the vhost finds no other queue for, be the
/// exchange made now or later: so nothing is lost between its making and its binding.
pub(crate) fn keep_unrouted(tenant: &Tenant<'_>, queue: &str) {
    tenant.declare_exchange("unrouted", "fanout");
    tenant.declare_queue(queue, &json!({"x-queue-type": "classic"}));
    tenant.bind("unrouted", queue, "");
    let policy = json!({
        "pattern": "^(asterisk|other)$",
        "definition": {"alternate-exchange": "unrouted"},
        "apply-to": "exchanges",
    });
    let path = format!("/policies/{}/unrouted", tenant.vhost());
    tenant.broker().api("PUT", &path, Some(&policy)).ok();
}

/// What has arrived, by sequence; repeats are counted apart.
#[derive(Default)]
pub(crate) struct Arrived {
    messages: BTreeMap<u64, Message>,
    order: Vec<u64>,
    pub(crate) repeats: u64,
}

impl Arrived {
    /// Takes from a queue until all up to `last` have come.
    #[track_caller]
    pub(crate) fn until(consumer: &Consumer, last: u64) -> Self {
        let mut arrived = Self::default();
        arrived.take_until(consumer, |arrived| arrived.has_all(last));
        arrived
    }

    /// Takes from a queue until `enough`.
    #[track_caller]
    pub(crate) fn take_until(&mut self, consumer: &Consumer, enough: impl Fn(&Self) -> bool) {
        while !enough(self) {
            match consumer.receive(seconds(15)) {
                Some(message) => self.take(message),
                None => panic!("nothing more arrives: {}", self.account()),
            }
        }
    }

    /// A repeat must be the same message in all that a consumer sees of it.
    #[track_caller]
    pub(crate) fn take(&mut self, message: Message) {
        let sequence = message.sequence().unwrap_or_else(|| panic!("no sequence: {message:?}"));
        assert!(
            message.message_id().ends_with(&format!("/{sequence}")),
            "{} is not of sequence {sequence}",
            message.message_id()
        );
        match self.messages.get(&sequence) {
            Some(first) => {
                assert_eq!(first.message_id(), message.message_id());
                assert_eq!(first.body, message.body, "two bodies of sequence {sequence}");
                assert_eq!(first.routing_key, message.routing_key);
                self.repeats += 1;
            }
            None => {
                self.order.push(sequence);
                self.messages.insert(sequence, message);
            }
        }
    }

    pub(crate) fn has(&self, sequence: u64) -> bool {
        self.messages.contains_key(&sequence)
    }

    pub(crate) fn has_all(&self, last: u64) -> bool {
        self.messages.len() as u64 >= last && self.missing(last).is_empty()
    }

    pub(crate) fn missing(&self, last: u64) -> Vec<u64> {
        (1..=last).filter(|sequence| !self.has(*sequence)).collect()
    }

    pub(crate) fn messages(&self) -> impl Iterator<Item = &Message> {
        self.messages.values()
    }

    /// Without the repeats, nothing overtook anything.
    #[track_caller]
    pub(crate) fn assert_in_order(&self) {
        if let Some(pair) = self.order.windows(2).find(|pair| pair[0] > pair[1]) {
            panic!("{} arrived before {}: {}", pair[0], pair[1], self.account());
        }
    }

    /// The values of variable `I` that ChannelVarset events told of: Asterisk's own numbers, which
    /// know nothing of ours.
    #[track_caller]
    pub(crate) fn assert_counted_to(&self, count: u32) {
        let varset = self.messages().filter(|m| m.routing_key == "stasis.channel.channelvarset");
        let values = varset.map(|message| message.json()["data"].take());
        let values: Vec<u32> = values
            .filter(|data| data["variable"] == "I" && data["value"] != "0")
            .filter_map(|data| data["value"].as_str()?.parse().ok())
            .collect();
        let wrong = values.iter().zip(1..).find(|(value, wanted)| **value != *wanted);
        assert_eq!((wrong, values.len()), (None, count as usize));
    }

    fn account(&self) -> String {
        let last = self.messages.keys().next_back().copied().unwrap_or_default();
        let missing = self.missing(last);
        let some = &missing[..missing.len().min(20)];
        let (count, repeats) = (self.messages.len(), self.repeats);
        format!("{count} up to {last}, {repeats} repeats, {} missing {some:?}", missing.len())
    }
}
