// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What an answer says of the connection.

use crate::http::{Reply, Request, is_of_agent};

/// Of what Consul says, as much is shown.
pub(super) const MOST_WORDS: usize = 200;

/// What an answer says of the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All is well.
    Fine,
    /// The token does not permit it; in Consul's words.
    Refused(String),
    /// Consul has a fault of its own; in its words.
    Failing(String),
    /// This answer says something else than it should.
    Unreadable(String),
}

impl Verdict {
    /// Judges an answer by its status. What an agent's own endpoint answers with 429, 500 or 503
    /// may be about a service's health or a wrong argument: only words that tell of lost servers
    /// count there.
    pub(crate) fn of(request: &Request, reply: &Reply) -> Self {
        let words = || words_of(&reply.body, reply.status);
        match reply.status {
            403 => Self::Refused(words()),
            429 | 500..=599
                if !is_of_agent(&request.path) || tells_of_lost_servers(&reply.body) =>
            {
                Self::Failing(words())
            }
            _ => Self::Fine,
        }
    }
}

impl Verdict {
    /// What is wrong, if anything.
    pub(crate) fn reason(&self) -> &str {
        match self {
            Self::Fine => "",
            Self::Refused(reason) | Self::Failing(reason) | Self::Unreadable(reason) => reason,
        }
    }

    /// The same with other words.
    pub(crate) fn map(self, words: impl FnOnce(String) -> String) -> Self {
        match self {
            Self::Fine => Self::Fine,
            Self::Refused(reason) => Self::Refused(words(reason)),
            Self::Failing(reason) => Self::Failing(words(reason)),
            Self::Unreadable(reason) => Self::Unreadable(words(reason)),
        }
    }
}

fn tells_of_lost_servers(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body.get(..MOST_WORDS).unwrap_or(body)).to_lowercase();
    ["no cluster leader", "no known consul servers", "rpc error"]
        .iter()
        .any(|words| text.contains(words))
}

/// The first line of a body, short and without what a terminal would obey; or the status.
pub(crate) fn words_of(body: &[u8], status: u16) -> String {
    let text = String::from_utf8_lossy(body.get(..4 * MOST_WORDS).unwrap_or(body));
    let line = text.trim().lines().next().unwrap_or_default();
    let line: String = line.chars().filter(|c| !c.is_control()).take(MOST_WORDS).collect();
    match line.is_empty() {
        true => format!("status {status}"),
        false => format!("status {status}, {line}"),
    }
}
