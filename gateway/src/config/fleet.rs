// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Sections `consul`, `nodes` and `index`: the fleet behind us.

use std::path::PathBuf;
use std::time::Duration;

use super::section::Environment;
use super::{Faults, Secret, Section};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Scheme, host and port of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    pub is_https: bool,
    pub host: String,
    pub port: u16,
}

impl Origin {
    /// `[http://|https://]host[:port]`
    fn parse(text: &str, default_port: u16) -> Option<Self> {
        let (is_https, rest) = match text.split_once("://") {
            None => (false, text),
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            Some(_) => return None,
        };
        let rest = rest.trim_end_matches('/');
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                (host, port.parse().ok().filter(|port| *port > 0)?)
            }
            _ => (rest, default_port),
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || "-._:".contains(letter);
        let is_fine = !bare.is_empty() && bare.chars().all(is_name);
        is_fine.then(|| Self { is_https, host: bare.to_owned(), port })
    }
}

/// How a server proves who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trust {
    pub ca_file: Option<PathBuf>,
    pub verify: bool,
}

impl Trust {
    pub(super) fn read(section: &mut Section<'_>, faults: &mut Faults) -> Self {
        let ca_file = section.file("ca_file", faults);
        Self { ca_file, verify: section.yes("verify", true, faults) }
    }
}

/// Where the fleet is learnt from.
#[derive(Debug, Clone)]
pub(crate) struct Consul {
    pub origin: Origin,
    pub trust: Trust,
    pub token: Option<Secret>,
    pub token_file: Option<PathBuf>,
    pub service: String,
    /// The longest blocking query.
    pub wait: Duration,
    /// The longest wait for a connection, and for an answer beyond `wait`.
    pub timeout: Duration,
    /// How long a node that is gone from Consul is still known.
    pub forget_after: Duration,
}

impl Consul {
    pub(super) fn read(
        mut section: Section<'_>,
        environment: &Environment,
        faults: &mut Faults,
    ) -> Self {
        let address = section.text("address", faults);
        let address = address
            .or_else(|| environment.variable("CONSUL_HTTP_ADDR").map(str::to_owned))
            .unwrap_or_else(|| "http://127.0.0.1:8500".to_owned());
        let origin = Origin::parse(&address, 8500).unwrap_or_else(|| {
            section.fault("address", format!("{address:?} is no http or https URL"), faults);
            Origin { is_https: false, host: String::new(), port: 8500 }
        });
        let token = section.text("token", faults);
        let token = token
            .or_else(|| environment.variable("CONSUL_HTTP_TOKEN").map(str::to_owned))
            .map(Secret::new);
        if token.as_ref().is_some_and(|token| !is_header(token.reveal())) {
            section.fault("token", "has characters that no header can carry", faults);
        }
        let service = section.text("service", faults).unwrap_or_else(|| "asterisk".to_owned());
        let consul = Self {
            origin,
            trust: Trust::read(&mut section, faults),
            token,
            token_file: section.file("token_file", faults),
            service,
            wait: section.duration("wait", MINUTE, SECOND..=10 * MINUTE, faults),
            timeout: section.duration("timeout", 5 * SECOND, 100 * MS..=MINUTE, faults),
            forget_after: section.duration("forget_after", MINUTE, Duration::ZERO..=DAY, faults),
        };
        section.finish(faults);
        consul
    }
}

/// Which node a new call or bridge goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placement {
    /// The one with the fewest channels for its weight.
    LeastLoaded,
    /// One after the other, by weight.
    RoundRobin,
    /// The same one for all of an application, as long as the fleet is the same.
    ByApp,
}

/// How nodes are spoken to.
#[derive(Debug, Clone)]
pub(crate) struct Nodes {
    pub user: String,
    pub password: Secret,
    pub trust: Trust,
    pub placement: Placement,
    pub connect_timeout: Duration,
    /// From a request's last byte to the head of its answer.
    pub request_timeout: Duration,
    /// The same, for a question to all nodes.
    pub question_timeout: Duration,
    /// Connections to one node, each with a request under way at most.
    pub connections: usize,
    /// The longest wait for one of those.
    pub queue_timeout: Duration,
    /// How long an idle connection is kept; Asterisk ends its side after 15 s.
    pub idle: Duration,
}

impl Nodes {
    pub(super) fn read(mut section: Section<'_>, faults: &mut Faults) -> Self {
        let user = section.text("user", faults).unwrap_or_else(|| {
            section.fault("user", "is missing: the ARI user that all nodes know", faults);
            String::new()
        });
        let password = section.secret("password", "password_file", faults).unwrap_or_else(|| {
            section.fault("password", "is missing: give it, or password_file", faults);
            Secret::new("")
        });
        let policies = [
            ("least_loaded", Placement::LeastLoaded),
            ("round_robin", Placement::RoundRobin),
            ("by_app", Placement::ByApp),
        ];
        let time = 100 * MS..=10 * MINUTE;
        let connections = section.number("connections", 64, 1..=100_000, faults);
        let nodes = Self {
            user,
            password,
            trust: Trust::read(&mut section, faults),
            placement: section.word("placement", &policies, Placement::LeastLoaded, faults),
            connect_timeout: section.duration("connect_timeout", SECOND, time.clone(), faults),
            request_timeout: section.duration("request_timeout", 10 * SECOND, time.clone(), faults),
            question_timeout: section.duration("question_timeout", SECOND, time.clone(), faults),
            connections: usize::try_from(connections).unwrap_or(usize::MAX),
            queue_timeout: section.duration("queue_timeout", 2 * SECOND, time, faults),
            idle: section.duration("idle", 10 * SECOND, SECOND..=10 * MINUTE, faults),
        };
        section.finish(faults);
        nodes
    }
}

/// What is kept of who owns what.
#[derive(Debug, Clone)]
pub(crate) struct Index {
    /// How often a node's channels and bridges are read anew.
    pub refresh: Duration,
    /// How long a playback or a recording that nobody asks for is kept in mind.
    pub forget_after: Duration,
}

impl Index {
    pub(super) fn read(mut section: Section<'_>, faults: &mut Faults) -> Self {
        let index = Self {
            refresh: section.duration("refresh", 30 * SECOND, SECOND..=DAY, faults),
            forget_after: section.duration("forget_after", 360 * MINUTE, MINUTE..=DAY, faults),
        };
        section.finish(faults);
        index
    }
}

fn is_header(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_urls_or_hosts() {
        let origin =
            |is_https, host: &str, port| Some(Origin { is_https, host: host.to_owned(), port });
        for (text, wanted) in [
            ("http://consul:8501", origin(false, "consul", 8501)),
            ("https://consul/", origin(true, "consul", 8500)),
            ("10.0.0.1:80", origin(false, "10.0.0.1", 80)),
            ("[::1]:80", origin(false, "::1", 80)),
            ("http://[::1]", origin(false, "::1", 8500)),
            ("ftp://consul", None),
            ("consul:0", None),
            ("consul:x", None),
            ("http://", None),
            ("http://a b", None),
            ("http://a/b", None),
            ("http://a\r\nb", None),
        ] {
            assert_eq!(Origin::parse(text, 8500), wanted, "{text}");
        }
    }
}
