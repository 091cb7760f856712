// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Section `events`: the websocket and its applications.

use std::time::Duration;

use super::{Faults, Section, fits};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// How applications are served with events.
#[derive(Debug, Clone)]
pub(crate) struct Events {
    /// The folder of Consul's keys that the nodes make applications of.
    pub app_prefix: String,
    /// Applications whose calls are shared out among their sockets; a name may end in `*`.
    pub share: Vec<String>,
    /// How long an application is kept without a socket.
    pub grace: Duration,
    /// The longest wait, at a socket's beginning, for the nodes to have its applications.
    pub ready: Duration,
    /// Events that wait for one client; with more it is too slow.
    pub waiting: usize,
    /// Sockets at one time.
    pub sockets: usize,
    pub ping: Duration,
}

impl Events {
    pub(super) fn read(mut section: Section<'_>, faults: &mut Faults) -> Self {
        let prefix = section.text("app_prefix", faults);
        let prefix = prefix.unwrap_or_else(|| "applications/".to_owned());
        if !prefix.ends_with('/') || prefix.starts_with('/') {
            section.fault("app_prefix", format!("{prefix:?} must end with a slash"), faults);
        }
        let share = section.texts("share", faults).unwrap_or_default();
        let is_pattern = |name: &String| !name.trim_end_matches('*').contains('*');
        if let Some(name) = share.iter().find(|name| !is_pattern(name)) {
            section.fault("share", format!("{name:?}: only the end may be *"), faults);
        }
        let waiting = section.number("waiting", 1000, 10..=1_000_000, faults);
        let sockets = section.number("sockets", 1000, 1..=100_000, faults);
        let events = Self {
            app_prefix: prefix,
            share,
            grace: section.duration("grace", 30 * SECOND, Duration::ZERO..=HOUR, faults),
            ready: section.duration("ready", 5 * SECOND, Duration::ZERO..=60 * SECOND, faults),
            waiting: usize::try_from(waiting).unwrap_or(usize::MAX),
            sockets: usize::try_from(sockets).unwrap_or(usize::MAX),
            ping: section.duration("ping", 20 * SECOND, SECOND..=HOUR, faults),
        };
        section.finish(faults);
        events
    }

    /// Whether each call of this application goes to one socket only.
    pub(crate) fn is_shared(&self, app: &str) -> bool {
        self.share.iter().any(|pattern| fits(pattern, app))
    }
}
