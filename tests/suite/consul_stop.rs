// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The end of Asterisk, as Consul sees it.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use rig::wait::poll;
use rig::{Asterisk, Call, Consul, Proxy, Version, eventually, seconds};
use serde_json::json;

use crate::fleet::{CONSUL, DISCOVERY, node, wait_gone, wait_status};
use crate::member::{
    Member, quick, register, statuses, unregister, wait_maintenance, wait_no_maintenance,
    wait_output,
};

on_each_version!(
    a_graceful_stop_is_maintenance_until_the_last_call_has_ended,
    a_graceful_stop_that_is_aborted_takes_its_maintenance_back,
    an_operators_maintenance_outlives_a_stop_that_is_aborted,
    a_graceful_stop_can_be_without_maintenance,
    a_stop_when_convenient_ends_deregistered,
    a_graceful_restart_ends_registered,
    core_stop_now_and_sigterm_deregister,
    what_a_crash_in_a_graceful_stop_left_is_taken_back,
    every_stop_is_bounded_without_consul,
);

/// What a stop may take, of which Asterisk itself waits some seconds.
const STOP: Duration = seconds(15);

const STOPPING: &str = "Asterisk: stopping when the last call has ended";

/// A command that goes on until it is aborted, or Asterisk has ended. Nobody reads its answer.
struct Begun(#[allow(dead_code, reason = "held open")] UnixStream);

#[track_caller]
fn begin(asterisk: &Asterisk, command: &str) -> Begun {
    let socket = asterisk.folder().join("run/asterisk.ctl");
    let mut stream = UnixStream::connect(&socket).expect("Asterisk's socket");
    stream.write_all(format!("cli quit after {command}\0").as_bytes()).expect("a command");
    Begun(stream)
}

/// A call that has been answered.
fn live_call(asterisk: &Asterisk, hold: Duration) -> (Call, Instant) {
    let since = Instant::now();
    let call = Call::place(asterisk, "stay", hold);
    eventually("the call to be up", seconds(10), || {
        let shown = asterisk.cli("core show channels count");
        if shown.contains("1 active channel") { Ok(()) } else { Err(shown) }
    });
    (call, since)
}

fn a_graceful_stop_is_maintenance_until_the_last_call_has_ended(version: Version) {
    let member = Member::start(version);
    let (consul, asterisk) = (&member.consul, &member.asterisk);
    let hold = seconds(6);
    let (call, placed) = live_call(asterisk, hold);
    let since = Instant::now();
    let _stop = begin(asterisk, "core stop gracefully");
    let within = poll(seconds(2), || match consul.maintenance_of(member.id()) {
        Some(reason) => Ok(reason),
        None => Err("none"),
    });
    println!("in maintenance {:?} after core stop gracefully", since.elapsed());
    assert_eq!(within.as_deref(), Ok(STOPPING));
    assert!(call.is_running());

    call.wait(seconds(20));
    assert!(placed.elapsed() >= hold, "the call ended after {:?}", placed.elapsed());
    let status = asterisk.process().wait(STOP);
    assert!(status.success(), "{status}");
    assert_eq!(consul.services().len(), 0);
    assert_eq!(complaints(asterisk), [""; 0]);
}

/// Of our modules: calls make PJSIP complain.
fn complaints(asterisk: &Asterisk) -> Vec<String> {
    let mut complaints = asterisk.complaints();
    complaints.retain(|line| line.contains("res_consul"));
    complaints
}

fn a_graceful_stop_that_is_aborted_takes_its_maintenance_back(version: Version) {
    let member = Member::start(version);
    let (consul, asterisk, id) = (&member.consul, &member.asterisk, member.id());
    let (call, _) = live_call(asterisk, seconds(60));
    // None can log in during a stop.
    let ami = asterisk.ami();
    for _ in 0..2 {
        let _stop = begin(asterisk, "core stop gracefully");
        member.wait_maintenance(STOPPING);
        let event = ami.next_of("DiscoverySetMaintenance", seconds(10));
        assert_eq!((event.field("Enable"), event.field("Reason")), ("true", STOPPING));
        let answer = asterisk.cli("core abort shutdown");
        assert!(!answer.contains("No such command"), "{answer}");
        wait_no_maintenance(consul, id);
        let event = ami.next_of("DiscoverySetMaintenance", seconds(10));
        assert_eq!((event.field("ServiceID"), event.field("Enable")), (id, "false"));
        member.wait("passing");
        assert!(call.is_running());
    }

    // An operator who lifts it in Consul has the last word, for that stop.
    let _stop = begin(asterisk, "core stop gracefully");
    member.wait_maintenance(STOPPING);
    consul.set_maintenance(id, false, "");
    member.wait("passing");
    asterisk.wait_log("was taken out of maintenance in Consul");
    looks(&member, 2);
    assert_eq!(consul.maintenance_of(id), None);
    asterisk.cli("core abort shutdown");
    looks(&member, 2);
    let (seen, _stop) = statuses(consul, id, || {
        let mark = asterisk.log_mark();
        let stop = begin(asterisk, "core stop gracefully");
        member.wait_maintenance(STOPPING);
        asterisk.wait_log_after(mark, "is in maintenance");
        stop
    });
    assert!(!seen.contains("gone"), "{seen:?}");
    asterisk.cli("core abort shutdown");
    member.wait("passing");
    assert!(call.is_running());
    unregister(asterisk);
}

fn an_operators_maintenance_outlives_a_stop_that_is_aborted(version: Version) {
    let member = Member::start(version);
    let (consul, asterisk, id) = (&member.consul, &member.asterisk, member.id());
    let (_call, _) = live_call(asterisk, seconds(60));
    // Before the stop, or meanwhile.
    for before in [true, false] {
        let set = || {
            consul.set_maintenance(id, true, "new disk & all");
            asterisk.wait_log("was put into maintenance in Consul: new disk & all");
        };
        if before {
            set();
        }
        let stop = begin(asterisk, "core stop gracefully");
        eventually("the stop to have begun", seconds(10), || {
            let answer = asterisk.cli("core show channels count");
            if answer.contains("cannot be run during shutdown") { Ok(()) } else { Err(answer) }
        });
        if !before {
            member.wait_maintenance(STOPPING);
            // Consul keeps the first reason: lifted and set again.
            let mark = asterisk.log_mark();
            consul.set_maintenance(id, false, "");
            asterisk.wait_log_after(mark, "was taken out of maintenance in Consul");
            consul.set_maintenance(id, true, "new disk & all");
            asterisk.wait_log_after(mark, "was put into maintenance in Consul");
        }
        asterisk.cli("core abort shutdown");
        drop(stop);
        // Two more looks, of which the first would have lifted it.
        let (seen, ()) = statuses(consul, id, || looks(&member, 3));
        assert!(seen.iter().eq(["maintenance"]), "{seen:?}");
        wait_maintenance(consul, id, "new disk & all");
        consul.set_maintenance(id, false, "");
        member.wait("passing");
    }
    unregister(asterisk);
}

/// Waits for so many looks of the node: each puts right what was told of its check by hand.
#[track_caller]
fn looks(member: &Member, count: usize) {
    let id = member.id();
    for _ in 0..count {
        let body = json!({"Status": "passing", "Output": "by hand"});
        let path = format!("/v1/agent/check/update/service:{id}");
        member.consul.request("PUT", &path, Some(&body)).ok();
        wait_output(&member.consul, id, "passing", "is up");
    }
}

fn a_graceful_stop_can_be_without_maintenance(version: Version) {
    let member = Member::with(version, Consul::start(), |conf| {
        conf.discovery("maintenance_on_shutdown", "no")
    });
    let (consul, asterisk, id) = (&member.consul, &member.asterisk, member.id());
    let (call, _) = live_call(asterisk, seconds(4));
    let (seen, status) = statuses(consul, id, || {
        let _stop = begin(asterisk, "core stop gracefully");
        looks(&member, 2);
        call.wait(seconds(20));
        asterisk.process().wait(STOP)
    });
    assert!(status.success(), "{status}");
    assert!(seen.iter().eq(["gone", "passing"]), "{seen:?}");
}

/// Of such a stop a module learns when the last call has ended, and new ones come until then.
fn a_stop_when_convenient_ends_deregistered(version: Version) {
    let member = Member::start(version);
    let (consul, asterisk, id) = (&member.consul, &member.asterisk, member.id());
    let (call, _) = live_call(asterisk, seconds(4));
    let _stop = begin(asterisk, "core stop when convenient");
    let (seen, ()) = statuses(consul, id, || looks(&member, 2));
    assert!(seen.iter().eq(["passing"]), "{seen:?}");
    call.wait(seconds(20));
    let status = asterisk.process().wait(STOP);
    assert!(status.success(), "{status}");
    assert_eq!(consul.services().len(), 0);
}

fn a_graceful_restart_ends_registered(version: Version) {
    let member = Member::from_boot(version, Consul::start());
    let (consul, asterisk) = (&member.consul, &member.asterisk);
    let (call, _) = live_call(asterisk, seconds(4));
    let _restart = begin(asterisk, "core restart gracefully");
    member.wait_maintenance(STOPPING);
    call.wait(seconds(20));
    member.wait_gone();
    eventually("the node to be back", seconds(40), || match consul.service(member.id()) {
        Some(service) if service["AggregatedStatus"] == "passing" => Ok(()),
        other => Err(format!("{other:?}")),
    });
    eventually("Asterisk to be up", seconds(30), || {
        match asterisk.try_cli("core waitfullybooted", seconds(10)) {
            Ok(answer) if answer.contains("fully booted") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    assert_eq!(consul.services().len(), 1);
    assert_eq!(complaints(asterisk), [""; 0]);
    unregister(asterisk);
}

fn core_stop_now_and_sigterm_deregister(version: Version) {
    let consul = Consul::start();
    for stop in [Asterisk::stop_now as fn(&Asterisk) -> ExitStatus, Asterisk::terminate] {
        let asterisk = node(version, "", &quick(consul.port())).start();
        register(&asterisk);
        wait_status(&consul, asterisk.entity_id(), "passing");
        let (_call, _) = live_call(&asterisk, seconds(60));
        let since = Instant::now();
        let status = stop(&asterisk);
        assert!(status.success(), "{status}");
        assert!(since.elapsed() < STOP, "the stop took {:?}", since.elapsed());
        assert_eq!(consul.services().len(), 0, "deregistered before the end");
    }
}

fn what_a_crash_in_a_graceful_stop_left_is_taken_back(version: Version) {
    let Member { consul, asterisk } = Member::start(version);
    let id = asterisk.entity_id().to_owned();
    let (_call, _) = live_call(&asterisk, seconds(60));
    let _stop = begin(&asterisk, "core stop gracefully");
    wait_maintenance(&consul, &id, STOPPING);
    asterisk.kill();
    drop(asterisk);
    assert_eq!(consul.maintenance_of(&id).as_deref(), Some(STOPPING));
    let again = node(version, "", &quick(consul.port())).entity_id(&id);
    let again = again.load(CONSUL).load(DISCOVERY).start();
    wait_no_maintenance(&consul, &id);
    wait_status(&consul, &id, "passing");
    unregister(&again);
    wait_gone(&consul, &id);
}

fn every_stop_is_bounded_without_consul(version: Version) {
    type Stop = fn(&Asterisk) -> ExitStatus;
    type Change = fn(&Proxy);
    let gone: Change = |proxy| {
        proxy.refuse();
        proxy.cut();
    };
    let ends: [(&str, Stop, &str, Change); 4] = [
        ("core stop gracefully", Asterisk::stop_gracefully, "gone", gone),
        ("core stop gracefully", Asterisk::stop_gracefully, "silent", Proxy::black_hole),
        ("core stop now", Asterisk::stop_now, "silent", Proxy::black_hole),
        ("SIGTERM", Asterisk::terminate, "gone", gone),
    ];
    let consul = Consul::start();
    for (name, stop, state, change) in ends {
        let proxy = Proxy::to(consul.port());
        let asterisk = node(version, "", &quick(proxy.port())).start();
        register(&asterisk);
        wait_status(&consul, asterisk.entity_id(), "passing");
        change(&proxy);
        let since = Instant::now();
        let status = stop(&asterisk);
        let took = since.elapsed();
        println!("{name}, with Consul {state}: {took:?}");
        assert!(status.success(), "{name}, with Consul {state}: {status}");
        assert!(took < STOP, "{name}, with Consul {state}, took {took:?}");
        // Nobody could tell Consul.
        let line = asterisk.wait_log("could not be deregistered");
        assert!(line.contains("its check turns critical within about 3s"), "{line}");
    }
    assert_eq!(consul.services().len(), ends.len());
}
