// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! More events in a short time than any PBX should have, with calls beside them.

use std::time::Instant;

use rig::{Call, Consumer, Version, eventually, seconds};

use crate::pair::{Pair, counter};
use crate::traffic::{count_fast, hang_up};

on_each_version!(a_burst_from_many_channels_is_complete_and_leaves_calls_alone);

const CHANNELS: u32 = 5;

fn a_burst_from_many_channels_is_complete_and_leaves_calls_alone(version: Version) {
    let each: u32 = match version {
        Version::V22 => 40_000,
        Version::V16 => 10_000,
    };
    let total = u64::from(CHANNELS * each);
    // Room for all of it, should the machine have no time for the broker.
    let pair = Pair::with(version, |conf| {
        conf.stasis("queue_max_events", "400000")
            .stasis("queue_max_bytes", "1g")
            .stasis("publish_ami_events", "no")
    });
    let asterisk = &pair.asterisk;
    pair.tenant.declare_queue("all", &serde_json::json!({}));
    pair.tenant.bind("asterisk", "all", "#");
    let first = counter(asterisk, "queued") + 1;

    let channels: Vec<_> = (0..CHANNELS).map(|_| count_fast(asterisk, each)).collect();
    let since = Instant::now();
    let mut calls = 0;
    while !channels.iter().all(|channel| channel.is_done()) {
        Call::place(asterisk, "call", seconds(0)).wait(seconds(30));
        calls += 1;
        assert!(since.elapsed() < seconds(120), "the burst takes too long");
    }
    assert!(calls > 0);
    println!("{calls} calls in {:?}", since.elapsed());
    hang_up(asterisk);

    let consumer = Consumer::queue(&pair.tenant.url(), "all");
    let (mut next, mut set) = (first, 0);
    while set < total {
        let message = consumer.next(seconds(30));
        assert_eq!(message.sequence(), Some(next), "{} is next", message.message_id());
        next += 1;
        let is_ours = message.name() == "ChannelVarset"
            && has(&message.body, br#""variable":"I""#)
            && !has(&message.body, br#""value":"0""#);
        set += u64::from(is_ours);
    }
    println!("all in {:?}", since.elapsed());
    assert_eq!(counter(asterisk, "dropped"), 0);
    println!("{}", asterisk.cli("core show taskprocessors"));
    println!("{:?}", asterisk.complaints());
    eventually("x", seconds(1), || Ok::<_, String>(()));
}

fn has(body: &[u8], part: &[u8]) -> bool {
    body.windows(part.len()).any(|window| window == part)
}
