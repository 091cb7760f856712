// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! `res_consul_discovery`: this node as a service in Consul.
//!
//! This file is the module's life and wiring. The path of a registration: `config` and `ari` read
//! the files, `worker` looks at Asterisk, `service` is the registration as it is to be, `found` as
//! Consul has it, `plan` what is to be done about the difference, `keeper` does it through `agent`.

#![forbid(unsafe_code)]

mod actions;
mod address;
mod agent;
mod ari;
mod cli;
mod config;
mod desk;
mod drain;
mod duplicate;
mod found;
mod health;
mod identity;
mod keeper;
mod line;
mod maintenance;
mod plan;
mod report;
mod senses;
mod service;
mod worker;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use asterisk::cli::Commands;
use asterisk::manager::Actions;
use asterisk::module::Module;
use asterisk::thread::{self, Thread};

use desk::{Desk, Wanted};
use identity::{Identity, Origins};
use line::Lines;
use worker::Worker;

asterisk::module!(Discovery);

const CONFIG_FILE: &str = "consul.conf";

/// When a request that hangs at the end is cut off.
const CUT: Duration = Duration::from_millis(300);

/// When the deregistration itself is.
const LAST_CUT: Duration = Duration::from_millis(1200);

/// When the thread must have ended. It takes no longer than the cut on a machine that has time for
/// it; on one that has not, an unload that takes long is better than one that is refused.
const END: Duration = Duration::from_secs(5);

/// Between two lives of a worker that panicked.
const RESTART: Duration = Duration::from_secs(1);

pub(crate) struct Discovery {
    origins: Origins,
    desk: Arc<Desk>,
    lines: Arc<Lines>,
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    thread: Option<Thread>,
    commands: Option<Commands>,
    actions: Option<Actions>,
}

impl Discovery {
    pub(crate) fn desk(&self) -> Arc<Desk> {
        Arc::clone(&self.desk)
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the worker deregister the node and end. Bounded, whatever Consul does.
    fn end_worker(&self, running: &mut Running) -> Result<(), String> {
        let Some(thread) = &running.thread else {
            return Ok(());
        };
        let begin = Instant::now();
        let ends_by = |limit: Duration| {
            thread.join_within((begin + limit).saturating_duration_since(Instant::now()))
        };
        self.desk.end();
        if !ends_by(CUT) {
            self.lines.cut_but_the_last();
            if !ends_by(LAST_CUT) {
                self.lines.end();
                if !ends_by(END) {
                    return Err("a request to Consul does not end".to_owned());
                }
            }
        }
        running.thread = None;
        Ok(())
    }
}

impl Module for Discovery {
    fn load() -> Result<Self, String> {
        let origins = Origins::of_this(asterisk::entity_id())?;
        let wanted = read_configuration(&origins)?;
        Ok(Self {
            origins,
            desk: Arc::new(Desk::new(wanted)),
            lines: Arc::default(),
            running: Mutex::default(),
        })
    }

    fn start(&self) -> Result<(), String> {
        let mut running = self.running();
        running.commands = Some(Commands::register(&cli::COMMANDS)?);
        running.actions = Some(Actions::register(&actions::ACTIONS)?);
        let (desk, lines) = (Arc::clone(&self.desk), Arc::clone(&self.lines));
        let thread = thread::spawn("consul-discovery", move || work(&desk, &lines));
        running.thread = Some(thread.map_err(|error| format!("there is no thread: {error}"))?);
        Ok(())
    }

    fn reload(&self) -> Result<(), String> {
        self.desk.set_wanted(read_configuration(&self.origins)?);
        Ok(())
    }

    fn unload(&self) -> Result<(), String> {
        let mut running = self.running();
        self.end_worker(&mut running)?;
        running.commands = None;
        running.actions = None;
        Ok(())
    }

    fn shutdown(&self) {
        if let Err(reason) = self.end_worker(&mut self.running()) {
            asterisk::warning!("{reason}");
        }
    }
}

/// Runs the worker until it is told to end, again after a panic.
fn work(desk: &Arc<Desk>, lines: &Arc<Lines>) {
    let live = || Worker::new(Arc::clone(desk), Arc::clone(lines)).run();
    asterisk::restarting(live, || {
        asterisk::error!("the worker starts again");
        desk.wait(RESTART);
    });
}

/// Reads and checks the files; what is wrong with them is logged.
fn read_configuration(origins: &Origins) -> Result<Wanted, String> {
    // Without a file the defaults apply.
    let sections = asterisk::config::load_if_there(CONFIG_FILE)?.unwrap_or_default();
    let (settings, report) = config::parse(&sections);
    for warning in &report.warnings {
        asterisk::warning!("{warning}");
    }
    for error in &report.errors {
        asterisk::error!("{error}");
    }
    match report.errors.len() {
        0 => {}
        1 => return Err(format!("an error in {CONFIG_FILE}, see above")),
        count => return Err(format!("{count} errors in {CONFIG_FILE}, see above")),
    }
    // Asterisk's own file: without it, or with one that cannot be read, it serves no HTTP.
    let http = asterisk::config::load_if_there("http.conf").ok().flatten();
    let ari = ari::read(&http.unwrap_or_default());
    if settings.enabled && !ari.is_served {
        asterisk::notice!(
            "ARI of this node cannot be reached: http.conf has neither enabled nor tlsenable"
        );
    }
    Ok(Wanted { identity: Identity::of(&settings, origins), settings, ari })
}
