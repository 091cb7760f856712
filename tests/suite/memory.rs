// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The lives of all four modules under valgrind: load, a burst, faults, reloads, unload, and again.
//! `make test-memory` runs it; it takes some minutes, so it is not among the others.

use rig::folder::Folder;
use rig::valgrind::MemoryFault;
use rig::{Asterisk, Broker, Call, Consul, Tenant, Version, eventually, seconds};
use serde_json::json;

use crate::fleet::{self, AMQP, APPS, CONSUL, ConsulConf, DISCOVERY, MODULES};
use crate::pair::AmqpConf;
use crate::traffic::{count_fast, keep_all};

const LIVES: usize = 2;
/// Everything takes some thirty times as long as without valgrind.
const PATIENCE: std::time::Duration = seconds(180);

/// A value with all there can be in one, but `deviceState:`, the states of all devices: such a
/// subscription Asterisk loses, whoever asks for it.
const VALUE: &str = r#"{"events":{"allowed":["StasisStart",{"type":"StasisEnd"}],"disallowed":[]},
    "subscriptions":["endpoint:PJSIP/anonymous","deviceState:Stasis:a","channel:"]}"#;

#[test]
#[ignore = "make test-memory runs it, alone"]
fn no_access_is_invalid_and_nothing_of_ours_is_lost() {
    let broker = Broker::own();
    let tenant = broker.tenant();
    keep_all(&tenant, "asterisk", "all", "classic");
    let consul = Consul::builder().persistent().start();
    let spool = Folder::new("spool");
    let amqp = AmqpConf::new(&tenant.url())
        .connection("heartbeat_seconds", "5")
        .stasis("spool_dir", &spool.path().join("events").display().to_string());
    let conf = ConsulConf::new(consul.port());
    let node = fleet::node(Version::V22, &amqp.text(), &conf).share(spool.path());
    let asterisk = node.under_valgrind().start();
    for life in 1..=LIVES {
        eprintln!("life {life}");
        fleet::load_all(&asterisk);
        live(&asterisk, &broker, &tenant, &consul, &amqp, &conf);
        asterisk.hang_up_all(PATIENCE);
        unload_slowly(&asterisk);
    }
    // The last life is ended by the host.
    fleet::load_all(&asterisk);
    wait_well(&asterisk, &consul);
    asterisk.wait_sip_forgotten();
    assert!(stop(&asterisk), "{}", asterisk.log());

    let faults = asterisk.memory_faults();
    let ours = |fault: &MemoryFault| MODULES.iter().any(|module| fault.is_of(module));
    // Memory that Asterisk itself loses is its own business; any other fault may be our doing.
    let (wrong, theirs): (Vec<_>, Vec<_>) =
        faults.into_iter().partition(|fault| !fault.is_leak() || ours(fault));
    eprintln!("{} blocks lost by Asterisk itself", theirs.len());
    let told: String = wrong.iter().map(|fault| format!("{fault}\n")).collect();
    assert!(wrong.is_empty(), "{} faults:\n{told}", wrong.len());
}

/// All that there is to do in a life.
fn live(
    asterisk: &Asterisk,
    broker: &Broker,
    tenant: &Tenant<'_>,
    consul: &Consul,
    amqp: &AmqpConf,
    conf: &ConsulConf,
) {
    consul.kv_put("applications/of-a-key", VALUE);
    wait_well(asterisk, consul);
    let ari = asterisk.ari();
    assert_eq!(ari.post("/amqp/of-ari").status, 204);
    ari.post("/channels?endpoint=Local/stay@default&app=of-a-key").ok();
    ari.post("/channels?endpoint=Local/stay@default&app=of-ari").ok();
    let source = "/applications/of-ari/subscription?eventSource=deviceState:Stasis:lamp";
    ari.post(source).ok();
    ari.delete(source);
    Call::place(asterisk, "call", seconds(1)).wait(PATIENCE);

    let burst = count_fast(asterisk, 1500);
    // In its midst, as far as that goes.
    tenant.close_connections();
    broker.kill();
    burst.finish(PATIENCE);
    asterisk.cli("amqp spool show 10");
    broker.start();
    wait_well(asterisk, consul);

    broker.freeze();
    count_fast(asterisk, 200).finish(PATIENCE);
    broker.thaw();
    consul.kill();
    count_fast(asterisk, 200).finish(PATIENCE);
    asterisk.cli("consul show status");
    consul.start_again();
    wait_well(asterisk, consul);

    // Both ways of AMI's events, a bad file, and what there is to be shown.
    let all = amqp.clone().stasis("publish_ami_events", "all").stasis("queue_max_events", "100");
    let bad = amqp.clone().stasis("queue_max_events", "many");
    for conf in [&all, &bad, amqp] {
        asterisk.write_conf("amqp.conf", &conf.text());
        asterisk.cli("module reload res_stasis_amqp.so");
        count_fast(asterisk, 100).finish(PATIENCE);
    }
    let other = conf.clone().discovery("tags", "a,b").stasis_app("app_prefix", "other/");
    for conf in [&other, conf] {
        asterisk.write_conf("consul.conf", &conf.text());
        for module in [CONSUL, DISCOVERY, APPS] {
            fleet::reload(asterisk, module);
        }
    }
    wait_well(asterisk, consul);
    for command in [
        "amqp show status",
        "amqp show connection bunny",
        "amqp spool show 10",
        "amqp test send connection bunny queue all message hello",
        "consul show status",
        "consul show settings",
        "consul show applications",
        "discovery show status",
        "discovery show settings",
        "discovery set maintenance on",
        "discovery set maintenance off",
    ] {
        asterisk.cli(command);
    }
    let status = asterisk.ami().action("AMQPStatus", &[]);
    assert_eq!(status.values("Response").next(), Some("Success"), "{status:?}");
    assert_eq!(ari.delete("/amqp/of-ari").status, 204);
    consul.kv_delete("applications/of-a-key");
}

/// Until the broker has all, and Consul the node.
#[track_caller]
fn wait_well(asterisk: &Asterisk, consul: &Consul) {
    eventually("all to be well", PATIENCE, || {
        let listed = asterisk.ari().get("/amqp").ok();
        let (state, queue) = (&listed["connections"][0]["state"], &listed["queue"]);
        let node = consul.service(asterisk.entity_id());
        let status = node.map(|node| node["AggregatedStatus"].clone()).unwrap_or_default();
        let waits = queue["events"] != 0 || queue["unconfirmed_events"] != 0;
        if state == "connected" && !waits && status == json!("passing") {
            Ok(())
        } else {
            Err(format!("{state} {queue} {status}"))
        }
    });
}

/// A thread that has not ended in the time there is refuses an unload, which is then asked for
/// again.
#[track_caller]
fn unload_slowly(asterisk: &Asterisk) {
    for module in [APPS, DISCOVERY, CONSUL, AMQP] {
        eventually(&format!("the unload of {module}"), PATIENCE, || {
            let answer = asterisk.cli(&format!("module unload {module}.so"));
            if answer.contains("Unloaded") { Ok(()) } else { Err(answer) }
        });
    }
    fleet::assert_all_gone(asterisk);
}

fn stop(asterisk: &Asterisk) -> bool {
    // The connection ends with the process: what it answered does not matter.
    let _ = asterisk.try_cli("core stop gracefully", PATIENCE);
    asterisk.process().wait(PATIENCE).success()
}
