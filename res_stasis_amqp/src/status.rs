// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! How a connection is: its state, in words for operators, and what led there.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// The least time between two lines about events that are refused.
const REFUSAL_LINES: Duration = Duration::from_secs(60);

/// Where a connection stands. Two states are equal if an operator would read the same of them, so
/// that a failure which repeats is one state, and one line in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ConnectionState {
    /// Nothing is to be connected to yet.
    Idle,
    /// A broker is being reached.
    Connecting {
        /// The broker, or all that are tried in turn, without password.
        url: String,
    },
    /// Events flow.
    Connected {
        /// The broker, without password.
        url: String,
    },
    /// The broker has told us to send nothing: an alarm of memory or disk.
    Blocked {
        /// In the broker's words.
        reason: String,
    },
    /// No broker answers: its name, TCP, or silence.
    Unreachable {
        /// The system's words.
        reason: String,
    },
    /// A broker answers but TLS with it fails.
    TlsFailed {
        /// What is wrong with which certificate, or file.
        reason: String,
    },
    /// Wrong user or password.
    LoginRefused {
        /// In the broker's words.
        reason: String,
    },
    /// The vhost does not exist, or the user may not use it.
    VhostRefused {
        /// In the broker's words.
        reason: String,
    },
    /// The exchange does not exist and is not to be declared.
    ExchangeMissing {
        /// Its name.
        exchange: String,
        /// In the broker's words.
        reason: String,
    },
    /// The exchange exists in another form, or the user may not declare or use it.
    ExchangeRefused {
        /// Its name.
        exchange: String,
        /// In the broker's words.
        reason: String,
    },
    /// A connection that worked was closed by the broker, or broke.
    Lost {
        /// In the broker's words, or the system's.
        reason: String,
    },
    /// The module or Asterisk is going; what can still be delivered is.
    Stopping,
    /// For good.
    Stopped,
}

impl ConnectionState {
    /// A few words, stable: for lists, metrics and tests.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Connecting { .. } => "connecting",
            Self::Connected { .. } => "connected",
            Self::Blocked { .. } => "blocked",
            Self::Unreachable { .. } => "unreachable",
            Self::TlsFailed { .. } => "TLS failed",
            Self::LoginRefused { .. } => "login refused",
            Self::VhostRefused { .. } => "vhost refused",
            Self::ExchangeMissing { .. } => "exchange missing",
            Self::ExchangeRefused { .. } => "exchange refused",
            Self::Lost { .. } => "connection lost",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }

    /// Why it does not work, if it does not and will be tried again.
    pub(crate) fn failure(&self) -> Option<&str> {
        match self {
            Self::Unreachable { reason }
            | Self::TlsFailed { reason }
            | Self::LoginRefused { reason }
            | Self::VhostRefused { reason }
            | Self::ExchangeMissing { reason, .. }
            | Self::ExchangeRefused { reason, .. }
            | Self::Lost { reason } => Some(reason),
            Self::Idle
            | Self::Connecting { .. }
            | Self::Connected { .. }
            | Self::Blocked { .. }
            | Self::Stopping
            | Self::Stopped => None,
        }
    }
}

/// What it is, why, and what to look at or what happens next.
impl fmt::Display for ConnectionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())?;
        match self {
            Self::Idle => write!(f, ": nothing to connect to yet"),
            Self::Connecting { url } => write!(f, " to {url}; events wait in the queue"),
            Self::Connected { url } => write!(f, " to {url}; events are published as they come"),
            Self::Blocked { reason } => write!(
                f,
                " by the broker ({reason}); events wait in the queue until it lifts its alarm"
            ),
            Self::Unreachable { reason } => write!(f, " ({reason}); check url and network"),
            Self::TlsFailed { reason } => write!(
                f,
                " ({reason}); check ca_file, cert_file and key_file, and the name in the url"
            ),
            Self::LoginRefused { reason } => write!(f, " ({reason}); check user and password"),
            Self::VhostRefused { reason } => {
                write!(f, " ({reason}); check the vhost and the user's permissions on it")
            }
            Self::ExchangeMissing { exchange, reason } => {
                write!(f, ": '{exchange}' ({reason}); create it or set declare_exchange = yes")
            }
            Self::ExchangeRefused { exchange, reason } => write!(
                f,
                ": '{exchange}' ({reason}); match exchange_type to what there is, or permit the \
                 user to use it"
            ),
            Self::Lost { reason } => write!(f, " ({reason}); events wait in the queue"),
            Self::Stopping => write!(f, ": what is in the queue is being delivered"),
            Self::Stopped => write!(f, ": nothing is published"),
        }
    }
}

/// All that is known of a connection at one moment.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionReport {
    /// Where it stands.
    pub state: ConnectionState,
    /// Since when: a failure that only changes its reason keeps its time.
    pub since: SystemTime,
    /// When it will be tried again, after a failure.
    pub next_attempt: Option<Instant>,
    /// The last thing that went wrong, and when, also if all is well again.
    pub last_error: Option<(String, SystemTime)>,
    /// Product and version of the broker last reached.
    pub server: Option<String>,
    /// The broker last reached, without password.
    pub url: Option<String>,
    /// How often a connection was made again.
    pub reconnects: u64,
}

impl ConnectionReport {
    /// The state's sentence, and for a failure when it is tried again, as of `now`.
    pub(crate) fn sentence(&self, now: Instant) -> String {
        let Some(next) = self.next_attempt else {
            return self.state.to_string();
        };
        let left = next.saturating_duration_since(now).as_millis();
        match left.div_ceil(1000) {
            0 => format!("{}; next attempt now", self.state),
            seconds => format!("{}; next attempt in {seconds} s", self.state),
        }
    }
}

/// One connection's status: written by the thread that keeps the connection, read by CLI and ARI.
#[derive(Debug)]
pub(crate) struct ConnectionStatus(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    report: ConnectionReport,
    was_connected: bool,
    /// When it was last told of an event that was refused.
    refusal_told: Option<Instant>,
}

impl Default for ConnectionStatus {
    fn default() -> Self {
        Self(Mutex::new(Inner {
            was_connected: false,
            refusal_told: None,
            report: ConnectionReport {
                state: ConnectionState::Idle,
                since: SystemTime::now(),
                next_attempt: None,
                last_error: None,
                server: None,
                url: None,
                reconnects: 0,
            },
        }))
    }
}

impl ConnectionStatus {
    /// Puts it in `state`; true if that is another than before. A failure's reason is the last error
    /// from here on.
    pub(crate) fn enter(&self, state: ConnectionState) -> bool {
        let now = SystemTime::now();
        let mut inner = self.inner();
        let report = &mut inner.report;
        report.next_attempt = None;
        if let Some(reason) = state.failure() {
            report.last_error = Some((format!("{}: {reason}", state.word()), now));
        }
        if let ConnectionState::Connected { url } = &state {
            report.url = Some(url.clone());
        }
        if report.state.word() != state.word() {
            report.since = now;
        }
        let is_new = report.state != state;
        report.state = state;
        is_new
    }

    /// When the failure that was entered will be tried again. Entering any state forgets it.
    pub(crate) fn retry_at(&self, next_attempt: Instant) {
        self.inner().report.next_attempt = Some(next_attempt);
    }

    /// A broker has accepted us; `server` is its product and version. True if it is not the first
    /// time. The state is entered apart: the exchange may yet be refused.
    pub(crate) fn logged_in(&self, server: &str) -> bool {
        let mut inner = self.inner();
        let again = std::mem::replace(&mut inner.was_connected, true);
        inner.report.server = (!server.is_empty()).then(|| server.to_owned());
        inner.report.reconnects += u64::from(again);
        again
    }

    /// Notes something that went wrong without a change of state.
    pub(crate) fn note_error(&self, text: &str) {
        self.inner().report.last_error = Some((text.to_owned(), SystemTime::now()));
    }

    /// Notes that the broker refused an event. True if that is to be told of: there may be many, and
    /// a line a minute is enough.
    pub(crate) fn refused(&self, routing_key: &str, reason: &str, now: Instant) -> bool {
        self.note_error(&format!("event '{routing_key}' refused: {reason}"));
        let told = &mut self.inner().refusal_told;
        let is_due = told.is_none_or(|told| now - told >= REFUSAL_LINES);
        if is_due {
            *told = Some(now);
        }
        is_due
    }

    /// All that is known.
    pub(crate) fn report(&self) -> ConnectionReport {
        self.inner().report.clone()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn text(text: &str) -> String {
        text.to_owned()
    }

    fn lost(reason: &str) -> ConnectionState {
        ConnectionState::Lost { reason: text(reason) }
    }

    fn connected() -> ConnectionState {
        ConnectionState::Connected { url: text("amqp://bob@h:5672/") }
    }

    fn failures() -> Vec<ConnectionState> {
        let reason = text("the reason");
        let exchange = text("wazo");
        vec![
            ConnectionState::Unreachable { reason: reason.clone() },
            ConnectionState::TlsFailed { reason: reason.clone() },
            ConnectionState::LoginRefused { reason: reason.clone() },
            ConnectionState::VhostRefused { reason: reason.clone() },
            ConnectionState::ExchangeMissing { exchange: exchange.clone(), reason: reason.clone() },
            ConnectionState::ExchangeRefused { exchange, reason: reason.clone() },
            ConnectionState::Lost { reason },
        ]
    }

    #[test]
    fn every_state_has_its_own_word_and_begins_its_sentence_with_it() {
        let mut states = failures();
        states.extend([
            ConnectionState::Idle,
            ConnectionState::Connecting { url: text("u") },
            connected(),
            ConnectionState::Blocked { reason: text("low on memory") },
            ConnectionState::Stopping,
            ConnectionState::Stopped,
        ]);
        let words: HashSet<_> = states.iter().map(ConnectionState::word).collect();
        assert_eq!(words.len(), 13);
        for state in &states {
            assert!(state.to_string().starts_with(state.word()), "{state}");
        }
    }

    #[test]
    fn a_failure_says_why_and_when_it_is_tried_again() {
        let now = Instant::now();
        let status = ConnectionStatus::default();
        for failure in failures() {
            assert!(status.enter(failure.clone()));
            status.retry_at(now + Duration::from_millis(3400));
            let report = status.report();
            let sentence = report.sentence(now);
            assert!(sentence.contains("the reason"), "{sentence}");
            assert!(sentence.ends_with("; next attempt in 4 s"), "{sentence}");
            let late = report.sentence(now + Duration::from_secs(9));
            assert!(late.ends_with("; next attempt now"), "{late}");
            let (error, _) = report.last_error.unwrap();
            assert_eq!(error, format!("{}: the reason", failure.word()));
        }
        status.enter(connected());
        assert!(!status.report().sentence(now).contains("next attempt"));
        assert_eq!(
            failures()[4].to_string(),
            "exchange missing: 'wazo' (the reason); create it or set declare_exchange = yes"
        );
    }

    #[test]
    fn a_failure_that_repeats_is_one_change() {
        let status = ConnectionStatus::default();
        assert!(status.enter(lost("reset")));
        let since = status.report().since;
        assert!(!status.enter(lost("reset")));
        assert!(status.enter(lost("timed out")));
        assert_eq!(status.report().since, since);
        assert_eq!(status.report().state, lost("timed out"));
    }

    #[test]
    fn the_last_error_and_server_outlive_what_comes_after() {
        let status = ConnectionStatus::default();
        status.enter(lost("reset"));
        assert!(!status.logged_in("RabbitMQ 4.3.6"));
        status.enter(connected());
        status.enter(ConnectionState::Stopped);
        let report = status.report();
        assert_eq!(report.last_error.unwrap().0, "connection lost: reset");
        assert_eq!(report.server.as_deref(), Some("RabbitMQ 4.3.6"));
        assert_eq!(report.url.as_deref(), Some("amqp://bob@h:5672/"));
        status.note_error("a publish was refused");
        let report = status.report();
        assert_eq!(report.state, ConnectionState::Stopped);
        assert_eq!(report.last_error.unwrap().0, "a publish was refused");
    }

    #[test]
    fn events_that_are_refused_are_told_of_once_a_minute_and_are_the_last_error() {
        let status = ConnectionStatus::default();
        let now = Instant::now();
        let after = |seconds| now + Duration::from_secs(seconds);
        assert!(status.refused("ami.dial", "size 1", now));
        assert!(!status.refused("ami.dial", "size 2", after(59)));
        assert_eq!(status.report().last_error.unwrap().0, "event 'ami.dial' refused: size 2");
        assert!(status.refused("ami.hangup", "size 3", after(60)));
        assert!(!status.refused("ami.hangup", "size 4", after(119)));
        assert_eq!(status.report().state, ConnectionState::Idle);
    }

    #[test]
    fn only_the_second_login_is_a_reconnect() {
        let status = ConnectionStatus::default();
        assert!(!status.logged_in(""));
        assert_eq!(status.report().reconnects, 0);
        assert!(status.logged_in("RabbitMQ 4.3.7"));
        assert_eq!(status.report().reconnects, 1);
    }
}
