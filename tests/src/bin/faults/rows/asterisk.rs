// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What happens to Asterisk itself.

use std::fs;
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;

use rig::c_module::compile_library;
use rig::process::limit_files;
use rig::{eventually, seconds};

use crate::fault::{Balance, Fault, Sees};
use crate::load::{Load, hang_up};
use crate::module::Status;
use crate::scene::Scene;
use crate::witness::Testimony;

const STEADY: Load = Load { steady: 1000, burst: 0, burst_rate: 0, before: 2000 };

const HOUR: i64 = 3600;

pub(super) const FAULTS: [Fault; 4] = [
    Fault {
        name: "asterisk-kill",
        what: "Asterisk killed (-9), no spool",
        load: STEADY,
        calls: 0,
        inject: |scene| {
            scene.asterisk.kill();
            scene.asterisk.start_again();
            scene.go_on();
        },
        sees: Sees::Restart,
        lasts: seconds(0),
        dies: true,
        // Half a second of the load.
        ledger: Balance::Memory(500),
        ..Fault::COMMON
    },
    Fault {
        name: "asterisk-restart",
        what: "core restart now under load",
        load: STEADY,
        calls: 0,
        inject: |scene| {
            let before = scene.status().accepted();
            let mark = Testimony::of(&scene.asterisk).mark();
            // It answers nothing more: it is replaced by itself.
            let _ = scene.asterisk.try_cli("core restart now", seconds(20));
            eventually("Asterisk to be another", seconds(60), || {
                let status = Status::ask(&scene.asterisk).ok_or("no answer")?;
                let now = status.accepted();
                if now < before { Ok(()) } else { Err(format!("{now} events, before {before}")) }
            });
            assert_eq!(scene.asterisk.process().ended().map(ExitStatusExt::into_raw), None);
            // What it said while it was ending may come or not.
            scene.mark.set(Some(mark));
        },
        sees: Sees::Restart,
        lasts: seconds(0),
        dies: true,
        ..Fault::COMMON
    },
    Fault {
        name: "clock-back",
        what: "the clock is set back by an hour, and on again",
        furnish: |builder, stage| {
            set_clock(&stage.path("clock"), 0);
            let library = compile_library(
                stage.version,
                &stage.disk,
                "clock",
                include_str!("../clock.c"),
                &["-ldl".to_owned()],
            );
            builder
                .env("LD_PRELOAD", &library.display().to_string())
                .env("CLOCK_FILE", &stage.path("clock"))
        },
        // Asterisk itself waits by the time of day: what rests over the change rests an hour.
        calls: 0,
        load: Load { steady: 1000, burst: 0, burst_rate: 0, before: 300 },
        inject: |scene| jump(scene, -HOUR),
        sees: Sees::Unasked,
        heal: |scene| jump(scene, 0),
        ..Fault::COMMON
    },
    Fault {
        name: "no-files",
        what: "no file descriptor is left (prlimit)",
        calls: 0,
        load: Load { steady: 200, burst: 0, burst_rate: 0, before: 300 },
        inject: |scene| {
            let usual = limit_files(scene.asterisk.process().pid(), 3);
            scene.proxy().cut();
            let before = scene.asterisk.process().cpu_time();
            scene.endure(std::time::Instant::now() + seconds(8), false);
            let used = scene.asterisk.process().cpu_time() - before;
            limit_files(scene.asterisk.process().pid(), usual);
            assert!(used < seconds(4), "Asterisk spins: {used:?} of processor time in 8 s");
        },
        sees: Sees::Unasked,
        check: |scene| match scene.asterisk.log().contains("Too many open files") {
            true => Ok(()),
            false => Err("the log does not say that files are missing".to_owned()),
        },
        ..Fault::COMMON
    },
];

/// In place: the file is mapped into Asterisk and never shorter.
fn set_clock(file: &str, seconds: i64) {
    let opened = fs::File::options().write(true).create(true).truncate(false).open(file);
    opened
        .and_then(|opened| opened.write_all_at(&seconds.to_ne_bytes(), 0))
        .unwrap_or_else(|error| panic!("{file}: {error}"));
}

/// Sets the clock while nothing waits by it, and has the connection made again.
fn jump(scene: &Scene<'_>, seconds: i64) {
    let reconnects = scene.status().counter("reconnects");
    hang_up(&scene.asterisk);
    set_clock(&scene.stage.path("clock"), seconds);
    // Its HTTP server times out whoever is connected.
    eventually("an answer", rig::seconds(30), || {
        Status::ask(&scene.asterisk).map(drop).ok_or("no answer")
    });
    scene.go_on();
    scene.proxy().cut();
    eventually("another connection", rig::seconds(30), || {
        let status = Status::ask(&scene.asterisk).ok_or("no answer")?;
        let now = status.counter("reconnects");
        if now > reconnects { Ok(()) } else { Err(format!("{now}; {}", status.state().1)) }
    });
}
