// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! An Asterisk to measure, in one of the modes.

use std::thread::sleep;
use std::time::Duration;

use rig::folder::Folder;
use rig::{AmqpConf, Asterisk, Builder, Version, eventually, seconds};
use serde_json::Value;

use crate::address::Address;
use crate::kit::{GENERATOR, Kit, SYNCHRONOUS};
use crate::load::Load;
use crate::mode::Mode;
use crate::threads;

/// Without the dialplan's own lines, which cost more than the events.
const LOGGER: &str = "[general]\n[logfiles]\nfull => notice,warning,error\n";

/// Off: with it an event costs Asterisk itself twice as much, which would hide what publishers differ
/// in.
const MANAGER: &str = "[general]\nenabled = no\n";

/// The channels that have the events, where nothing else is said.
const CHANNELS: u32 = 8;

/// At rest it uses less than this share of a core, while it is looked at so often.
const IDLE: f64 = 0.04;
const LOOK: Duration = Duration::from_millis(100);

/// What the publisher's threads are called, from the beginning.
const PUBLISHER: [&str; 2] = ["amqp ", "lapin-"];

/// Until many applications are there.
const APPS: Duration = seconds(300);

pub(crate) struct Node {
    pub(crate) asterisk: Asterisk,
    mode: Mode,
    /// Of the spool; it goes when Asterisk has.
    _spool: Folder,
}

/// How long callbacks held Asterisk's threads, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Callback {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

impl Node {
    /// One that publishes the events of all channels.
    pub(crate) fn start(kit: &Kit, mode: Mode, to: &Address) -> Self {
        let node = Self::furnished(kit, mode, to, false, |builder| builder);
        node.make_channels(CHANNELS);
        node
    }

    /// One that publishes the events of applications, and those only; there is none yet.
    pub(crate) fn without_apps(kit: &Kit, mode: Mode, to: &Address) -> Self {
        Self::furnished(kit, mode, to, true, |builder| builder)
    }

    /// Adds applications until there are so many, each with a channel of its own.
    ///
    /// Asterisk tells every application of every other's subscriptions, so two thousand take it a
    /// while.
    pub(crate) fn grow_to_apps(&self, apps: u32) {
        self.make_channels(apps);
        let register = match self.mode {
            Mode::Nobody => Some("bench apps"),
            Mode::Synchronous => Some("synchronous apps"),
            Mode::Confirms | Mode::NoConfirms | Mode::Spool => {
                let ari = self.asterisk.ari();
                for app in 0..apps {
                    // One that is there stays.
                    ari.post(&format!("/amqp/bench-{app}")).ok();
                }
                None
            }
        };
        if let Some(register) = register {
            self.order_within(&format!("{register} {apps}"), "apps", APPS);
        }
        self.order_within("bench subscribe", "subscribed", APPS);
    }

    /// With more in it than [`Node::start`] has, and without channels.
    pub(crate) fn furnished(
        kit: &Kit,
        mode: Mode,
        to: &Address,
        apps: bool,
        furnish: impl FnOnce(Builder) -> Builder,
    ) -> Self {
        let spool = Folder::new("spool");
        let builder = Asterisk::builder(Version::V22)
            .conf("logger.conf", LOGGER)
            .conf("manager.conf", MANAGER)
            .module_file(GENERATOR, &kit.generator, true)
            .share(kit.folder())
            .share(spool.path());
        let builder = match mode {
            Mode::Nobody => builder,
            Mode::Synchronous => {
                let builder = builder
                    .module_file(SYNCHRONOUS, &kit.synchronous, true)
                    .env("BENCH_AMQP", &to.words());
                if apps { builder.env("BENCH_APPS", "yes") } else { builder }
            }
            Mode::Confirms | Mode::NoConfirms | Mode::Spool => builder
                .module("res_stasis_amqp")
                .conf("amqp.conf", configuration(mode, to, apps, &spool)),
        };
        let node = Self { asterisk: furnish(builder).start(), mode, _spool: spool };
        node.wait_ready();
        node
    }

    fn wait_ready(&self) {
        match self.mode {
            Mode::Nobody => {}
            Mode::Synchronous => {
                let shown = self.asterisk.cli("synchronous show");
                assert!(shown.contains("callbacks"), "{shown}\n{}", self.asterisk.log());
            }
            Mode::Confirms | Mode::NoConfirms | Mode::Spool => {
                eventually("res_stasis_amqp to be connected", seconds(30), || {
                    let status = self.status();
                    let state = &status["connections"][0]["state"];
                    if *state == "connected" { Ok(()) } else { Err(status.to_string()) }
                });
            }
        }
    }

    fn make_channels(&self, count: u32) {
        let made = self.order(&format!("bench channels {count}"), "channels");
        assert!(made >= f64::from(count), "{made} channels of {count}");
    }

    /// Publishes the events, and gives how long that took.
    pub(crate) fn publish(&self, load: &Load) -> Duration {
        let took = self.order_within(&load.command(), "microseconds", load.lasts() + seconds(120));
        Duration::from_secs_f64(took / 1_000_000.0)
    }

    /// The processor time that Asterisk has used, in microseconds, once it has nothing to do any
    /// more: it has subscribers of its own, which work through their queues after ours.
    pub(crate) fn cpu_at_rest(&self) -> f64 {
        let mut last = self.cpu();
        eventually("Asterisk to be at rest", seconds(60), || {
            sleep(LOOK);
            let (before, now) = (last, self.cpu());
            last = now;
            let used = now - before;
            if used < IDLE * LOOK.as_micros() as f64 { Ok(now) } else { Err(format!("{used} µs")) }
        })
    }

    /// The processor time that Asterisk has used so far, in microseconds.
    pub(crate) fn cpu(&self) -> f64 {
        self.order("bench cpu", "nanoseconds") / 1000.0
    }

    /// What of it was used by the threads of a publisher that has some, in microseconds.
    pub(crate) fn publisher_cpu(&self) -> f64 {
        threads::cpu_time_of_named(self.asterisk.process().pid(), &PUBLISHER).as_secs_f64() * 1e6
    }

    /// Has the kernel keep what threads sleep on in so many lists. False where it has no such lists.
    pub(crate) fn spread_futexes(&self, lists: u32) -> bool {
        self.order(&format!("bench futexes {lists}"), "lists") >= f64::from(lists)
    }

    /// None where nobody publishes.
    pub(crate) fn callback(&self) -> Option<Callback> {
        match self.mode {
            Mode::Nobody => None,
            Mode::Synchronous => {
                let shown = self.asterisk.cli("synchronous show");
                assert_eq!(figure(&shown, "failed"), Some(0.0), "the C module: {shown}");
                let micros = |name| figure(&shown, name).map(|nanos| nanos / 1000.0);
                Some(Callback { p50: micros("p50")?, p99: micros("p99")?, max: micros("max")? })
            }
            Mode::Confirms | Mode::NoConfirms | Mode::Spool => {
                let status = self.status();
                let dropped = &status["counters"]["dropped"];
                assert_eq!(*dropped, 0, "res_stasis_amqp dropped events: {status}");
                let micros = |name: &str| status["callback"][name].as_f64();
                Some(Callback {
                    p50: micros("p50_us")?,
                    p99: micros("p99_us")?,
                    max: micros("max_us")?,
                })
            }
        }
    }

    /// What `res_stasis_amqp` says of itself.
    pub(crate) fn status(&self) -> Value {
        self.asterisk.ari().get("/amqp").ok()
    }

    /// A command of the C modules, and the figure it answers with.
    fn order(&self, command: &str, name: &str) -> f64 {
        self.order_within(command, name, seconds(60))
    }

    fn order_within(&self, command: &str, name: &str, within: Duration) -> f64 {
        let answer = self
            .asterisk
            .try_cli(command, within)
            .unwrap_or_else(|error| panic!("{command}: {error}; {:?}", self.asterisk.crashed()));
        figure(&answer, name).unwrap_or_else(|| panic!("{command}: {answer}"))
    }
}

/// The number after this name, on a line of its own.
fn figure(answer: &str, name: &str) -> Option<f64> {
    let mut lines = answer.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines.find_map(|words| match words[..] {
        [first, number] if first == name => number.parse().ok(),
        _ => None,
    })
}

/// The same events as the C module publishes, and no others.
fn configuration(mode: Mode, to: &Address, apps: bool, spool: &Folder) -> String {
    let conf = AmqpConf::new(&to.url())
        .stasis("publish_ami_events", "no")
        .stasis("publish_channel_events", if apps { "no" } else { "yes" })
        .stasis("confirms", if mode == Mode::NoConfirms { "no" } else { "yes" });
    let dir = spool.path().join("events").display().to_string();
    let conf = if mode == Mode::Spool { conf.stasis("spool_dir", &dir) } else { conf };
    conf.text()
}
