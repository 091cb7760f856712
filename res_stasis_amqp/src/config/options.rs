// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Every option of `amqp.conf`: the table the file is read by, and that the sample file, the XML
//! help and docs/configuration.md are compared with.

use asterisk::config::KnownOption;

/// The kinds of section and their options. `[general]` is known by its name, the others by `type`.
pub(crate) const OPTIONS: &[(&str, &[KnownOption])] =
    &[("general", GENERAL), ("connection", CONNECTION), ("stasis", STASIS)];

const fn option(name: &'static str, default: &'static str, meaning: &'static str) -> KnownOption {
    KnownOption::new(name, default, meaning)
}

pub(super) const GENERAL: &[KnownOption] =
    &[option("enabled", "yes", "Whether the module connects and publishes at all")];

pub(super) const CONNECTION: &[KnownOption] = &[
    option("type", "", "\"connection\": the section is a connection named after it"),
    option(
        "url",
        "",
        "amqp:// or amqps:// address of the broker; several, comma separated, are tried in turn",
    ),
    option("password", "", "Password, instead of one in the url"),
    option("password_file", "", "File whose first line is the password; goes before the others"),
    option("ca_file", "", "amqps: PEM certificates to trust, instead of the system's"),
    option("cert_file", "", "amqps: PEM certificate to show to the broker"),
    option("key_file", "", "amqps: PEM key of cert_file"),
    option("verify", "yes", "amqps: whether the broker must prove who it is"),
    option("max_frame_bytes", "131072", "Largest AMQP frame to agree to, 8k to 1m"),
    option(
        "heartbeat_seconds",
        "10",
        "Heartbeat to ask for, 1 to 3600; a broker silent for two is given up",
    ),
    option("connection_timeout", "5s", "Longest wait for a broker to accept, 100ms to 5m"),
];

pub(super) const STASIS: &[KnownOption] = &[
    option("type", "", "\"stasis\": the section says what is published"),
    option("connection", "", "The connection to publish on, by the name of its section"),
    option("exchange", "asterisk", "The exchange to publish to; empty: the default exchange"),
    option("exchange_type", "topic", "topic, headers, fanout or direct"),
    option(
        "declare_exchange",
        "yes",
        "Whether to declare the exchange, durable; no: it must exist",
    ),
    option(
        "publish_ami_events",
        "yes",
        "yes: what the manager topic carries; all: every manager event; no",
    ),
    option("publish_channel_events", "yes", "Whether to publish the events of channels"),
    option(
        "exclude_events",
        "",
        "Names of events to leave out, from any source, comma separated, * allowed",
    ),
    option(
        "include_channelvarset_events",
        "",
        "The variables whose ChannelVarset is published, comma separated, * allowed; empty: all",
    ),
    option("persistent", "yes", "Whether brokers write messages to disk (delivery mode 2)"),
    option("confirms", "yes", "Whether brokers confirm each message (publisher confirms)"),
    option(
        "mandatory",
        "no",
        "Whether the broker gives back, to be counted, what no queue is bound for",
    ),
    option("queue_max_events", "100000", "Events to hold in memory, 1 to 100000000"),
    option("queue_max_bytes", "256m", "Bytes of events to hold in memory, from 64k"),
    option("overflow", "drop_oldest", "What a full queue does: drop_oldest or drop_newest"),
    option("spool_dir", "", "Directory for what memory cannot hold; empty: none"),
    option("spool_max_bytes", "1g", "Bytes the spool may hold, from 64k"),
    option(
        "spool_sync",
        "yes",
        "Whether the spool is to survive a power failure, not only a kill of Asterisk",
    ),
];
