// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Reloads under traffic: every option applies, and no event is lost on the way.

use std::collections::BTreeSet;
use std::time::Duration;

use rig::{Broker, Consumer, Version, eventually, seconds};

use crate::pair::{AmqpConf, counter, load, node, wait_for_counter, wait_for_state};
use crate::traffic::{Arrived, ENDLESS, count_slowly, keep_all, settle};

on_each_version!(a_reload_that_changes_everything_loses_nothing);

fn a_reload_that_changes_everything_loses_nothing(version: Version) {
    let (near, far) = (Broker::shared().tenant(), Broker::shared().tenant());
    let places = [(&near, "asterisk"), (&near, "other"), (&far, "asterisk"), (&far, "other")];
    for (tenant, exchange) in places {
        keep_all(tenant, exchange, exchange, "classic");
    }
    let mut queues = places
        .map(|(tenant, exchange)| (Consumer::queue(&tenant.url(), exchange), Arrived::default()));
    let conf = AmqpConf::new(&near.url());
    let second = format!("[second]\ntype = connection\nurl = {}\n", far.url());
    // Each with the place where events come from then on.
    let steps = [
        (0, conf.clone()),
        (1, conf.clone().stasis("exchange", "other")),
        (1, conf.clone().stasis("exchange", "other").stasis("confirms", "no")),
        (1, conf.clone().stasis("exchange", "other").stasis("publish_ami_events", "no")),
        // The same section leads to another vhost, as another user.
        (2, AmqpConf::new(&far.url()).stasis("persistent", "no")),
        // Another section takes over, and back.
        (3, conf.clone().stasis("connection", "second").stasis("exchange", "other").more(&second)),
        (0, conf.clone().more(&second)),
        (0, conf),
    ];
    let asterisk = node(version, &steps[0].1.text()).start();
    load(&asterisk);
    wait_for_state(&asterisk, "connected");
    let _channel = count_slowly(&asterisk, ENDLESS);
    for (place, step) in &steps {
        asterisk.write_conf("amqp.conf", &step.text());
        let answer = asterisk.cli("module reload res_stasis_amqp.so");
        assert!(answer.contains("reloaded successfully"), "{answer}");
        let published = counter(&asterisk, "published");
        wait_for_counter(&asterisk, "published", seconds(20), published + 500);
        let (consumer, arrived) = &mut queues[*place];
        for _ in 0..500 {
            arrived.take(consumer.receive(seconds(20)).expect("events where they belong"));
        }
    }
    let last = settle(&asterisk);
    assert_eq!(counter(&asterisk, "dropped"), 0);

    let missing = |queues: &[(Consumer, Arrived); 4]| {
        let seen = queues.iter().flat_map(|(_, arrived)| arrived.messages());
        let seen: BTreeSet<u64> = seen.filter_map(rig::Message::sequence).collect();
        (1..=last).filter(|sequence| !seen.contains(sequence)).count()
    };
    eventually("each event somewhere", seconds(60), || {
        for (consumer, arrived) in &mut queues {
            while let Some(message) = consumer.receive(Duration::from_millis(100)) {
                arrived.take(message);
            }
        }
        match missing(&queues) {
            0 => Ok(()),
            some => Err(format!("{some} of {last} are missing")),
        }
    });
    for (_, arrived) in &queues {
        arrived.assert_in_order();
    }
    let repeats: u64 = queues.iter().map(|(_, arrived)| arrived.repeats).sum();
    assert!(repeats <= counter(&asterisk, "republished"));
}
