// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What the file and the environment say, checked once: later code meets no text it has to doubt.
//!
//! Every option of a section can also be set by a variable of the environment,
//! `GATEWAY_<SECTION>_<OPTION>`, which goes before the file.

mod access;
mod amqp;
mod bridges;
mod error;
mod events;
mod fleet;
mod http;
mod secret;
mod section;
#[cfg(test)]
pub(crate) mod tests;
mod value;

use std::collections::BTreeMap;
use std::path::Path;

pub(crate) use access::User;
pub(crate) use amqp::{Amqp, Broker};
pub(crate) use bridges::Bridges;
pub(crate) use error::{ConfigError, Faults};
pub(crate) use events::Events;
pub(crate) use fleet::{Consul, Index, Nodes, Origin, Placement, Trust};
pub(crate) use http::{Http, Limits, Log, LogFormat};
pub(crate) use secret::Secret;
use section::{Environment, Section};
pub(crate) use value::{fits, nearest};

/// The whole configuration.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub http: Http,
    pub limits: Limits,
    pub consul: Consul,
    pub nodes: Nodes,
    pub index: Index,
    pub bridges: Bridges,
    /// Without it there are no events.
    pub amqp: Option<Amqp>,
    pub events: Events,
    pub log: Log,
    pub users: Vec<User>,
}

const SECTIONS: [&str; 10] =
    ["http", "limits", "consul", "nodes", "index", "bridges", "amqp", "events", "log", "user"];

/// Reads a file, with the process' environment over it.
pub(crate) fn load(path: &Path) -> Result<Config, ConfigError> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| ConfigError::Unreadable { file: file.clone(), error })?;
    read(&file, &text, std::env::vars().collect())
}

/// Reads a text, with these variables over it.
pub(crate) fn read(
    file: &str,
    text: &str,
    variables: BTreeMap<String, String>,
) -> Result<Config, ConfigError> {
    let mut table: toml::Table = text
        .parse()
        .map_err(|error| ConfigError::NoToml { file: file.to_owned(), error: Box::new(error) })?;
    let mut faults = Faults::new(file);
    let environment = Environment::new(variables);
    let mut section = |name: &str, faults: &mut Faults| {
        let found = table.remove(name);
        Section::new(name, found, &environment, faults)
    };
    let http = section("http", &mut faults);
    let http = http::Http::read(http, &mut faults);
    let limits = section("limits", &mut faults);
    let limits = Limits::read(limits, &mut faults);
    let consul = section("consul", &mut faults);
    let consul = Consul::read(consul, &environment, &mut faults);
    let nodes = section("nodes", &mut faults);
    let nodes = Nodes::read(nodes, &mut faults);
    let index = section("index", &mut faults);
    let index = Index::read(index, &mut faults);
    let bridges = section("bridges", &mut faults);
    let bridges = Bridges::read(bridges, &mut faults);
    let amqp = section("amqp", &mut faults);
    let amqp = Amqp::read(amqp, &mut faults);
    let events = section("events", &mut faults);
    let events = Events::read(events, &mut faults);
    let log = section("log", &mut faults);
    let log = Log::read(log, &mut faults);
    let users = access::read(table.remove("user"), &mut faults);
    for name in table.keys() {
        faults.unknown_section(name, nearest(name, &SECTIONS));
    }
    for name in environment.unread(&SECTIONS) {
        faults.unknown_variable(&name);
    }
    faults.into_result(Config {
        http,
        limits,
        consul,
        nodes,
        index,
        bridges,
        amqp,
        events,
        log,
        users,
    })
}
