// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The same and more with a spool on disk.

use std::process::Command;

use rig::seconds;

use crate::fault::{Balance, Fault, Sees, Stand};
use crate::load::Load;
use crate::module::{Status, wait_counter};
use crate::scene::Scene;

const LOST: Sees = Sees::Words(&["connection lost", "unreachable"]);

const COMMON: Fault = Fault { spool: true, ..Fault::COMMON };

pub(super) const FAULTS: [Fault; 5] = [
    Fault {
        name: "spool-freeze",
        what: "as freeze, with a spool: everything arrives",
        load: Load { steady: 100, burst: 400_000, burst_rate: 14_000, before: 5_000 },
        calls: 5,
        conf: |conf, _| conf.stasis("spool_max_bytes", "1g"),
        inject: |scene| scene.broker().freeze(),
        sees: LOST,
        lasts: seconds(30),
        outlasts_burst: true,
        heal: |scene| scene.broker().thaw(),
        timed_calls: true,
        ..COMMON
    },
    Fault {
        name: "spool-bounded",
        what: "an outage that is more than memory and spool hold",
        load: Load { steady: 100, burst: 40_000, burst_rate: 8_000, before: 1_000 },
        conf: |conf, _| conf.stasis("spool_max_bytes", "8m").stasis("queue_max_bytes", "4m"),
        inject: away,
        sees: LOST,
        outlasts_burst: true,
        heal: |scene| scene.proxy().pass(),
        ledger: Balance::Dropped,
        ..COMMON
    },
    Fault {
        name: "spool-full-disk",
        what: "the spool's disk is full, calls and live events go on",
        short: true,
        check: |scene| match scene.asterisk.log().contains("No space left") {
            true => Ok(()),
            false => Err("the log does not say that the disk is full".to_owned()),
        },
        conf: |conf, stage| {
            conf.stasis("spool_dir", &stage.disk.path().join("small/spool").display().to_string())
        },
        prepare: |stage| {
            let small = stage.disk.sub("small");
            let status = Command::new("mount")
                .args(["-t", "tmpfs", "-o", "size=2m", "constellation"])
                .arg(&small)
                .status();
            assert!(status.is_ok_and(|status| status.success()), "no tmpfs on {}", small.display());
        },
        load: Load { steady: 100, burst: 20_000, burst_rate: 8_000, before: 1_000 },
        inject: away,
        sees: LOST,
        outlasts_burst: true,
        heal: |scene| scene.proxy().pass(),
        ..COMMON
    },
    Fault {
        name: "spool-kill",
        what: "Asterisk killed (-9) with 50,000 events in the spool",
        short: true,
        stand: Stand::Plain,
        load: Load { steady: 0, burst: 50_000, burst_rate: 12_000, before: 1_000 },
        calls: 0,
        inject: |scene| {
            away(scene);
            wait_counter(&scene.asterisk, "spooled", 45_000, seconds(120));
            // Nothing more is said, and all that was is on disk.
            let mut last = 0;
            rig::eventually("the spool to have everything", seconds(60), || {
                let status = Status::ask(&scene.asterisk).ok_or("no answer")?;
                let (unsaved, before) = (status.unsaved(), last);
                last = status.accepted();
                match unsaved == 0 && before == last {
                    true => Ok(()),
                    false => Err(format!("{unsaved} of {last} are in memory only")),
                }
            });
            scene.asterisk.kill();
            scene.asterisk.start_again();
            scene.begin_steady(200);
        },
        sees: Sees::Unasked,
        heal: |scene| scene.proxy().pass(),
        dies: true,
        ..COMMON
    },
    Fault {
        name: "spool-kill-midst",
        what: "Asterisk killed (-9) while the spool is written",
        load: Load { steady: 1000, burst: 20_000, burst_rate: 8_000, before: 1_000 },
        calls: 0,
        inject: |scene| {
            away(scene);
            wait_counter(&scene.asterisk, "spooled", 8_000, seconds(60));
            scene.asterisk.kill();
            scene.asterisk.start_again();
            scene.go_on();
        },
        sees: Sees::Unasked,
        heal: |scene| scene.proxy().pass(),
        dies: true,
        // What memory held that was not yet written: some tenths of a second of the load.
        ledger: Balance::Memory(4_000),
        ..COMMON
    },
];

/// The broker is away at once, and stays so.
fn away(scene: &Scene<'_>) {
    scene.proxy().refuse();
    scene.proxy().cut();
}
