// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Why Consul did not do what it was asked, and when that is tried again.

use std::time::{Duration, Instant};

use asterisk::backoff::{Backoff, Exponential};
use asterisk::consul::{NoAnswer, Response};

/// What is shown of Consul's own words.
const SHOWN: usize = 200;

/// When a single service that Consul refuses is tried again.
const ONE_AGAIN: Duration = Duration::from_secs(15);

/// Nothing is asked until then.
#[derive(Debug)]
pub(crate) struct Pause {
    pub(super) until: Instant,
    pub(super) reason: String,
}

/// Why there is no success, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nothing came back.
    NoAnswer(String),
    /// Consul cannot for now: no leader, too many requests, an answer that makes no sense.
    Failing(String),
    /// The token does not allow it.
    Forbidden(String),
    /// Consul does not take this one.
    Refused(String),
}

impl Failure {
    /// What an answer that is no success means.
    pub(crate) fn of(response: &Response) -> Self {
        let reason = format!("{} {}", response.status, first_line(&response.body));
        let reason = reason.trim_end().to_owned();
        match response.status {
            403 => Self::Forbidden(reason),
            429 | 500.. => Self::Failing(reason),
            _ => Self::Refused(reason),
        }
    }

    pub(super) fn reason(&self) -> &str {
        let (Self::NoAnswer(reason)
        | Self::Failing(reason)
        | Self::Forbidden(reason)
        | Self::Refused(reason)) = self;
        reason
    }

    /// What is logged once for all requests that fail so; none: not here.
    pub(super) fn kind(&self) -> Option<String> {
        match self {
            Self::NoAnswer(_) => None,
            Self::Failing(reason) | Self::Forbidden(reason) | Self::Refused(reason) => {
                Some(reason.chars().take_while(char::is_ascii_digit).collect())
            }
        }
    }

    /// Whether other requests would fail as well: then none is made for a while. A token may allow
    /// one service and not another, but where it does not even allow the listing nothing will work.
    pub(super) fn is_of_all(&self, of_the_listing: bool) -> bool {
        match self {
            Self::NoAnswer(_) | Self::Failing(_) => true,
            Self::Forbidden(_) | Self::Refused(_) => of_the_listing,
        }
    }

    /// How long the service that was asked for is left alone, so that others get their turn.
    pub(super) fn delay_of_one(&self) -> Option<Duration> {
        match self {
            Self::NoAnswer(_) => None,
            Self::Failing(_) => Some(Duration::from_secs(4)),
            Self::Forbidden(_) | Self::Refused(_) => Some(ONE_AGAIN),
        }
    }
}

impl From<NoAnswer> for Failure {
    fn from(answer: NoAnswer) -> Self {
        Self::NoAnswer(answer.to_string())
    }
}

fn first_line(body: &str) -> String {
    let line = body.lines().next().unwrap_or_default();
    line.chars().filter(|character| !character.is_control()).take(SHOWN).collect()
}

/// An agent that was away must be found soon after it is back.
pub(super) fn unreachable_backoff() -> Backoff {
    backoff(Duration::from_secs(4))
}

/// A token that does not suffice is changed by a person.
pub(super) fn refused_backoff() -> Backoff {
    backoff(Duration::from_secs(15))
}

fn backoff(cap: Duration) -> Backoff {
    let policy = Exponential::new(Duration::from_millis(250), 2, cap);
    Backoff::new(policy.unwrap_or(Exponential::CONNECT)) // these numbers are not refused
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, body: &str) -> Failure {
        Failure::of(&Response { status, index: 0, body: body.to_owned() })
    }

    #[test]
    fn answers_are_told_apart_and_quoted_in_a_line() {
        assert_eq!(
            of(403, "Permission denied\n"),
            Failure::Forbidden("403 Permission denied".into())
        );
        assert_eq!(of(500, "No cluster leader"), Failure::Failing("500 No cluster leader".into()));
        assert_eq!(of(429, ""), Failure::Failing("429".into()));
        assert_eq!(of(400, "Bad\x1b[31m\nmore"), Failure::Refused("400 Bad[31m".into()));
        assert_eq!(of(301, ""), Failure::Refused("301".into()));
        let long = of(404, &"ü".repeat(10_000));
        assert_eq!(long.reason().chars().count(), 4 + SHOWN);
    }

    #[test]
    fn what_a_connection_does_is_logged_elsewhere() {
        assert_eq!(Failure::NoAnswer("refused".to_owned()).kind(), None);
        assert_eq!(of(403, "x").kind(), Some("403".to_owned()));
    }
}
