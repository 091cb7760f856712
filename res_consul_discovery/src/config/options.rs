// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Every option of `[discovery]`: the table the section is read by, and that the sample file, the
//! XML help and docs/configuration.md are compared with.

use asterisk::config::KnownOption;

const fn option(name: &'static str, default: &'static str, meaning: &'static str) -> KnownOption {
    KnownOption::new(name, default, meaning)
}

/// What of `[general]` is looked at here; `res_consul` warns of what is unknown there.
pub(super) const GENERAL: &[KnownOption] =
    &[option("enabled", "yes", "Whether the Consul modules do anything at all")];

pub(super) const DISCOVERY: &[KnownOption] = &[
    option("enabled", "yes", "Whether the node is registered"),
    option("id", "asterisk", "asterisk: the entity id; auto: a UUID; else taken as it is"),
    option("name", "asterisk", "auto: the host name; else taken as it is"),
    option("tags", "asterisk", "Tags of the service, comma separated"),
    option("discovery_ip", "auto", "An address; auto: that of discovery_interface"),
    option("discovery_port", "5060", "The port of the service, 1 to 65535"),
    option("discovery_interface", "eth0", "The interface whose address auto is"),
    option("weight_passing", "1", "Share of the calls while passing, 1 to 65535"),
    option("weight_warning", "1", "Share of the calls while warning, 1 to 65535"),
    option("check", "yes", "Whether the service has a health check"),
    option("check_type", "ttl", "ttl: the module tells how it is; http: Consul asks /httpstatus"),
    option("check_http_port", "8088", "http: the port that Consul asks, 1 to 65535"),
    option("check_interval", "15s", "http: between questions; ttl: told thrice in it; 1s to 5m"),
    option("check_timeout", "5s", "http: longest wait for the answer, 100ms to 5m"),
    option("deregister_after", "", "Consul forgets a node that is critical for so long, from 1m"),
    option("maintenance_on_shutdown", "yes", "Whether a graceful stop begins with maintenance"),
    option("meta_<key>", "", "More meta of the service"),
];
