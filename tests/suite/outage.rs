// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A broker that is away, killed, frozen or full: events wait, and none is lost.

use std::ops::Deref;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rig::{Asterisk, Broker, Consumer, Tenant, Version, eventually, seconds};

use crate::pair::{AmqpConf, counter, load, node, wait_for_counter, wait_for_state};
use crate::traffic::{Arrived, count_fast, count_slowly, depth, hang_up, keep_all, settle};
use crate::unloading::unload_in_time;

on_each_version!(
    a_broker_that_is_down_at_load_gets_every_event_later,
    a_broker_stopped_and_started_in_a_burst_gets_every_event,
    a_broker_killed_and_started_in_a_burst_gets_every_event,
    a_broker_without_memory_is_waited_for_and_does_not_hold_up_an_unload,
    a_frozen_broker_is_found_out_and_does_not_hold_up_an_unload,
);

const QUEUES: [(&str, &str); 2] = [("lasting", "classic"), ("agreed", "quorum")];

/// A broker that no other scenario has meanwhile, and that the next one finds as it was.
struct Lent(Option<Broker>);

static FREE: Mutex<Vec<Broker>> = Mutex::new(Vec::new());

fn free() -> MutexGuard<'static, Vec<Broker>> {
    FREE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Lent {
    fn take() -> Self {
        let free = free().pop();
        Self(Some(free.unwrap_or_else(Broker::own)))
    }
}

impl Deref for Lent {
    type Target = Broker;

    fn deref(&self) -> &Broker {
        self.0.as_ref().expect("until the drop")
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // A scenario that fails leaves it in any state.
        let broker = self.0.take().filter(|_| !std::thread::panicking());
        free().extend(broker);
    }
}

/// A node of a tenant whose queues, one of each kind that lasts, keep everything.
fn start(
    version: Version,
    tenant: &Tenant<'_>,
    change: impl FnOnce(AmqpConf) -> AmqpConf,
) -> Asterisk {
    for (queue, kind) in QUEUES {
        keep_all(tenant, "asterisk", queue, kind);
    }
    let conf = AmqpConf::new(&tenant.url()).stasis("publish_ami_events", "no");
    node(version, &change(conf).text()).start()
}

/// Waits for all to be delivered, and looks whether it is all there, in each of the queues.
#[track_caller]
fn assert_nothing_is_lost(asterisk: &Asterisk, tenant: &Tenant<'_>, count: u32) {
    assert_all_in(&QUEUES, asterisk, tenant, count);
}

#[track_caller]
fn assert_all_in(queues: &[(&str, &str)], asterisk: &Asterisk, tenant: &Tenant<'_>, count: u32) {
    let last = settle(asterisk);
    let [dropped, republished] = ["dropped", "republished"].map(|name| counter(asterisk, name));
    assert_eq!(dropped, 0);
    for (queue, _) in queues {
        let arrived = Arrived::until(&Consumer::queue(&tenant.url(), queue), last);
        arrived.assert_in_order();
        arrived.assert_counted_to(count);
        assert!(arrived.repeats <= republished, "{} of {republished}", arrived.repeats);
    }
}

fn a_broker_that_is_down_at_load_gets_every_event_later(version: Version) {
    let broker = Lent::take();
    let tenant = broker.tenant();
    let asterisk = start(version, &tenant, |conf| conf);
    broker.stop();
    let since = Instant::now();
    load(&asterisk);
    let took = since.elapsed();
    assert!(took < seconds(2), "the load took {took:?}");
    let state = wait_for_state(&asterisk, "unreachable");
    for part in ["Connection refused", "check url and network", "; next attempt "] {
        assert!(state.contains(part), "no {part:?} in: {state}");
    }
    count_slowly(&asterisk, 1000).finish(seconds(20));
    let (queued, unconfirmed) = depth(&asterisk);
    assert!(queued >= 1000 && unconfirmed == 0, "{queued} queued, {unconfirmed} unconfirmed");

    broker.start();
    wait_for_state(&asterisk, "connected");
    assert_nothing_is_lost(&asterisk, &tenant, 1000);
}

fn a_broker_stopped_and_started_in_a_burst_gets_every_event(version: Version) {
    let broker = Lent::take();
    let tenant = broker.tenant();
    let asterisk = start(version, &tenant, |conf| conf);
    load(&asterisk);
    let channel = count_slowly(&asterisk, 20_000);
    wait_for_counter(&asterisk, "confirmed", seconds(30), 1000);
    broker.stop();
    let confirmed = counter(&asterisk, "confirmed");
    assert!(confirmed < 20_000, "the burst was over");
    eventually("the loss to be seen", seconds(10), || {
        let shown = asterisk.cli("amqp show status");
        if shown.contains("State:        connected") { Err(shown) } else { Ok(()) }
    });

    broker.start();
    wait_for_state(&asterisk, "connected");
    channel.finish(seconds(60));
    assert_nothing_is_lost(&asterisk, &tenant, 20_000);
    assert!(counter(&asterisk, "reconnects") >= 1);
}

fn a_broker_killed_and_started_in_a_burst_gets_every_event(version: Version) {
    let broker = Lent::take();
    let tenant = broker.tenant();
    let asterisk = start(version, &tenant, |conf| conf);
    load(&asterisk);
    let channel = count_fast(&asterisk, 20_000);
    wait_for_counter(&asterisk, "confirmed", seconds(30), 1000);
    // Frozen first, so that something is surely under way when it dies.
    broker.freeze();
    eventually("unconfirmed events", seconds(10), || match depth(&asterisk) {
        (_, 0) => Err("none"),
        _ => Ok(()),
    });
    broker.kill();
    assert!(counter(&asterisk, "confirmed") < 20_000, "the burst was over");

    broker.start();
    wait_for_state(&asterisk, "connected");
    channel.finish(seconds(60));
    // A quorum queue made seconds before does not survive this: RabbitMQ 4.3 begins it anew.
    assert_all_in(&QUEUES[..1], &asterisk, &tenant, 20_000);
    assert!(counter(&asterisk, "republished") > 0);
}

fn a_broker_without_memory_is_waited_for_and_does_not_hold_up_an_unload(version: Version) {
    let broker = Lent::take();
    let tenant = broker.tenant();
    let asterisk = start(version, &tenant, |conf| conf);
    load(&asterisk);
    wait_for_state(&asterisk, "connected");
    broker.memory_alarm(true);
    // The broker tells of it when something is published.
    let channel = count_slowly(&asterisk, 5000);
    let state = wait_for_state(&asterisk, "blocked");
    assert!(state.contains("low on memory"), "{state}");
    channel.finish(seconds(30));
    let (queued, unconfirmed) = depth(&asterisk);
    assert!(queued + unconfirmed >= 4000, "{queued} queued, {unconfirmed} unconfirmed");
    // The one connection is kept: a second would only wait beside it.
    wait_for_state(&asterisk, "blocked");
    eventually("the broker to list one connection", seconds(10), || {
        let connections = tenant.connections();
        if connections.len() == 1 { Ok(()) } else { Err(format!("{connections:?}")) }
    });

    broker.memory_alarm(false);
    wait_for_state(&asterisk, "connected");
    assert_nothing_is_lost(&asterisk, &tenant, 5000);
    assert_eq!(counter(&asterisk, "reconnects"), 0);
    assert_eq!(counter(&asterisk, "republished"), 0);

    // Another connection need not wait for it.
    broker.memory_alarm(true);
    let channel = count_slowly(&asterisk, 2000);
    wait_for_state(&asterisk, "blocked");
    let other = Broker::shared().tenant();
    keep_all(&other, "asterisk", "kept", "classic");
    let here = AmqpConf::new(&tenant.url())
        .more(&format!("[second]\ntype = connection\nurl = {}\n", other.url()));
    let reload = |conf: &AmqpConf| {
        asterisk.write_conf("amqp.conf", &conf.text());
        let answer = asterisk.cli("module reload res_stasis_amqp.so");
        assert!(answer.contains("reloaded successfully"), "{answer}");
    };
    reload(&here.clone().stasis("connection", "second"));
    channel.finish(seconds(30));
    let last = settle(&asterisk);
    let mut arrived = Arrived::default();
    arrived.take_until(&Consumer::queue(&other.url(), "kept"), |arrived| arrived.has(last));
    arrived.assert_in_order();
    assert_eq!(counter(&asterisk, "dropped"), 0);

    reload(&here);
    let _channel = count_slowly(&asterisk, 5000);
    wait_for_state(&asterisk, "blocked");
    hang_up(&asterisk);
    unload_in_time(&asterisk);
    asterisk.wait_log("events could not be delivered before the end");
    broker.memory_alarm(false);
    load(&asterisk);
    wait_for_state(&asterisk, "connected");
}

fn a_frozen_broker_is_found_out_and_does_not_hold_up_an_unload(version: Version) {
    let broker = Lent::take();
    let tenant = broker.tenant();
    let asterisk = start(version, &tenant, |conf| {
        conf.connection("heartbeat_seconds", "2").connection("connection_timeout", "1s")
    });
    load(&asterisk);
    wait_for_state(&asterisk, "connected");
    let channel = count_slowly(&asterisk, 10_000);
    wait_for_counter(&asterisk, "confirmed", seconds(20), 1000);
    broker.freeze();
    let since = Instant::now();
    // Two heartbeats, and what it takes to look.
    let state = wait_for_state(&asterisk, "connection lost");
    let took = since.elapsed();
    assert!(took < Duration::from_millis(6500), "found out after {took:?}: {state}");
    wait_for_state(&asterisk, "unreachable (no AMQP handshake within 1s)");
    assert_eq!(counter(&asterisk, "reconnects"), 0);
    channel.finish(seconds(60));

    broker.thaw();
    wait_for_state(&asterisk, "connected");
    assert_nothing_is_lost(&asterisk, &tenant, 10_000);
    assert!(counter(&asterisk, "reconnects") >= 1);

    let _channel = count_slowly(&asterisk, 2000);
    broker.freeze();
    eventually("unconfirmed events", seconds(10), || match depth(&asterisk) {
        (_, 0) => Err("none"),
        _ => Ok(()),
    });
    hang_up(&asterisk);
    unload_in_time(&asterisk);
    load(&asterisk);
    wait_for_state(&asterisk, "unreachable");
    unload_in_time(&asterisk);
    broker.thaw();
}
