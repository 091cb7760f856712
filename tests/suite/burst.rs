// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! More events in a short time than any PBX should have, with calls beside them.

use rig::{Asterisk, Call, Consumer, Version, eventually, seconds};
use serde_json::json;

use crate::pair::{Pair, counter};
use crate::traffic::{count_slowly, hang_up};

on_each_version!([alone: a_burst_from_many_channels_is_complete_and_leaves_calls_alone]);

const CHANNELS: u32 = 4;

/// A taskprocessor of Asterisk's, of those behind subscriptions.
#[derive(Debug)]
struct Processor {
    name: String,
    processed: u64,
    deepest: u64,
    high_water: u64,
}

/// The one whose messages we take.
fn ours(asterisk: &Asterisk) -> Processor {
    let shown = asterisk.cli("core show taskprocessors");
    let ours: Vec<_> = shown
        .lines()
        .filter(|line| line.starts_with("stasis/m:channel:all-"))
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let number = |index: usize| words[index].parse().expect("a number");
            let name = words[0].to_owned();
            Processor { name, processed: number(1), deepest: number(3), high_water: number(5) }
        })
        .collect();
    assert_eq!(ours.len(), 1, "{shown}");
    ours.into_iter().next().expect("one")
}

fn a_burst_from_many_channels_is_complete_and_leaves_calls_alone(version: Version) {
    let each: u32 = match version {
        Version::V22 => 50_000,
        Version::V16 => 12_500,
    };
    let total = u64::from(CHANNELS * each);
    // Room for all of it, should the machine have no time for the broker.
    let pair = Pair::with(version, |conf| {
        conf.stasis("queue_max_events", "400000")
            .stasis("queue_max_bytes", "1g")
            .stasis("publish_ami_events", "no")
    });
    let asterisk = &pair.asterisk;
    pair.tenant.declare_queue("all", &json!({}));
    pair.tenant.bind("asterisk", "all", "#");
    let first = counter(asterisk, "queued") + 1;

    let channels: Vec<_> = (0..CHANNELS).map(|_| count_slowly(asterisk, each)).collect();
    let (mut accepted, mut refused) = (0, Vec::new());
    eventually("the channels to have counted", seconds(120), || {
        match Call::place(asterisk, "call", seconds(0)).outcome(seconds(60)) {
            Ok(()) => accepted += 1,
            Err(reason) => refused.push(reason),
        }
        let busy = channels.iter().filter(|channel| !channel.is_done()).count();
        if busy == 0 { Ok(()) } else { Err(format!("{busy} still count")) }
    });
    hang_up(asterisk);

    let consumer = Consumer::queue(&pair.tenant.url(), "all");
    let (mut next, mut counted) = (first, 0);
    while counted < total {
        let message = consumer.next(seconds(30));
        assert_eq!(message.sequence(), Some(next), "{} is next", message.message_id());
        next += 1;
        let is_count = message.name() == "ChannelVarset"
            && has(&message.body, br#""variable":"I""#)
            && !has(&message.body, br#""value":"0""#);
        counted += u64::from(is_count);
    }
    assert_eq!(counter(asterisk, "dropped"), 0);

    let ours = ours(asterisk);
    assert!(ours.processed >= total && ours.deepest < ours.high_water, "{ours:?}");
    let alerts: Vec<_> =
        asterisk.complaints().into_iter().filter(|line| line.contains("scheduled tasks")).collect();
    assert!(!alerts.iter().any(|alert| alert.contains(&ours.name)), "{alerts:?}");
    // On a machine with no time, Asterisk's own subscriptions may have it refuse calls.
    assert!(refused.is_empty() || !alerts.is_empty(), "calls were refused: {refused:?}");
    assert!(accepted > 0, "no call was accepted: {refused:?}");
}

fn has(body: &[u8], part: &[u8]) -> bool {
    body.windows(part.len()).any(|window| window == part)
}
