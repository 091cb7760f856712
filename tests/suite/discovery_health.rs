// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The check that the node tells of itself: how it is, why, and what Consul makes of its silence.

use std::net::{Ipv4Addr, TcpListener};
use std::thread;
use std::time::Instant;

use rig::c_module::compile;
use rig::folder::Folder;
use rig::{Asterisk, Broker, Consul, Proxy, Tenant, Version, eventually, ports, seconds};

use crate::fleet::{AMQP, CONSUL, DISCOVERY, load, node, unload, wait_status};
use crate::gate::Gate;
use crate::member::{Member, definition, quick, register, unregister, wait_output};
use crate::pair::{AmqpConf, wait_for_state};
use crate::traffic::{count_slowly, depth, hang_up};

on_each_version!(
    it_is_critical_until_asterisk_is_booted,
    rabbitmq_that_is_away_is_a_warning,
    a_queue_that_is_half_full_is_a_warning,
    a_node_that_died_is_critical_and_back_after_its_restart,
);

fn it_is_critical_until_asterisk_is_booted(version: Version) {
    let (consul, folder, port) =
        (Consul::builder().persistent().start(), Folder::new("c"), ports::free());
    let source = include_str!("slow_starter.c").replace("THE_PORT", &port.to_string());
    let slow = compile(version, &folder, "slow_starter", &source);
    let id = "02:00:00:b0:07:ed";
    let node = node(version, "", &quick(consul.port()))
        .entity_id(id)
        .load(CONSUL)
        .load(DISCOVERY)
        .module_file("slow_starter", &slow, true);
    let (asterisk, _listener) = thread::scope(|scope| {
        let starting = scope.spawn(|| node.start());
        wait_output(&consul, id, "critical", "Asterisk is not fully booted");
        assert_eq!(definition(&consul, id)["TTL"], 3_000_000_000_u64);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port");
        (starting.join().expect("Asterisk starts"), listener)
    });
    wait_output(&consul, id, "passing", "is up");
    assert_eq!(asterisk.complaints(), [""; 0]);
    unregister(&asterisk);
}

/// A node that publishes through a port of ours, and is passing.
fn publishing(version: Version, consul: &Consul, url: &str, change: AmqpChange) -> Asterisk {
    let amqp = change(AmqpConf::new(url));
    let asterisk = node(version, &amqp.text(), &quick(consul.port())).start();
    load(&asterisk, AMQP);
    wait_for_state(&asterisk, "connected");
    register(&asterisk);
    wait_status(consul, asterisk.entity_id(), "passing");
    asterisk
}

type AmqpChange = fn(AmqpConf) -> AmqpConf;

fn tenant() -> Tenant<'static> {
    Broker::shared().tenant()
}

fn rabbitmq_that_is_away_is_a_warning(version: Version) {
    let (consul, tenant) = (Consul::start(), tenant());
    let gate = Gate::to(tenant.broker().port());
    gate.open();
    let asterisk = publishing(version, &consul, &gate.url(&tenant.url()), |conf| conf);
    let id = asterisk.entity_id();
    gate.shut();
    let reason = wait_output(&consul, id, "warning", "AMQP is not connected: ");
    assert!(!reason.contains(tenant.password()), "{reason}");
    assert_eq!(consul.service(id).expect("it is there")["AggregatedStatus"], "warning");
    let shown = asterisk.cli("discovery show status");
    assert!(shown.contains("AMQP is not connected: "), "{shown}");
    gate.open();
    wait_output(&consul, id, "passing", "is up");

    // A node that publishes nothing lacks nothing.
    gate.shut();
    wait_output(&consul, id, "warning", "AMQP is not connected: ");
    unload(&asterisk, AMQP);
    wait_output(&consul, id, "passing", "is up");
    load(&asterisk, AMQP);
    wait_output(&consul, id, "warning", "AMQP is not connected: ");
    gate.open();
    wait_output(&consul, id, "passing", "is up");
    unregister(&asterisk);
}

fn a_queue_that_is_half_full_is_a_warning(version: Version) {
    let (consul, tenant) = (Consul::start(), tenant());
    let proxy = Proxy::to(tenant.broker().port());
    let behind = format!(":{}/", tenant.broker().port());
    let url = tenant.url().replace(&behind, &format!(":{}/", proxy.port()));
    let few = |conf: AmqpConf| conf.stasis("queue_max_events", "200");
    let asterisk = publishing(version, &consul, &url, few);
    let id = asterisk.entity_id();

    // The connection stands, and nothing is confirmed.
    proxy.black_hole();
    let channel = count_slowly(&asterisk, 200);
    let reason =
        wait_output(&consul, id, "warning", "the queue of events is more than half full: ");
    assert!(reason.ends_with(" of 200"), "{reason}");
    channel.finish(seconds(20));
    hang_up(&asterisk);
    proxy.pass();
    wait_output(&consul, id, "passing", "is up");
    eventually("the queue to be empty", seconds(20), || match depth(&asterisk) {
        (0, 0) => Ok(()),
        depth => Err(format!("{depth:?}")),
    });
    unregister(&asterisk);
}

fn a_node_that_died_is_critical_and_back_after_its_restart(version: Version) {
    let Member { consul, asterisk } = Member::start(version);
    let id = asterisk.entity_id().to_owned();
    asterisk.kill();
    let since = Instant::now();
    wait_output(&consul, &id, "critical", "TTL expired");
    println!("critical {:?} after the end, with check_interval = 3s", since.elapsed());
    assert!(since.elapsed() < seconds(6), "critical after {:?}", since.elapsed());
    drop(asterisk);

    let again = node(version, "", &quick(consul.port())).entity_id(&id);
    let again = again.load(CONSUL).load(DISCOVERY).start();
    wait_output(&consul, &id, "passing", "is up");
    let service = wait_status(&consul, &id, "passing");
    assert_eq!(service["Service"]["Meta"]["ari_port"], again.http_port().to_string());
    assert_eq!(consul.services().len(), 1);
    assert_eq!(again.complaints(), [""; 0]);
    unregister(&again);
}
