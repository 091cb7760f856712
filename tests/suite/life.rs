// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Load, unload and what is left of it: nothing.

use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::time::Instant;

use rig::{Broker, Version, eventually, ports, seconds};

use crate::gate::Gate;
use crate::pair::{AmqpConf, Pair, load, node, wait_for_counter, wait_for_state};
use crate::traffic::{ENDLESS, count_fast, count_slowly, hang_up, set};
use crate::unloading::{MODULE, assert_gone, threads, unload_in_time};

on_each_version!(
    fifty_lives_under_traffic_leave_nothing_behind,
    no_reference_is_left_at_the_end,
    it_unloads_in_every_state,
    a_look_up_that_hangs_refuses_the_unload_until_it_ends,
    its_threads_have_names_and_no_signals_and_no_priority,
    without_ari_it_publishes_and_ari_may_come_later,
);

fn fifty_lives_under_traffic_leave_nothing_behind(version: Version) {
    let tenant = Broker::shared().tenant();
    // The least that RabbitMQ takes, and with it the least of buffers: see below.
    let conf = AmqpConf::new(&tenant.url()).connection("max_frame_bytes", "8192");
    let asterisk = node(version, &conf.text()).start();
    let _channel = count_slowly(&asterisk, ENDLESS);
    let fds = asterisk.process().fds();
    let mut memory = Vec::new();
    for _ in 0..50 {
        load(&asterisk);
        wait_for_counter(&asterisk, "confirmed", seconds(20), 50);
        assert_eq!(asterisk.ari().post("/amqp/fifty").status, 204);
        assert_eq!(threads(&asterisk).len(), 2, "the worker and lapin's");
        unload_in_time(&asterisk);
        eventually("its files to be closed", seconds(10), || match asterisk.process().fds() {
            now if now <= fds => Ok(()),
            now => Err(format!("{now}, at first {fds}")),
        });
        memory.push(asterisk.process().rss_bytes());
    }
    // A connection has buffers of 1 MiB, and each of the C library's arenas, 16 with two cores,
    // keeps the memory of one. That is over after some lives; a connection that was lost in each
    // of 40 would be more than twice as much.
    let (tenth, last) = (memory[9], memory[49]);
    let grown = last.saturating_sub(tenth);
    assert!(grown < 18 << 20, "{grown} bytes more in 40 lives: {memory:?}");
    hang_up(&asterisk);
    assert!(asterisk.stop_gracefully().success());
}

fn no_reference_is_left_at_the_end(version: Version) {
    let tenant = Broker::shared().tenant();
    let conf = AmqpConf::new(&tenant.url()).text();
    let asterisk = node(version, &conf).ref_debug(true).start();
    for publish_ami in ["yes", "all"] {
        load(&asterisk);
        wait_for_state(&asterisk, "connected");
        for app in ["kept", "ended"] {
            assert_eq!(asterisk.ari().post(&format!("/amqp/{app}")).status, 204);
        }
        let conf = AmqpConf::new(&tenant.url()).stasis("publish_ami_events", publish_ami);
        asterisk.write_conf("amqp.conf", &conf.text());
        asterisk.cli("module reload res_stasis_amqp.so");
        asterisk.ari().post("/channels?endpoint=Local/stay@default&app=kept").ok();
        count_slowly(&asterisk, 200).finish(seconds(30));
        assert_eq!(asterisk.ari().delete("/amqp/ended").status, 204);
        wait_for_counter(&asterisk, "confirmed", seconds(20), 200);
        // A channel in it would keep the application's name, of which nobody could say whose it is.
        hang_up(&asterisk);
        unload_in_time(&asterisk);
    }
    // The last life is ended by the host.
    load(&asterisk);
    assert_eq!(asterisk.ari().post("/amqp/kept").status, 204);
    set(&asterisk, "LAST");
    hang_up(&asterisk);
    assert!(asterisk.stop_gracefully().success());

    let log = std::fs::read(asterisk.folder().join("log/refs")).expect("a log of references");
    let log = String::from_utf8_lossy(&log);
    assert!(log.contains("/shim.c,"), "the log does not have what we do with objects");
    // Asterisk leaves none of its own: what is left is what a reference of ours holds, whoever
    // made it.
    assert_eq!(asterisk.leaks(""), []);
}

fn it_unloads_in_every_state(version: Version) {
    let tenant = Broker::shared().tenant();
    let silent = Gate::silent();
    silent.open();
    let good = AmqpConf::new(&tenant.url());
    let at = |host: &str, port: u16| AmqpConf::new(&format!("amqp://a:b@{host}:{port}/"));
    let dead = at("127.0.0.1", ports::free());
    let states = [
        ("connecting", at("127.0.0.1", silent.port())),
        ("unreachable", dead.clone()),
        ("unreachable (cannot resolve host", at("no-such-host.invalid", 5672)),
        ("exchange missing", good.clone().stasis("declare_exchange", "no")),
        ("login refused", good.clone().connection("password", "wrong")),
        ("connected", good.clone()),
    ];
    let asterisk = node(version, &good.text()).start();
    for (state, conf) in states {
        asterisk.write_conf("amqp.conf", &conf.text());
        load(&asterisk);
        wait_for_state(&asterisk, state);
        unload_in_time(&asterisk);
    }

    // With a queue that is full, and fills.
    asterisk.write_conf("amqp.conf", &dead.stasis("queue_max_events", "1000").text());
    load(&asterisk);
    let _channel = count_fast(&asterisk, ENDLESS);
    wait_for_counter(&asterisk, "dropped", seconds(20), 1000);
    unload_in_time(&asterisk);
    asterisk.wait_log("1000 events could not be delivered before the end");

    asterisk.write_conf("amqp.conf", &good.text());
    load(&asterisk);
    wait_for_counter(&asterisk, "confirmed", seconds(20), 100);
    asterisk.assert_alive();
}

fn a_look_up_that_hangs_refuses_the_unload_until_it_ends(version: Version) {
    // A name server that does not answer, on an address that no other has.
    let [high, low] = ports::free().to_be_bytes();
    let address = Ipv4Addr::new(127, 53, high, low);
    let _silent = UdpSocket::bind((address, 53)).expect("port 53 of a loopback address");
    let conf = AmqpConf::new("amqp://a:b@broker.example/").connection("connection_timeout", "1s");
    let asterisk = node(version, &conf.text()).name_server(address).start();
    load(&asterisk);
    let state = wait_for_state(&asterisk, "unreachable");
    assert!(state.contains("no answer from the resolver"), "{state}");

    // Its thread cannot be ended, and must not run without its code.
    let since = Instant::now();
    let answer = asterisk.cli("module unload res_stasis_amqp.so");
    assert!(since.elapsed() < seconds(6), "refused after {:?}", since.elapsed());
    assert!(answer.contains("Unable to unload"), "{answer}");
    asterisk.wait_log("the threads of connection 'bunny' do not end");
    assert!(asterisk.process().maps(MODULE));
    // What has ended by then does not begin again, so a reload must not say that it did.
    let answer = asterisk.cli("module reload res_stasis_amqp.so");
    assert!(!answer.contains("reloaded successfully"), "{answer}");
    asterisk.wait_log("it is being unloaded: unload it again");
    eventually("the unload", seconds(20), || {
        let answer = asterisk.cli("module unload res_stasis_amqp.so");
        if answer.contains("Unloaded") { Ok(()) } else { Err(answer) }
    });
    assert_gone(&asterisk);

    let tenant = Broker::shared().tenant();
    asterisk.write_conf("amqp.conf", &AmqpConf::new(&tenant.url()).text());
    load(&asterisk);
    wait_for_state(&asterisk, "connected");
    unload_in_time(&asterisk);
}

/// The signals that a thread has blocked.
fn blocked_signals(task: &Path) -> u64 {
    let status = std::fs::read_to_string(task.join("status")).expect("the thread lives");
    let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).expect("a mask")
}

/// Scheduling policy and real-time priority, fields 41 and 40 of proc(5).
fn policy(task: &Path) -> (u32, u32) {
    let stat = std::fs::read_to_string(task.join("stat")).expect("the thread lives");
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let field = |number: usize| {
        let field = after_name.split_whitespace().nth(number - 3);
        field.and_then(|field| field.parse().ok()).expect("a number")
    };
    (field(41), field(40))
}

fn its_threads_have_names_and_no_signals_and_no_priority(version: Version) {
    const SCHED_OTHER: u32 = 0;
    const SCHED_RR: u32 = 2;
    // All but SIGKILL and SIGSTOP, which cannot be, and the two that the C library keeps.
    const ALL: u64 = !(1 << (9 - 1) | 1 << (19 - 1) | 1 << (32 - 1) | 1 << (33 - 1));
    let prioritised = |builder: rig::Builder| builder.option("highpriority = yes");
    let pair = Pair::furnished(version, |conf| conf, prioritised);
    let asterisk = &pair.asterisk;
    let main = format!("/proc/{0}/task/{0}", asterisk.process().pid());
    assert_eq!(policy(Path::new(&main)).0, SCHED_RR, "Asterisk is not at high priority");

    let threads = threads(asterisk);
    let mut names: Vec<&str> = threads.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["amqp bunny", "lapin-io-loop"]);
    for (name, task) in &threads {
        assert_eq!(blocked_signals(task), ALL, "signals of {name}");
        assert_eq!(policy(task), (SCHED_OTHER, 0), "priority of {name}");
    }
    let listed = asterisk.cli("core show threads");
    assert!(names.iter().all(|name| listed.contains(name)), "{listed}");
    unload_in_time(asterisk);
}

fn without_ari_it_publishes_and_ari_may_come_later(version: Version) {
    let ari = [
        "",
        "_applications",
        "_asterisk",
        "_bridges",
        "_channels",
        "_device_states",
        "_endpoints",
        "_events",
        "_model",
        "_playbacks",
        "_recordings",
        "_sounds",
    ];
    let off: String = ari.iter().map(|part| format!("noload = res_ari{part}.so\n")).collect();
    let tenant = Broker::shared().tenant();
    let conf = AmqpConf::new(&tenant.url()).text();
    let asterisk = node(version, &conf).append("modules.conf", &off).start();
    let consumer = rig::Consumer::topic(&tenant.url(), "asterisk", &["ami.varset"]);
    load(&asterisk);
    wait_for_state(&asterisk, "connected");
    let line = asterisk.wait_log("/ari/amqp is not served");
    assert!(line.contains("NOTICE"), "{line}");
    asterisk.cli("channel originate Local/stay@default extension set@default");
    asterisk.cli("dialplan set global FROM_CLI 1");
    consumer.next_where("FROM_CLI", seconds(10), |m| m.json()["data"]["Variable"] == "FROM_CLI");

    let answer = asterisk.cli("module load res_ari.so");
    assert!(answer.contains("Loaded res_ari.so"), "{answer}");
    asterisk.cli("module reload res_stasis_amqp.so");
    let reply = asterisk.ari().get("/amqp").ok();
    assert_eq!(reply["connections"][0]["state"], "connected");
    unload_in_time(&asterisk);
}

/// The build for 22 does not even load in the root of 16, which has an older C library.
#[test]
fn a_module_of_another_major_version_is_declined() {
    let tenant = Broker::shared().tenant();
    let asterisk = node(Version::V22, &AmqpConf::new(&tenant.url()).text()).start();
    asterisk.install_module(&Version::V16.artefact("res_stasis_amqp"), "res_stasis_amqp");
    let answer = asterisk.cli("module load res_stasis_amqp.so");
    assert!(answer.contains("Unable to load module res_stasis_amqp.so"), "{answer}");
    let line = asterisk.wait_log("not loaded: it was built for Asterisk 16.");
    assert!(line.contains("this is Asterisk 22."), "{line}");
    assert!(line.contains("install the module built for this version"), "{line}");

    asterisk.install_module(&Version::V22.artefact("res_stasis_amqp"), "res_stasis_amqp");
    load(&asterisk);
    wait_for_state(&asterisk, "connected");
}
