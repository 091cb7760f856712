// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What a consumer got, and the account of every event.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use rig::{Consumer, Message, seconds};
use serde_json::Value;

use crate::witness::{Testimony, hash};

/// With nothing for so long, what is missing does not come.
const QUIET: Duration = seconds(15);

/// All that has arrived. Messages are counted and forgotten: there may be half a million.
#[derive(Default)]
pub(crate) struct Ledger {
    /// By the boot that numbered them, in the order in which the boots came.
    boots: Vec<Boot>,
    /// Of the events of channels, each once.
    channel_events: Vec<u64>,
    pub(crate) repeats: u64,
    /// Events that came after one with a higher number.
    pub(crate) overtaken: u64,
    /// What no consumer should ever see.
    pub(crate) wrong: Vec<String>,
    losses: Vec<Range>,
}

#[derive(Default)]
struct Boot {
    name: String,
    /// Sequence, and a hash of the body.
    events: HashMap<u64, u64>,
    highest: u64,
}

/// A range that an EventsLost event told of.
struct Range {
    boot: String,
    first: u64,
    last: u64,
    count: u64,
}

impl Ledger {
    /// Takes what is in a queue, until all that `until` asks for has come or nothing comes any
    /// more.
    pub(crate) fn collect(&mut self, consumer: &Consumer, until: impl Fn(&Self) -> bool) {
        let mut last = Instant::now();
        while last.elapsed() < QUIET {
            match consumer.receive(Duration::from_millis(200)) {
                Some(message) => {
                    last = Instant::now();
                    self.take(&message);
                }
                None if until(self) => return,
                None => {}
            }
        }
    }

    fn take(&mut self, message: &Message) {
        let id = message.message_id();
        let mut parts = id.rsplitn(3, '/');
        let (sequence, boot) = (parts.next().and_then(|text| text.parse().ok()), parts.next());
        let (Some(sequence), Some(boot)) = (sequence, boot) else {
            self.wrong.push(format!("message id {id:?}"));
            return;
        };
        if message.sequence() != Some(sequence) {
            self.wrong.push(format!("header sequence {:?} of {id}", message.sequence()));
        }
        let body = hash(&message.body);
        let is_last_boot = self.boots.last().is_none_or(|last| last.name == boot);
        let at = self.boots.iter().position(|one| one.name == boot).unwrap_or_else(|| {
            self.boots.push(Boot { name: boot.to_owned(), ..Boot::default() });
            self.boots.len() - 1
        });
        let entry = &mut self.boots[at];
        if let Some(first) = entry.events.get(&sequence) {
            self.repeats += 1;
            if *first != body {
                self.wrong.push(format!("two bodies of {id}"));
            }
            return;
        }
        let is_new_boot = entry.events.is_empty();
        if sequence < entry.highest || !(is_last_boot || is_new_boot) {
            self.overtaken += 1;
        }
        entry.highest = entry.highest.max(sequence);
        entry.events.insert(sequence, body);
        match message.routing_key.as_str() {
            "stasis.meta" => self.losses.extend(range(message, boot)),
            key if key.starts_with("stasis.channel.") => match data_of(message) {
                Some(data) => self.channel_events.push(hash(data)),
                None => self.wrong.push(format!("the body of {id}")),
            },
            _ => {}
        }
    }

    /// How many events of channels have come, repeats aside.
    pub(crate) fn received(&self) -> u64 {
        self.channel_events.len() as u64
    }

    /// Whether each number up to `last` of the newest boot is accounted for, and all gaps before.
    pub(crate) fn is_complete(&self, last: u64) -> bool {
        let told: u64 = self.losses.iter().map(|range| range.count).sum();
        let newest = self.boots.len().saturating_sub(1);
        let gaps = self.boots.iter().enumerate().map(|(at, boot)| {
            let last = if at == newest { last.max(boot.highest) } else { boot.highest };
            last - boot.events.len() as u64
        });
        !self.boots.is_empty() && gaps.sum::<u64>() <= told
    }

    /// Numbers that no message had, up to the highest of each boot and `last` of the newest.
    pub(crate) fn gaps(&self, last: u64) -> BTreeMap<&str, Vec<u64>> {
        let newest = self.boots.len().saturating_sub(1);
        let of = |(at, boot): (usize, &Boot)| {
            let last = if at == newest { last.max(boot.highest) } else { boot.highest };
            (1..=last).filter(|sequence| !boot.events.contains_key(sequence)).collect()
        };
        let names = self.boots.iter().map(|boot| boot.name.as_str());
        names.zip(self.boots.iter().enumerate().map(of)).collect()
    }

    /// Whether what consumers were told of losses is what they miss: every gap in a range, and in
    /// all as many as the ranges count. Of those that were under way when a connection ended, at
    /// most `doubtful`, the module cannot know: they may be told of as lost, and have arrived.
    /// `Err` says what is not so.
    pub(crate) fn explains(
        &self,
        gaps: &BTreeMap<&str, Vec<u64>>,
        doubtful: u64,
    ) -> Result<(), String> {
        for (boot, sequences) in gaps {
            let told = |sequence: &u64| {
                let mut ranges = self.losses.iter().filter(|range| range.boot == *boot);
                ranges.any(|range| (range.first..=range.last).contains(sequence))
            };
            let untold: Vec<_> = sequences.iter().filter(|sequence| !told(sequence)).collect();
            if !untold.is_empty() {
                let some = &untold[..untold.len().min(5)];
                return Err(format!("no EventsLost tells of {} numbers, {some:?}…", untold.len()));
            }
        }
        let missing: u64 = gaps.values().map(|gaps| gaps.len() as u64).sum();
        let told: u64 = self.losses.iter().map(|range| range.count).sum();
        match (missing..=missing + doubtful).contains(&told) {
            true => Ok(()),
            false => Err(format!("EventsLost events count {told}, and {missing} are missing")),
        }
    }

    /// Events that Asterisk published and that did not come, and those that came from nowhere.
    pub(crate) fn missing<'a>(&self, testimony: &'a Testimony) -> (Vec<&'a str>, u64) {
        testimony.without(&self.channel_events)
    }
}

fn range(message: &Message, boot: &str) -> Option<Range> {
    let body: Value = serde_json::from_slice(&message.body).ok()?;
    let data = &body["data"];
    let number = |name: &str| data[name].as_u64();
    Some(Range {
        boot: data["boot"].as_str().unwrap_or(boot).to_owned(),
        first: number("first_sequence")?,
        last: number("last_sequence")?,
        count: number("count")?,
    })
}

/// The event as Asterisk made it: the body without what the module puts around.
fn data_of(message: &Message) -> Option<&[u8]> {
    let name = serde_json::to_string(message.name()).ok()?;
    let around = format!("{{\"name\":{name},\"data\":");
    message.body.strip_prefix(around.as_bytes())?.strip_suffix(b"}")
}
