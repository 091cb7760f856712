// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The work that an event is for the thread that brings it, and to take it from the queue again,
//! without a server: `count.sh` has valgrind count the instructions of [`measured`].
//!
//!     instructions KIND     does it EVENTS times, and prints how long one took

#[path = "../../../res_stasis_amqp/src"]
mod module {
    pub(crate) mod ami;
    pub(crate) mod counters;
    pub(crate) mod direct;
    pub(crate) mod event;
    pub(crate) mod feed;
    pub(crate) mod filter;
    pub(crate) mod identity;
    pub(crate) mod labels;
    pub(crate) mod limits;
    pub(crate) mod loss;
    pub(crate) mod outbox;
    pub(crate) mod pattern;
    pub(crate) mod plain;
    pub(crate) mod routing;
    pub(crate) mod short_text;
    pub(crate) mod times;
}
/// Nothing is on disk here.
mod spool {
    use std::sync::Arc;

    use crate::identity::Identity;
    use crate::loss::{Loss, Told};

    pub(crate) struct Lost {
        pub(crate) about: Option<Arc<Identity>>,
        pub(crate) loss: Loss,
        pub(crate) untold: Vec<Told>,
    }
}

use std::ffi::c_int;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use asterisk::json::Json;
use asterisk::stasis::{Formatter, Message, Subscription, Topic};

use module::*;

use counters::Counters;
use feed::Feed;
use filter::Filter;
use labels::Labels;
use limits::{Limits, Overflow};
use outbox::Outbox;

unsafe extern "C" {
    /// Has the last subscription receive a message of `host.c`. Single-threaded, as all here is.
    safe fn host_publish(what: c_int);
}

/// More than are compared one by one, and few enough that the sample's cost is the same each time.
const WARM: usize = 100;
const EVENTS: usize = 2_000;

/// Taken from the queue at one time.
const BATCH: usize = 64;

const APP_EVENT: &str = r#"{"type":"StasisStart","timestamp":"2025-11-21T22:44:47.123+0000","args":["one","two words"],"channel":{"id":"node-a-1763765087.1234","name":"PJSIP/trunk-provider-00001a2b","state":"Up","protocol_id":"3c26700c1adb-z0yt5yq9xqyd@192.0.2.17","caller":{"name":"John Q. Public","number":"+15551234567"},"connected":{"name":"Reception","number":"8000"},"accountcode":"customer-17","dialplan":{"context":"from-provider","exten":"+15557654321","priority":12,"app_name":"Stasis","app_data":"demo,one,two words"},"creationtime":"2025-11-21T22:44:47.123+0000","language":"en"},"asterisk_id":"00:00:5e:00:53:01","application":"demo"}"#;

/// What is published, of which kind, and what is left out.
enum Source {
    /// Of the channel topic: the place in `host.c`, the only variable that is wanted.
    Channels(c_int, &'static str),
    /// Of the manager topic.
    Manager(c_int),
    /// Of an application.
    App,
}

fn main() -> ExitCode {
    let kind = std::env::args().nth(1).unwrap_or_default();
    let (source, excluded) = match kind.as_str() {
        "varset" => (Source::Channels(0, ""), ""),
        "dial" => (Source::Channels(1, ""), ""),
        "dtmf" => (Source::Channels(2, ""), ""),
        "hangup" => (Source::Channels(3, ""), ""),
        "app" => (Source::App, ""),
        "ami" => (Source::Manager(4), ""),
        "excluded-varset" => (Source::Channels(0, ""), "ChannelVarset"),
        "excluded-variable" => (Source::Channels(0, "OTHER"), ""),
        "excluded-app" => (Source::App, "StasisStart"),
        "excluded-ami" => (Source::Manager(4), "VarSet"),
        _ => {
            eprintln!("usage: instructions KIND, one of those in count.sh's list");
            return ExitCode::FAILURE;
        }
    };
    let counters = Arc::new(Counters::default());
    let limits = Limits { events: 10_000, bytes: 1 << 24, overflow: Overflow::DropNewest };
    let outbox = Arc::new(Outbox::new("1", limits, Arc::clone(&counters), || {}));
    let feed = Arc::new(Feed::new(Arc::clone(&outbox), Arc::clone(&counters)));
    let list = |text: &str| -> Vec<String> {
        text.split(',').filter(|one| !one.is_empty()).map(str::to_owned).collect()
    };
    let variables = if let Source::Channels(_, only) = &source { *only } else { "" };
    feed.set_filter(Some(&Filter::new(&list(excluded), &list(variables))));

    let took = match source {
        Source::Channels(what, _) => {
            let feed = Arc::clone(&feed);
            let receive = move |message: &Message<'_>| feed.channel_event(message);
            let _subscription = Subscription::new(Topic::Channels, Formatter::Json, 1, receive);
            run(&outbox, || host_publish(what))
        }
        Source::Manager(what) => {
            let feed = Arc::clone(&feed);
            let receive = move |message: &Message<'_>| feed.manager_event(message);
            let _subscription = Subscription::new(Topic::Manager, Formatter::Ami, 1, receive);
            run(&outbox, || host_publish(what))
        }
        Source::App => {
            let demo = Labels::of("demo");
            let event = Json::parse(APP_EVENT).expect("it is JSON");
            run(&outbox, || feed.app_event(&demo, &event))
        }
    };
    println!("{kind}: {took} ns an event");

    // Or it was not what this is to measure.
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let all = (WARM + EVENTS) as u64;
    assert_eq!((count(&counters.seen), count(&counters.differed)), (all, 0));
    let (filtered, direct) = (count(&counters.filtered), count(&counters.written_directly));
    let expected = match (kind.starts_with("excluded-"), kind.as_str()) {
        (true, _) => (all, 0),
        (false, "ami") => (0, 0),
        (false, _) => (0, all),
    };
    assert_eq!((filtered, direct), expected);
    ExitCode::SUCCESS
}

fn run(outbox: &Outbox, mut publish: impl FnMut()) -> u128 {
    work(outbox, WARM, &mut publish);
    let began = Instant::now();
    measured(outbox, &mut publish);
    began.elapsed().as_nanos() / EVENTS as u128
}

/// By its name valgrind knows what to count.
#[inline(never)]
fn measured(outbox: &Outbox, publish: &mut dyn FnMut()) {
    work(outbox, EVENTS, publish);
}

fn work(outbox: &Outbox, events: usize, publish: &mut dyn FnMut()) {
    let mut taken = Vec::with_capacity(BATCH);
    for event in 1..=events {
        publish();
        if event % BATCH == 0 {
            outbox.lease(1, BATCH, usize::MAX, &mut taken);
            outbox.settle(1, &taken);
            taken.clear();
        }
    }
}
