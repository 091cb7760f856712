// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A broker that is absent, ends, freezes, or has no room.

use rig::seconds;

use crate::fault::{Balance, Fault, Sees, Stand};
use crate::load::Load;

pub(super) const FAULTS: [Fault; 8] = [
    Fault {
        name: "absent-at-boot",
        what: "no broker when Asterisk starts",
        prepare: |stage| stage.broker.stop(),
        begins_connected: false,
        sees: Sees::Words(&["unreachable"]),
        heal: |scene| scene.broker().start(),
        ..Fault::COMMON
    },
    Fault {
        name: "restart",
        what: "broker stopped and started (stop_app, start_app)",
        inject: |scene| drop(scene.broker().ctl(&["stop_app"])),
        sees: Sees::Words(&["connection lost", "unreachable"]),
        lasts: seconds(5),
        heal: |scene| drop(scene.broker().ctl(&["start_app"])),
        ..Fault::COMMON
    },
    Fault {
        name: "kill",
        what: "broker killed (-9) and started in 120,000 events",
        // Its default, and room for so many.
        conf: |conf, _| conf.stasis("queue_max_bytes", "256m"),
        memory: 256 << 20,
        load: Load { steady: 100, burst: 120_000, burst_rate: 16_000, before: 20_000 },
        inject: |scene| scene.broker().kill(),
        sees: Sees::Words(&["connection lost", "unreachable"]),
        heal: |scene| scene.broker().start(),
        ..Fault::COMMON
    },
    Fault {
        name: "freeze",
        what: "broker stopped (SIGSTOP) 30 s in 400,000 events",
        load: Load { steady: 100, burst: 400_000, burst_rate: 14_000, before: 5_000 },
        calls: 5,
        inject: |scene| scene.broker().freeze(),
        sees: Sees::Words(&["connection lost", "unreachable"]),
        lasts: seconds(30),
        outlasts_burst: true,
        heal: |scene| scene.broker().thaw(),
        ledger: Balance::Dropped,
        timed_calls: true,
        ..Fault::COMMON
    },
    Fault {
        name: "freeze-short",
        what: "broker stopped (SIGSTOP) 15 s in 20,000 events",
        short: true,
        load: Load { steady: 100, burst: 20_000, burst_rate: 8_000, before: 2_000 },
        inject: |scene| scene.broker().freeze(),
        sees: Sees::Words(&["connection lost", "unreachable"]),
        lasts: seconds(15),
        heal: |scene| scene.broker().thaw(),
        ..Fault::COMMON
    },
    Fault {
        name: "memory-alarm",
        what: "memory alarm (connection.blocked)",
        inject: |scene| scene.broker().memory_alarm(true),
        sees: Sees::Words(&["blocked"]),
        lasts: seconds(10),
        heal: |scene| scene.broker().memory_alarm(false),
        check: |scene| match scene.status().counter("reconnects") {
            0 => Ok(()),
            count => Err(format!("{count} reconnects for an alarm")),
        },
        ..Fault::COMMON
    },
    Fault {
        name: "disk-alarm",
        what: "disk alarm (connection.blocked)",
        inject: |scene| scene.broker().disk_alarm(true),
        sees: Sees::Words(&["blocked"]),
        lasts: seconds(5),
        heal: |scene| scene.broker().disk_alarm(false),
        ..Fault::COMMON
    },
    Fault {
        name: "cluster",
        what: "one node of two killed (-9), both in the url",
        stand: Stand::Cluster,
        conf: |conf, stage| {
            let [first, second] = [Some(stage.proxy.port()), stage.second.map(rig::Broker::port)]
                .map(Option::unwrap_or_default);
            let url = stage.tenant.url();
            let at = |port: u16| {
                url.replace(&format!(":{}/", stage.broker.port()), &format!(":{port}/"))
            };
            conf.connection("url", &format!("{}, {}", at(first), at(second)))
        },
        inject: |scene| scene.broker().kill(),
        sees: Sees::Cure,
        lasts: seconds(5),
        heal: |scene| scene.broker().start(),
        ..Fault::COMMON
    },
];
