// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The end of Asterisk: what was said until then is at the broker, or counted as lost.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use rig::{Asterisk, Broker, Consumer, Tenant, Version, eventually, ports, seconds};

use crate::pair::{AmqpConf, counter, load, node, wait_for_counter, wait_for_state};
use crate::traffic::{Arrived, ENDLESS, count_slowly, depth, hang_up, keep_all, set};

on_each_version!(
    core_stop_now_under_traffic_delivers_what_was_said,
    sigterm_under_traffic_delivers_what_was_said,
    core_stop_gracefully_delivers_everything,
    what_no_broker_takes_at_the_end_is_counted,
    core_restart_now_comes_back,
);

/// What a stop may take, of which Asterisk itself waits some seconds for its channels.
const STOP: Duration = seconds(15);

fn start(version: Version, tenant: &Tenant<'_>) -> Asterisk {
    keep_all(tenant, "asterisk", "kept", "classic");
    let asterisk = node(version, &AmqpConf::new(&tenant.url()).text()).start();
    load(&asterisk);
    wait_for_state(&asterisk, "connected");
    asterisk
}

/// How many events the module says that it has not delivered.
fn lost(asterisk: &Asterisk) -> u64 {
    let log = asterisk.log();
    let line = log.lines().find(|line| line.contains("could not be delivered before the end"));
    line.map_or(0, |line| {
        let said = line.split(": ").nth(1).and_then(|said| said.split_whitespace().next());
        said.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("no number: {line}"))
    })
}

fn stops_under_traffic(version: Version, stop: impl FnOnce(&Asterisk) -> ExitStatus) {
    let tenant = Broker::shared().tenant();
    let asterisk = start(version, &tenant);
    let _channel = count_slowly(&asterisk, ENDLESS);
    wait_for_counter(&asterisk, "confirmed", seconds(20), 2000);
    let said = counter(&asterisk, "queued");
    let since = Instant::now();
    let status = stop(&asterisk);
    let took = since.elapsed();
    assert!(status.success(), "{status}");
    assert!(took < STOP, "the stop took {took:?}");

    let consumer = Consumer::queue(&tenant.url(), "kept");
    let mut arrived = Arrived::default();
    while let Some(message) = consumer.receive(seconds(1)) {
        arrived.take(message);
    }
    arrived.assert_in_order();
    let last = arrived.messages().filter_map(rig::Message::sequence).last().unwrap_or_default();
    assert_eq!(arrived.missing(last), Vec::<u64>::new());
    let lost = lost(&asterisk);
    assert!(last >= said, "{said} were said, {last} arrived, {lost} counted as lost");
}

fn core_stop_now_under_traffic_delivers_what_was_said(version: Version) {
    stops_under_traffic(version, Asterisk::stop_now);
}

fn sigterm_under_traffic_delivers_what_was_said(version: Version) {
    stops_under_traffic(version, Asterisk::terminate);
}

fn core_stop_gracefully_delivers_everything(version: Version) {
    let tenant = Broker::shared().tenant();
    let asterisk = start(version, &tenant);
    count_slowly(&asterisk, 1000).finish(seconds(30));
    set(&asterisk, "LAST");
    hang_up(&asterisk);
    let since = Instant::now();
    let status = asterisk.stop_gracefully();
    assert!(status.success(), "{status}");
    assert!(since.elapsed() < STOP, "the stop took {:?}", since.elapsed());

    let consumer = Consumer::queue(&tenant.url(), "kept");
    let mut arrived = Arrived::default();
    while let Some(message) = consumer.receive(seconds(1)) {
        arrived.take(message);
    }
    arrived.assert_in_order();
    arrived.assert_counted_to(1000);
    let last = arrived.messages().filter_map(rig::Message::sequence).last().unwrap_or_default();
    assert_eq!((arrived.missing(last), lost(&asterisk)), (Vec::new(), 0));
    assert!(arrived.messages().any(|m| m.json()["data"]["variable"] == "LAST"));
}

fn what_no_broker_takes_at_the_end_is_counted(version: Version) {
    let conf = AmqpConf::new(&format!("amqp://a:b@127.0.0.1:{}/", ports::free()));
    let asterisk = node(version, &conf.text()).start();
    load(&asterisk);
    wait_for_state(&asterisk, "unreachable");
    count_slowly(&asterisk, 500).finish(seconds(30));
    hang_up(&asterisk);
    let (queued, _) = eventually("the events", seconds(20), || match depth(&asterisk) {
        depth @ (501.., 0) => Ok(depth),
        depth => Err(format!("{depth:?}")),
    });
    let since = Instant::now();
    assert!(asterisk.stop_now().success());
    assert!(since.elapsed() < STOP, "the stop took {:?}", since.elapsed());
    let lost = lost(&asterisk);
    assert!(lost >= queued, "{queued} were queued, {lost} counted as lost");
}

fn core_restart_now_comes_back(version: Version) {
    let tenant = Broker::shared().tenant();
    keep_all(&tenant, "asterisk", "kept", "classic");
    let conf = AmqpConf::new(&tenant.url()).text();
    let asterisk = node(version, &conf).load("res_stasis_amqp").start();
    wait_for_state(&asterisk, "connected");
    set(&asterisk, "BEFORE");
    let consumer = Consumer::queue(&tenant.url(), "kept");
    let of = |name: &'static str| {
        consumer.next_where(name, seconds(30), move |m| m.json()["data"]["variable"] == name)
    };
    let run = |message: &rig::Message| {
        message.message_id().split('/').nth(1).expect("a run in the message id").to_owned()
    };
    let before = run(&of("BEFORE"));

    let mark = asterisk.log_mark();
    let _channel = count_slowly(&asterisk, ENDLESS);
    // It answers nothing more: it is replaced by itself.
    let _ = asterisk.try_cli("core restart now", seconds(20));
    asterisk.wait_log_after(mark, "connection 'bunny': connected");
    eventually("Asterisk to be up", seconds(30), || {
        match asterisk.try_cli("core waitfullybooted", seconds(10)) {
            Ok(answer) if answer.contains("fully booted") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    set(&asterisk, "AFTER");
    let after = run(&of("AFTER"));
    assert!(after > before, "run {after} does not come after run {before}");
    assert_eq!(asterisk.process().ended().map(ExitStatusExt::into_raw), None);
}
