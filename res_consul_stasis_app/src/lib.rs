// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! `res_consul_stasis_app`: Stasis applications from Consul's keys.
//!
//! This file is the module's life and wiring. The path of a key: a watch hands the newest set to
//! `orders`, `worker` takes it and carries out the steps of `plan`, which creates and ends
//! applications through `res_stasis_amqp`; `registrar` keeps those registered in Consul by the
//! requests of `ledger`, on threads of its own, so that no application waits for Consul.

#![forbid(unsafe_code)]

mod cli;
mod config;
mod ledger;
mod note;
mod orders;
mod plan;
mod registrar;
mod service;
mod value;
mod worker;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use asterisk::cli::Commands;
use asterisk::module::Module;
use asterisk::thread::{Thread, spawn};

use config::Settings;
use orders::End;
use registrar::{Lines, Registrar};
use worker::Worker;

asterisk::module!(StasisApp);

const CONFIG_FILE: &str = "consul.conf";

/// What the deregistering of all applications may take.
const DEREGISTER: Duration = Duration::from_millis(1200);

/// What the end of all applications may take beyond that.
const APPLICATIONS: Duration = Duration::from_secs(5);

pub(crate) struct StasisApp {
    registrar: Arc<Registrar>,
    worker: Arc<Worker>,
    /// For commands too, so held for no longer than a look takes.
    settings: Mutex<Settings>,
    running: Mutex<Running>,
}

/// Locked for as long as an end takes, by load, unload and exit only: the end waits for commands.
#[derive(Default)]
struct Running {
    commands: Option<Commands>,
    lines: Option<Lines>,
    thread: Option<Thread>,
}

impl StasisApp {
    pub(crate) fn registrar(&self) -> &Registrar {
        &self.registrar
    }

    pub(crate) fn worker(&self) -> &Worker {
        &self.worker
    }

    pub(crate) fn settings(&self) -> Settings {
        self.locked_settings().clone()
    }

    fn locked_settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, how: End) -> Result<(), String> {
        let mut running = self.running();
        self.worker.orders.end(how);
        if let Some(lines) = &running.lines {
            lines.end(DEREGISTER)?;
        }
        if running.thread.as_ref().is_some_and(|thread| !thread.join_within(APPLICATIONS)) {
            let left = self.worker.names().len();
            return Err(format!("{left} applications are still to end, which goes on; ask again"));
        }
        running.lines = None;
        running.thread = None;
        let left = self.registrar.left();
        if left > 0 {
            asterisk::warning!(
                "{left} applications are still registered in Consul, for it did not answer in \
                 time; they are deregistered when this module is loaded again"
            );
        }
        Ok(())
    }
}

impl Module for StasisApp {
    fn load() -> Result<Self, String> {
        let settings = read_configuration()?;
        let registrar = Arc::new(Registrar::new(&asterisk::entity_id()));
        let worker = Arc::new(Worker::new(&registrar));
        Ok(Self { registrar, worker, settings: Mutex::new(settings), running: Mutex::default() })
    }

    fn start(&self) -> Result<(), String> {
        let mut running = self.running();
        running.commands = Some(Commands::register(&cli::COMMANDS)?);
        running.lines = Some(Lines::start(&self.registrar)?);
        self.worker.orders.settings(self.settings());
        let worker = Arc::clone(&self.worker);
        let thread = spawn("consul-apps", move || worker.run());
        running.thread = Some(thread.map_err(|error| format!("no thread: {error}"))?);
        Ok(())
    }

    fn reload(&self) -> Result<(), String> {
        let settings = read_configuration()?;
        *self.locked_settings() = settings.clone();
        self.worker.orders.settings(settings);
        Ok(())
    }

    fn unload(&self) -> Result<(), String> {
        self.end(End::Unload)?;
        let commands = self.running().commands.take();
        drop(commands); // waits for those that run, so not under the lock
        Ok(())
    }

    fn shutdown(&self) {
        if let Err(reason) = self.end(End::Exit) {
            asterisk::warning!("{reason}");
        }
    }
}

/// Reads and checks the file, whose absence means the defaults; what is wrong with it is logged.
fn read_configuration() -> Result<Settings, String> {
    let sections = asterisk::config::load_if_there(CONFIG_FILE)?.unwrap_or_default();
    let (settings, report) = config::parse(&sections);
    for warning in &report.warnings {
        asterisk::warning!("{warning}");
    }
    for error in &report.errors {
        asterisk::error!("{error}");
    }
    match report.errors.len() {
        0 => Ok(settings),
        1 => Err(format!("an error in {CONFIG_FILE}, see above")),
        count => Err(format!("{count} errors in {CONFIG_FILE}, see above")),
    }
}
