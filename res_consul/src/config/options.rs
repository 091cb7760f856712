// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The options of `[general]` and `[consul]`: the table the file is read by, and that the sample
//! file, the XML help and docs/configuration.md are compared with.

use asterisk::config::KnownOption;

const fn option(name: &'static str, default: &'static str, meaning: &'static str) -> KnownOption {
    KnownOption::new(name, default, meaning)
}

pub(super) const GENERAL: &[KnownOption] =
    &[option("enabled", "yes", "Whether the modules of consul.conf do anything at all")];

pub(super) const CONSUL: &[KnownOption] = &[
    option(
        "host",
        "127.0.0.1",
        "Name or address of Consul's agent; CONSUL_HTTP_ADDR applies where it is absent",
    ),
    option("port", "8500", "Port of Consul's HTTP API"),
    option("scheme", "http", "http or https"),
    option("token", "", "ACL token; CONSUL_HTTP_TOKEN applies where there is none"),
    option("token_file", "", "File whose first line is the token; goes before the others"),
    option("datacenter", "", "Datacenter for keys and the catalog; empty: the agent's own"),
    option("connect_timeout", "2s", "Longest wait for TCP and TLS, 100ms to 1m"),
    option("request_timeout", "10s", "Longest wait for each further step, 100ms to 5m"),
    option("watch_wait", "60s", "Longest blocking query, 1s to 10m"),
    option("ca_file", "", "https: PEM certificates to trust, instead of the system's"),
    option("cert_file", "", "https: PEM certificate to show to Consul"),
    option("key_file", "", "https: PEM key of cert_file"),
    option("verify", "yes", "https: whether Consul must prove who it is"),
];
