// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What can be wrong between a node and a broker that runs: each has a state that says so, and
//! ends by itself once it is put right.

use std::time::{Duration, Instant};

use rig::{Asterisk, Broker, Consumer, Tenant, Version, eventually, ports, seconds};
use serde_json::json;

use crate::gate::Gate;
use crate::pair::{AmqpConf, Pair, counter, load, node, wait_for_counter, wait_for_state};
use crate::traffic::{Arrived, count_fast, count_slowly, keep_all, keep_unrouted, set, settle};

on_each_version!(
    a_missing_exchange_is_waited_for,
    an_exchange_deleted_under_traffic_is_declared_again,
    an_exchange_of_another_type_is_refused_with_the_brokers_words,
    a_user_without_permission_is_refused_until_it_is_granted,
    a_refused_login_ends_when_the_password_is_right_and_never_shows_it,
    a_missing_vhost_is_waited_for,
    a_silent_peer_is_left_after_the_timeout,
    the_next_url_is_taken_when_one_is_dead,
    a_connection_that_breaks_again_and_again_loses_nothing,
    what_a_full_queue_refuses_is_sent_again_and_at_last_dropped,
    what_the_broker_closes_the_channel_for_holds_up_nothing_else,
    what_no_queue_takes_is_counted,
    a_second_connection_is_held_and_can_be_tested,
);

/// A node of a tenant of the shared broker, loaded with what `change` makes of its configuration.
fn start(
    version: Version,
    tenant: &Tenant<'_>,
    change: impl FnOnce(AmqpConf) -> AmqpConf,
) -> Asterisk {
    let asterisk = node(version, &change(AmqpConf::new(&tenant.url())).text()).start();
    load(&asterisk);
    asterisk
}

fn all_in_order(asterisk: &Asterisk, tenant: &Tenant<'_>, queue: &str) -> Arrived {
    let last = settle(asterisk);
    let arrived = Arrived::until(&Consumer::queue(&tenant.url(), queue), last);
    arrived.assert_in_order();
    arrived
}

#[track_caller]
fn assert_has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in: {text}");
    }
}

fn a_missing_exchange_is_waited_for(version: Version) {
    let tenant = Broker::shared().tenant();
    keep_unrouted(&tenant, "kept");
    let asterisk = start(version, &tenant, |conf| {
        conf.stasis("exchange", "other").stasis("declare_exchange", "no")
    });
    let state = wait_for_state(&asterisk, "exchange missing");
    assert_has(&state, &["'other'", "NOT_FOUND", "declare_exchange = yes", "next attempt"]);
    count_slowly(&asterisk, 300).finish(seconds(20));
    assert_eq!(counter(&asterisk, "published"), 0);
    assert!(tenant.exchange("other").is_none(), "it was declared all the same");

    tenant.declare_exchange("other", "topic");
    wait_for_state(&asterisk, "connected");
    all_in_order(&asterisk, &tenant, "kept").assert_counted_to(300);
    assert_eq!(counter(&asterisk, "reconnects"), 0, "a channel is no connection");
}

fn an_exchange_deleted_under_traffic_is_declared_again(version: Version) {
    let tenant = Broker::shared().tenant();
    keep_unrouted(&tenant, "kept");
    let asterisk = start(version, &tenant, |conf| conf);
    wait_for_state(&asterisk, "connected");
    let channel = count_slowly(&asterisk, 10_000);
    for round in 1..=3 {
        wait_for_counter(&asterisk, "confirmed", seconds(20), round * 500);
        tenant.delete_exchange("asterisk");
        eventually("the exchange to be there again", seconds(20), || {
            tenant.exchange("asterisk").map(drop).ok_or_else(|| asterisk.cli("amqp show status"))
        });
    }
    channel.finish(seconds(30));
    wait_for_state(&asterisk, "connected");
    assert_eq!(tenant.exchange("asterisk").expect("it is there")["type"], "topic");
    // Its bindings went with it, so all came by the alternate exchange.
    all_in_order(&asterisk, &tenant, "kept").assert_counted_to(10_000);
    assert_eq!((counter(&asterisk, "dropped"), counter(&asterisk, "reconnects")), (0, 0));
}

fn an_exchange_of_another_type_is_refused_with_the_brokers_words(version: Version) {
    let tenant = Broker::shared().tenant();
    tenant.declare_exchange("asterisk", "direct");
    keep_unrouted(&tenant, "kept");
    let asterisk = start(version, &tenant, |conf| conf);
    let state = wait_for_state(&asterisk, "exchange refused");
    assert_has(&state, &["'asterisk'", "inequivalent arg 'type'", "exchange_type", "next attempt"]);
    count_slowly(&asterisk, 300).finish(seconds(20));

    let direct = AmqpConf::new(&tenant.url()).stasis("exchange_type", "direct");
    asterisk.write_conf("amqp.conf", &direct.text());
    asterisk.cli("module reload res_stasis_amqp.so");
    wait_for_state(&asterisk, "connected");
    all_in_order(&asterisk, &tenant, "kept").assert_counted_to(300);
}

fn a_user_without_permission_is_refused_until_it_is_granted(version: Version) {
    let tenant = Broker::shared().tenant();
    keep_all(&tenant, "asterisk", "kept", "classic");
    tenant.set_permissions("^$", "^$", ".*");
    let asterisk = start(version, &tenant, |conf| conf);
    let state = wait_for_state(&asterisk, "exchange refused");
    assert_has(&state, &["'asterisk'", "ACCESS_REFUSED", "configure access", "permit the user"]);

    // It may be declared now, but nothing may be published to it.
    tenant.set_permissions(".*", "^$", ".*");
    count_slowly(&asterisk, 300).finish(seconds(20));
    eventually("the write to be refused", seconds(20), || {
        let state = wait_for_state(&asterisk, "exchange refused");
        if state.contains("write access") { Ok(()) } else { Err(state) }
    });

    tenant.set_permissions(".*", ".*", ".*");
    wait_for_state(&asterisk, "connected");
    all_in_order(&asterisk, &tenant, "kept").assert_counted_to(300);
    assert_eq!(counter(&asterisk, "reconnects"), 0);
    // A channel that may be opened is no success while nothing may be published on it.
    let log = asterisk.log();
    assert_eq!(log.matches("connection 'bunny': connected").count(), 1, "{log}");
}

fn a_refused_login_ends_when_the_password_is_right_and_never_shows_it(version: Version) {
    let tenant = Broker::shared().tenant();
    keep_all(&tenant, "asterisk", "kept", "classic");
    let asterisk = start(version, &tenant, |conf| conf);
    wait_for_state(&asterisk, "connected");
    tenant.set_password("another-secret");
    eventually("the connection to be closed", seconds(10), || {
        tenant.close_connections();
        let shown = asterisk.cli("amqp show status");
        if shown.contains("State:        connected") { Err(shown) } else { Ok(()) }
    });
    let state = wait_for_state(&asterisk, "login refused");
    assert_has(&state, &["ACCESS_REFUSED", "check user and password", "next attempt"]);
    count_slowly(&asterisk, 300).finish(seconds(20));

    tenant.set_password(tenant.password());
    wait_for_state(&asterisk, "connected");
    all_in_order(&asterisk, &tenant, "kept").assert_counted_to(300);
    assert!(counter(&asterisk, "reconnects") >= 1);
    let shown = [
        asterisk.cli("amqp show status"),
        asterisk.cli("amqp show connection bunny"),
        asterisk.log(),
    ];
    for shown in shown {
        assert!(shown.contains(tenant.user()), "{shown}");
        assert!(!shown.contains(tenant.password()), "the password is in:\n{shown}");
    }
}

fn a_missing_vhost_is_waited_for(version: Version) {
    let broker = Broker::shared();
    let tenant = broker.tenant();
    tenant.delete_vhost();
    let asterisk = start(version, &tenant, |conf| conf);
    let state = wait_for_state(&asterisk, "vhost refused");
    assert_has(&state, &[tenant.vhost(), "not found", "check the vhost", "next attempt"]);
    count_slowly(&asterisk, 300).finish(seconds(20));

    broker.api("PUT", &format!("/vhosts/{}", tenant.vhost()), Some(&json!({}))).ok();
    keep_all(&tenant, "asterisk", "kept", "classic");
    tenant.set_permissions(".*", ".*", ".*");
    wait_for_state(&asterisk, "connected");
    all_in_order(&asterisk, &tenant, "kept").assert_counted_to(300);
}

fn a_silent_peer_is_left_after_the_timeout(version: Version) {
    let gate = Gate::silent();
    gate.open();
    let url = format!("amqp://user:secret@127.0.0.1:{}/", gate.port());
    let conf = AmqpConf::new(&url).connection("connection_timeout", "1500ms");
    let asterisk = node(version, &conf.text()).start();
    load(&asterisk);
    let since = Instant::now();
    assert_has(&wait_for_state(&asterisk, "connecting"), &["127.0.0.1"]);
    let state = wait_for_state(&asterisk, "unreachable");
    let took = since.elapsed();
    assert_has(&state, &["no AMQP handshake within 1.5s", "next attempt"]);
    let limits = Duration::from_millis(1200)..seconds(6);
    assert!(limits.contains(&took), "given up after {took:?}");
    eventually("another attempt", seconds(20), || match gate.accepted() {
        2.. => Ok(()),
        count => Err(count),
    });
}

fn the_next_url_is_taken_when_one_is_dead(version: Version) {
    let tenant = Broker::shared().tenant();
    let gate = Gate::to(tenant.broker().port());
    let dead = format!("amqp://user:secret@127.0.0.1:{}/", ports::free());
    let good = gate.url(&tenant.url());
    keep_all(&tenant, "asterisk", "kept", "classic");
    let conf = AmqpConf::new(&format!("{dead}, {good}"));
    let asterisk = node(version, &conf.text()).start();
    load(&asterisk);
    let state = wait_for_state(&asterisk, "unreachable");
    assert_has(&state, &["Connection refused", &format!(":{}", gate.port())]);

    gate.open();
    let state = wait_for_state(&asterisk, "connected");
    assert_has(&state, &[&format!(":{}/", gate.port())]);
    count_slowly(&asterisk, 300).finish(seconds(20));
    all_in_order(&asterisk, &tenant, "kept").assert_counted_to(300);
}

fn a_connection_that_breaks_again_and_again_loses_nothing(version: Version) {
    let tenant = Broker::shared().tenant();
    let gate = Gate::to(tenant.broker().port());
    gate.open();
    keep_all(&tenant, "asterisk", "kept", "classic");
    let asterisk = node(version, &AmqpConf::new(&gate.url(&tenant.url())).text()).start();
    load(&asterisk);
    let channel = count_fast(&asterisk, 20_000);
    for round in 1..=4 {
        wait_for_state(&asterisk, "connected");
        wait_for_counter(&asterisk, "confirmed", seconds(30), round * 3000);
        gate.cut();
        eventually("another connection", seconds(30), || {
            let reconnects = counter(&asterisk, "reconnects");
            if reconnects >= round { Ok(()) } else { Err(reconnects) }
        });
    }
    channel.finish(seconds(60));
    let arrived = all_in_order(&asterisk, &tenant, "kept");
    arrived.assert_counted_to(20_000);
    let [republished, dropped] = ["republished", "dropped"].map(|name| counter(&asterisk, name));
    assert!(republished > 0, "four cuts in a burst, and nothing was unconfirmed");
    assert!(arrived.repeats <= republished, "{} of {republished}", arrived.repeats);
    assert_eq!(dropped, 0);
    // An event is published once, and then republished.
    assert_eq!(counter(&asterisk, "published"), counter(&asterisk, "queued"));
}

fn what_a_full_queue_refuses_is_sent_again_and_at_last_dropped(version: Version) {
    let tenant = Broker::shared().tenant();
    tenant.declare_exchange("asterisk", "topic");
    tenant.declare_queue("full", &json!({"x-max-length": 1, "x-overflow": "reject-publish"}));
    tenant.bind("asterisk", "full", "stasis.channel.channelvarset");
    let others = Consumer::topic(&tenant.url(), "asterisk", &["ami.varset"]);
    let meta = Consumer::topic(&tenant.url(), "asterisk", &["stasis.meta"]);
    let asterisk =
        start(version, &tenant, |conf| conf.stasis("include_channelvarset_events", "MARK*"));
    wait_for_state(&asterisk, "connected");
    let mark = |name: &str| {
        set(&asterisk, name);
        others.next_where(name, seconds(2), |m| m.json()["data"]["Variable"] == name);
    };
    mark("MARK1");
    wait_for_counter(&asterisk, "confirmed", seconds(10), 1);

    // The second finds the queue full, and its place when there is room.
    mark("MARK2");
    wait_for_counter(&asterisk, "nacked", seconds(10), 1);
    let variable = |taken: &serde_json::Value| {
        let payload = taken["payload"].as_str().unwrap_or_default();
        let body: serde_json::Value = serde_json::from_str(payload).unwrap_or_default();
        body["data"]["variable"].as_str().unwrap_or_default().to_owned()
    };
    let take = |name: &str| {
        eventually(&format!("{name} in the queue"), seconds(20), || {
            match tenant.take("full", 1).first() {
                Some(taken) if variable(taken) == name => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
    };
    take("MARK1");
    take("MARK2");
    assert_eq!(counter(&asterisk, "dropped"), 0);
    assert!(counter(&asterisk, "republished") >= 1);

    // Without room it is given up in the end, and consumers are told which.
    mark("MARK3");
    mark("MARK4");
    mark("MARK5");
    let lost = meta.next_where("EventsLost", seconds(20), |m| m.name() == "EventsLost");
    wait_for_counter(&asterisk, "dropped_refused", seconds(20), 2);
    assert_has(&lost.json()["data"].to_string(), &["refused"]);
    wait_for_state(&asterisk, "connected");
    take("MARK3");
    mark("MARK6");
    take("MARK6");
    assert_eq!(counter(&asterisk, "dropped"), 2);
}

fn what_the_broker_closes_the_channel_for_holds_up_nothing_else(version: Version) {
    let tenant = Broker::shared().tenant();
    keep_all(&tenant, "asterisk", "kept", "classic");
    let conf = AmqpConf::new(&tenant.url());
    let asterisk = node(version, &conf.text()).start();
    tenant.set_topic_permission("asterisk", "^stasis[.]");
    load(&asterisk);
    wait_for_state(&asterisk, "connected");
    count_slowly(&asterisk, 200).finish(seconds(60));
    let last = settle(&asterisk);
    // The last of what is refused is told of when all else has gone.
    let refused = counter(&asterisk, "dropped_refused");
    assert!(refused > 200, "{refused} of some 200 ami.varset");
    let mut arrived = Arrived::default();
    let kept = Consumer::queue(&tenant.url(), "kept");
    let told = |arrived: &Arrived| arrived.messages().filter_map(lost_to_refusal).sum::<u64>();
    arrived.take_until(&kept, |arrived| {
        arrived.messages().count() as u64 + told(arrived) >= last && told(arrived) == refused
    });
    arrived.assert_in_order();
    arrived.assert_counted_to(200);
    assert!(arrived.messages().all(|message| message.routing_key.starts_with("stasis.")));
    assert_eq!(counter(&asterisk, "dropped"), refused);
    assert_eq!(counter(&asterisk, "reconnects"), 0);
    wait_for_state(&asterisk, "connected");
    let line = asterisk.wait_log("the broker refuses an event with the routing key 'ami.");
    assert_has(&line, &["WARNING", "connection 'bunny'", "ACCESS_REFUSED", "dropped_refused"]);
    let log = asterisk.log();
    assert_eq!(log.matches("the broker refuses an event").count(), 1, "{log}");
    assert_eq!(log.matches("connection 'bunny': ").count(), 2, "{log}");

    tenant.set_topic_permission("asterisk", ".*");
    set(&asterisk, "MARK");
    kept.next_where("ami.varset", seconds(10), |message| message.routing_key == "ami.varset");
}

/// How many events an EventsLost says were refused.
fn lost_to_refusal(message: &rig::Message) -> Option<u64> {
    let data = message.json()["data"].take();
    (data["reason"] == "refused").then(|| data["count"].as_u64()).flatten()
}

fn what_no_queue_takes_is_counted(version: Version) {
    for confirms in ["yes", "no"] {
        let pair = Pair::with(version, |conf| {
            conf.stasis("mandatory", "yes").stasis("confirms", confirms)
        });
        count_slowly(&pair.asterisk, 500).finish(seconds(20));
        let last = settle(&pair.asterisk);
        assert!(last >= 500);
        wait_for_counter(&pair.asterisk, "returned", seconds(10), last);
        assert_eq!(counter(&pair.asterisk, "returned"), last, "confirms = {confirms}");
        assert_eq!(counter(&pair.asterisk, "dropped"), 0);
        pair.wait_for_state("connected");

        // With a queue there is nothing to return.
        let consumer = pair.consumer(&["#"]);
        count_slowly(&pair.asterisk, 50).finish(seconds(20));
        let more = settle(&pair.asterisk);
        consumer.next_where("the last", seconds(10), |m| m.sequence() == Some(more));
        assert_eq!(counter(&pair.asterisk, "returned"), last, "confirms = {confirms}");
    }
}

fn a_second_connection_is_held_and_can_be_tested(version: Version) {
    let other = Broker::shared().tenant();
    other.declare_queue("letters", &json!({}));
    let section = format!("[second]\ntype = connection\nurl = {}\n", other.url());
    let pair = Pair::with(version, |conf| conf.more(&section));
    let shown = eventually("both to be connected", seconds(10), || {
        let shown = pair.asterisk.cli("amqp show status");
        if shown.matches("State:        connected").count() == 2 { Ok(shown) } else { Err(shown) }
    });
    assert_has(&shown, &["Connection 'bunny'", "Connection 'second'", "by connection 'bunny'"]);

    let send = |connection: &str, queue: &str| {
        let command =
            format!("amqp test send connection {connection} queue {queue} message \"well met\"");
        pair.asterisk.cli(&command)
    };
    assert_has(&send("second", "letters"), &["confirmed by the broker"]);
    let letter = Consumer::queue(&other.url(), "letters").next(seconds(10));
    assert_eq!((letter.body.as_slice(), letter.exchange.as_str()), (b"well met".as_slice(), ""));
    assert_has(&send("bunny", "letters"), &["no such queue: letters"]);
    assert_has(&send("third", "letters"), &["no connection 'third'", "bunny, second"]);
    // What went wrong there concerned the test only.
    pair.wait_for_state("connected");
    assert_eq!(counter(&pair.asterisk, "reconnects"), 0);
}
