// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Reloads under traffic: every option applies, and no event is lost on the way.

use std::collections::BTreeSet;

use rig::{Broker, Consumer, Version, seconds};

use crate::pair::{AmqpConf, counter, load, node, wait_for_counter, wait_for_state};
use crate::traffic::{Arrived, ENDLESS, count_slowly, keep_all, settle};

on_each_version!(a_reload_that_changes_everything_loses_nothing);

fn a_reload_that_changes_everything_loses_nothing(version: Version) {
    let (near, far) = (Broker::shared().tenant(), Broker::shared().tenant());
    let places = [(&near, "asterisk"), (&near, "other"), (&far, "asterisk"), (&far, "other")];
    for (tenant, exchange) in places {
        keep_all(tenant, exchange, exchange, "classic");
    }
    let conf = AmqpConf::new(&near.url());
    let second = format!("[second]\ntype = connection\nurl = {}\n", far.url());
    let steps = [
        conf.clone(),
        conf.clone().stasis("exchange", "other"),
        conf.clone().stasis("exchange", "other").stasis("confirms", "no"),
        conf.clone().stasis("exchange", "other").stasis("publish_ami_events", "no"),
        // The same section leads to another vhost, as another user.
        AmqpConf::new(&far.url()).stasis("persistent", "no"),
        // Another section takes over, and back.
        conf.clone().stasis("connection", "second").stasis("exchange", "other").more(&second),
        conf.clone().more(&second),
        conf,
    ];
    let asterisk = node(version, &steps[0].text()).start();
    load(&asterisk);
    wait_for_state(&asterisk, "connected");
    let _channel = count_slowly(&asterisk, ENDLESS);
    for step in &steps {
        asterisk.write_conf("amqp.conf", &step.text());
        let answer = asterisk.cli("module reload res_stasis_amqp.so");
        assert!(answer.contains("reloaded successfully"), "{answer}");
        let published = counter(&asterisk, "published");
        wait_for_counter(&asterisk, "published", seconds(20), published + 500);
    }
    let last = settle(&asterisk);
    assert_eq!(counter(&asterisk, "dropped"), 0);

    let mut seen = BTreeSet::new();
    let mut repeats = 0;
    for (tenant, exchange) in places {
        let consumer = Consumer::queue(&tenant.url(), exchange);
        let mut arrived = Arrived::default();
        while let Some(message) = consumer.receive(seconds(1)) {
            arrived.take(message);
        }
        arrived.assert_in_order();
        assert!(arrived.messages().count() >= 500, "{exchange} of {}", tenant.vhost());
        seen.extend(arrived.messages().filter_map(rig::Message::sequence));
        repeats += arrived.repeats;
    }
    let missing: Vec<u64> = (1..=last).filter(|sequence| !seen.contains(sequence)).collect();
    assert!(missing.is_empty(), "{} of {last} are missing: {missing:?}", missing.len());
    assert!(repeats <= counter(&asterisk, "republished"));
}
