// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! `res_consul`: the connection to Consul, for itself and for other modules.
//!
//! This file is the module's life and wiring. `connection` has the settings that apply and the
//! status; `line` (clients), `watch` and `pulse` make requests, each on threads of their own, by
//! `http`; `provider` is what other modules call.

#![forbid(unsafe_code)]

mod bell;
mod berth;
mod cli;
mod config;
mod connection;
mod host;
mod http;
mod json;
mod kv;
mod line;
mod provider;
mod pulse;
mod service;
mod status;
#[cfg(test)]
mod tests;
mod threads;
mod watch;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use asterisk::cli::Commands;
use asterisk::consul::provide::KeyWatches;
use asterisk::module::Module;

use config::Settings;
use connection::{Connection, Kind};
use line::Client;
use pulse::Pulse;
use watch::Watch;

asterisk::module!(Consul);

/// What each of the module's own threads may take to end, once it has been cut.
const END: Duration = Duration::from_millis(500);

pub(crate) struct Consul {
    connection: Arc<Connection>,
    shared: Client,
    key_watches: KeyWatches<Watch>,
    pulse: Pulse,
    commands: Mutex<Option<Commands>>,
}

impl Consul {
    /// Why the module cannot go: what other modules have made, they must end.
    fn check_users(&self) -> Result<(), String> {
        self.key_watches.clean();
        let users: Vec<String> = self
            .connection
            .kinds()
            .into_iter()
            .filter_map(|kind| match kind {
                Kind::Own => None,
                Kind::Client(name) => Some(format!("client '{name}'")),
                Kind::Watch(report) => Some(format!("the watch of '{}'", report.prefix)),
            })
            .collect();
        match users.len() {
            0 => Ok(()),
            _ => Err(format!("other modules have not ended {}", users.join(", "))),
        }
    }

    fn end_threads(&self) -> Result<(), String> {
        self.connection.set_ending(true);
        if !self.pulse.join_within(END) || !self.shared.join_within(END) {
            return Err("a thread does not end".to_owned());
        }
        self.connection.join(END)
    }
}

impl Module for Consul {
    fn load() -> Result<Self, String> {
        let settings = read_configuration()?;
        let connection = Connection::new(Arc::new(host::Asterisk), settings);
        Ok(Self {
            shared: Client::shared(&connection),
            key_watches: KeyWatches::default(),
            pulse: Pulse::new(&connection),
            connection,
            commands: Mutex::default(),
        })
    }

    fn start(&self) -> Result<(), String> {
        let commands = Commands::register(&cli::COMMANDS)?;
        *self.commands.lock().unwrap_or_else(PoisonError::into_inner) = Some(commands);
        self.pulse.start()
    }

    fn reload(&self) -> Result<(), String> {
        self.connection.apply(read_configuration()?);
        Ok(())
    }

    fn unload(&self) -> Result<(), String> {
        self.check_users()?;
        if let Err(reason) = self.end_threads() {
            // It stays loaded, and so goes on.
            self.connection.set_ending(false);
            return Err(reason);
        }
        drop(self.commands.lock().unwrap_or_else(PoisonError::into_inner).take());
        Ok(())
    }

    /// The functions of dependants have run: they registered theirs later.
    fn shutdown(&self) {
        if let Err(reason) = self.end_threads() {
            asterisk::warning!("{reason}");
        }
    }
}

/// Reads and checks the file; what is wrong with it is logged. Without a file the defaults apply.
fn read_configuration() -> Result<Settings, String> {
    let sections = asterisk::config::load_if_there(config::FILE)?.unwrap_or_default();
    let read_file = |path: &str| std::fs::read_to_string(path);
    let (settings, report) = config::parse(&sections, &read_file, &|name| std::env::var(name).ok());
    for warning in &report.warnings {
        asterisk::warning!("{warning}");
    }
    for error in &report.errors {
        asterisk::error!("{error}");
    }
    match report.errors.len() {
        0 => Ok(settings),
        1 => Err(format!("an error in {}, see above", config::FILE)),
        count => Err(format!("{count} errors in {}, see above", config::FILE)),
    }
}
