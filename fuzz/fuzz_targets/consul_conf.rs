// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! `consul.conf`, of any text, as each of the three modules reads it. The first line is
//! `CONSUL_HTTP_ADDR`. No reading shows a token.

#![no_main]

#[path = "../../res_consul/src"]
mod res_consul {
    pub(crate) mod config;
}
#[path = "../../res_consul_discovery/src"]
mod res_consul_discovery {
    pub(crate) mod config;
}
#[path = "../../res_consul_stasis_app/src"]
mod res_consul_stasis_app {
    pub(crate) mod config;
}
mod hidden;

use std::io;

use asterisk::config::drift;
use hidden::SECRET;
use libfuzzer_sys::fuzz_target;

/// As in `res_consul_stasis_app`.
const CONFIG_FILE: &str = "consul.conf";

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let (address, text) = text.split_once('\n').unwrap_or(("", &text));
    let sections = drift::sections(text, CONFIG_FILE);
    let read_file = |path: &str| match path {
        "/secret" => Ok(format!("{SECRET}\nnext line")),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    let environment = |name: &str| match name {
        "CONSUL_HTTP_ADDR" => Some(address.to_owned()),
        _ => None,
    };
    let (consul, report) = res_consul::config::parse(&sections, &read_file, &environment);
    let mut shown = format!("{consul:?} {:?} {:?}", report.errors, report.warnings);
    if report.errors.is_empty() {
        let consul = &consul.consul;
        assert!(!consul.host.is_empty() && consul.port > 0);
        assert!(!consul.connect_timeout.is_zero() && !consul.request_timeout.is_zero());
        assert!(!consul.watch_wait.is_zero());
        assert!(!consul.url().chars().any(char::is_whitespace), "{}", consul.url());
    }
    let (node, report) = res_consul_discovery::config::parse(&sections);
    shown.push_str(&format!("{node:?} {:?} {:?}", report.errors, report.warnings));
    if report.errors.is_empty() {
        assert!(node.port > 0 && node.weights.passing > 0 && node.weights.warning > 0);
    }
    let (apps, report) = res_consul_stasis_app::config::parse(&sections);
    shown.push_str(&format!("{apps:?} {:?} {:?}", report.errors, report.warnings));
    if report.errors.is_empty() && apps.enabled {
        assert!(!apps.prefix.is_empty() && !apps.prefix.starts_with('/'));
    }
    if !address.contains(SECRET) && hidden::is_only_in(&sections, &["token"]) {
        assert!(!shown.contains(SECRET), "{shown}");
    }
});
