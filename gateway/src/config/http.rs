// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Sections `http`, `limits` and `log`: what clients meet.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::{Faults, Section};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Where and how clients are served.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    pub listen: SocketAddr,
    /// Certificate and key.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// What clients reach us by, without a slash at its end; by default what they say in `Host`.
    pub base_url: Option<String>,
    /// The longest wait, at a stop, for requests that are under way.
    pub drain: Duration,
}

impl Http {
    pub(super) fn read(mut section: Section<'_>, faults: &mut Faults) -> Self {
        let mut listen = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8088));
        if let Some(text) = section.text("listen", faults) {
            match text.parse() {
                Ok(address) => listen = address,
                Err(_) => {
                    let what = format!("{text:?} is no address with a port (\"0.0.0.0:8088\")");
                    section.fault("listen", what, faults);
                }
            }
        }
        let certificate = section.file("tls_cert_file", faults);
        let key = section.file("tls_key_file", faults);
        let tls = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (Some(_), None) => {
                section.fault("tls_cert_file", "is given without tls_key_file", faults);
                None
            }
            (None, Some(_)) => {
                section.fault("tls_key_file", "is given without tls_cert_file", faults);
                None
            }
            (None, None) => None,
        };
        let base_url = section.text("base_url", faults);
        let base_url = base_url.map(|url| url.trim_end_matches('/').to_owned());
        if let Some(url) = &base_url {
            let is_http = url.starts_with("http://") || url.starts_with("https://");
            if !is_http || url.chars().any(|letter| letter.is_control() || letter == '"') {
                section.fault("base_url", format!("{url:?} is no http or https URL"), faults);
            }
        }
        let drain = section.duration("drain", 10 * SECOND, Duration::ZERO..=HOUR, faults);
        section.finish(faults);
        Self { listen, tls, base_url, drain }
    }
}

/// What one client, and all of them, may take.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    pub connections: usize,
    pub header_bytes: usize,
    pub body_bytes: usize,
    /// From the first byte of a request's head, or the end of the last request, to the head's end.
    pub idle: Duration,
    /// From the head of a request to the end of its body.
    pub body: Duration,
    /// Questions to all nodes at one time.
    pub questions: usize,
}

impl Limits {
    pub(super) fn read(mut section: Section<'_>, faults: &mut Faults) -> Self {
        let connections = section.number("connections", 10_000, 1..=1_000_000, faults);
        let questions = section.number("questions", 256, 1..=100_000, faults);
        let limits = Self {
            connections: usize::try_from(connections).unwrap_or(usize::MAX),
            // hyper takes no less than 8 KiB.
            header_bytes: section.size("header_bytes", 16 << 10, 8192..=1 << 20, faults),
            body_bytes: section.size("body_bytes", 64 << 10, 1024..=64 << 20, faults),
            idle: section.duration("idle", 60 * SECOND, SECOND..=HOUR, faults),
            body: section.duration("body", 10 * SECOND, SECOND..=HOUR, faults),
            questions: usize::try_from(questions).unwrap_or(usize::MAX),
        };
        section.finish(faults);
        limits
    }
}

/// What the log looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// The log.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    pub level: tracing::Level,
    pub format: LogFormat,
    /// Whether each changing request has its line.
    pub audit: bool,
}

impl Log {
    pub(super) fn read(mut section: Section<'_>, faults: &mut Faults) -> Self {
        use tracing::Level;
        let levels = [
            ("error", Level::ERROR),
            ("warn", Level::WARN),
            ("info", Level::INFO),
            ("debug", Level::DEBUG),
            ("trace", Level::TRACE),
        ];
        let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
        let log = Self {
            level: section.word("level", &levels, Level::INFO, faults),
            format: section.word("format", &formats, LogFormat::Text, faults),
            audit: section.yes("audit", true, faults),
        };
        section.finish(faults);
        log
    }
}
