// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! `amqp.conf`, of any text. No reading of it shows a password; settings without an error keep what
//! later code relies on.

#![no_main]

#[path = "../../res_stasis_amqp/src"]
mod module {
    pub(crate) mod config;
    pub(crate) mod endpoint;
    pub(crate) mod filter;
    pub(crate) mod limits;
    pub(crate) mod pattern;
}
mod hidden;

use std::io;

use asterisk::config::drift;
use libfuzzer_sys::fuzz_target;
use module::*;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let sections = drift::sections(&text, "amqp.conf");
    let read_file = |path: &str| match path {
        "/secret" => Ok(format!("{}\nnext line", hidden::SECRET)),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    let (settings, report) = config::parse(&sections, &read_file);
    let shown = format!("{:?} {:?} {settings:?}", report.errors, report.warnings);
    if hidden::is_only_in(&sections, &["password"]) {
        assert!(!shown.contains(hidden::SECRET), "{shown}");
    }
    if !report.errors.is_empty() {
        return;
    }
    for connection in &settings.connections {
        assert!(!connection.endpoints.is_empty());
        assert!((1..=3600).contains(&connection.heartbeat));
        assert!((8192..=1 << 20).contains(&connection.max_frame_bytes));
        assert!(connection.endpoints.iter().all(|at| at.port > 0 && !at.host.is_empty()));
    }
    if let Some(stasis) = &settings.stasis {
        let is_it = |known: &config::ConnectionSettings| known.name == stasis.connection;
        assert_eq!(settings.connections.iter().filter(|known| is_it(known)).count(), 1);
        assert!(stasis.limits.events > 0 && stasis.limits.bytes >= 65_536);
        assert!(stasis.exchange.len() <= 255);
    }
});
