// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What went wrong with a connection or a channel, told apart by what an operator can do about it.

use std::time::Duration;

use lapin::protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError};
use lapin::{Error, ErrorKind};

use crate::status::ConnectionState;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Unreachable,
    TlsFailed,
    LoginRefused,
    VhostRefused,
    ExchangeMissing,
    ExchangeRefused,
    Lost,
}

/// A failure and the words of whoever it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) kind: Kind,
    pub(super) reason: String,
}

impl Trouble {
    pub(super) fn unreachable(reason: impl Into<String>) -> Self {
        Self::new(Kind::Unreachable, reason)
    }

    pub(super) fn tls(reason: impl Into<String>) -> Self {
        Self::new(Kind::TlsFailed, reason)
    }

    pub(super) fn lost(reason: impl Into<String>) -> Self {
        Self::new(Kind::Lost, reason)
    }

    pub(super) fn new(kind: Kind, reason: impl Into<String>) -> Self {
        Self { kind, reason: reason.into() }
    }

    pub(super) fn handshake_timeout(limit: Duration) -> Self {
        Self::unreachable(format!("no AMQP handshake within {limit:?}"))
    }

    /// Of an attempt that got as far as the AMQP handshake.
    pub(super) fn of_handshake(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::ProtocolError(amqp) => {
                let kind = match amqp.kind() {
                    AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) => Kind::LoginRefused,
                    // No such vhost, no permission for it, or its limit of connections reached.
                    AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED) => Kind::VhostRefused,
                    _ => Kind::Unreachable,
                };
                Self::new(kind, amqp.get_message().to_string())
            }
            // In TLS 1.3 our side is done before the server has looked for our certificate.
            ErrorKind::IOError(error) if is_of_tls(error) => {
                Self::tls(format!("TLS handshake failed: {error}"))
            }
            // Also how a server that knows no `authentication_failure_close` refuses a login.
            ErrorKind::IOError(error) => {
                Self::unreachable(format!("the connection ended during the handshake: {error}"))
            }
            ErrorKind::ParsingError(_) => Self::unreachable("what answers there is no AMQP server"),
            _ => Self::unreachable(format!("the handshake failed: {error}")),
        }
    }

    /// Of a connection that was up.
    pub(super) fn of_connection(error: &Error) -> Self {
        Self::lost(match error.kind() {
            ErrorKind::ProtocolError(amqp) => amqp.get_message().to_string(),
            ErrorKind::IOError(error) => error.to_string(),
            _ => error.to_string(),
        })
    }

    /// Of a channel that the server closed, on a connection that stays up.
    pub(super) fn of_channel(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::ProtocolError(amqp) => {
                let kind = match amqp.kind() {
                    AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND) => Kind::ExchangeMissing,
                    _ => Kind::ExchangeRefused,
                };
                Self::new(kind, amqp.get_message().to_string())
            }
            _ => Self::new(Kind::ExchangeRefused, error.to_string()),
        }
    }

    /// One trouble of those that several endpoints made: the kind of the endpoint that got
    /// furthest, for that is the one to do something about, and the reasons of all.
    pub(super) fn together(troubles: Vec<(String, Self)>) -> Self {
        let reason = match troubles.as_slice() {
            [(_, one)] => one.reason.clone(),
            several => {
                let reasons = several.iter().map(|(at, one)| format!("{at}: {}", one.reason));
                reasons.collect::<Vec<_>>().join("; ")
            }
        };
        let furthest =
            troubles.into_iter().map(|(_, one)| one.kind).max_by_key(|kind| match kind {
                Kind::TlsFailed => 2,
                Kind::LoginRefused => 3,
                Kind::VhostRefused => 4,
                _ => 1,
            });
        Self { kind: furthest.unwrap_or(Kind::Unreachable), reason }
    }

    /// As operators read it; `exchange` is the one that was wanted.
    pub(super) fn state(self, exchange: &str) -> ConnectionState {
        let (reason, exchange) = (self.reason, exchange.to_owned());
        match self.kind {
            Kind::Unreachable => ConnectionState::Unreachable { reason },
            Kind::TlsFailed => ConnectionState::TlsFailed { reason },
            Kind::LoginRefused => ConnectionState::LoginRefused { reason },
            Kind::VhostRefused => ConnectionState::VhostRefused { reason },
            Kind::ExchangeMissing => ConnectionState::ExchangeMissing { exchange, reason },
            Kind::ExchangeRefused => ConnectionState::ExchangeRefused { exchange, reason },
            Kind::Lost => ConnectionState::Lost { reason },
        }
    }
}

fn is_of_tls(error: &std::io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>())
}

/// Whether the server closed a channel for one message on it, and not for the exchange that all go
/// to. `keys` are the routing keys of those it may be.
pub(super) fn is_of_message<'k>(error: &Error, mut keys: impl Iterator<Item = &'k str>) -> bool {
    let ErrorKind::ProtocolError(amqp) = error.kind() else { return false };
    match amqp.kind() {
        // Above all, too large. Of an exchange there is nothing to say so of when it is published to.
        AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED | AMQPSoftError::CONTENTTOOLARGE) => {
            true
        }
        // RabbitMQ names the key where it is that which the user may not use (topic permissions).
        AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) => {
            let text = amqp.get_message().as_str();
            keys.any(|key| text.contains(&format!("topic '{key}'")))
        }
        _ => false,
    }
}

/// Whether an error only says that something else went wrong before.
pub(super) fn is_echo(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::InvalidChannel(_)
            | ErrorKind::InvalidChannelState(..)
            | ErrorKind::InvalidConnectionState(_)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapin::protocol::AMQPError;

    fn amqp(code: u16) -> Error {
        saying(code, "TEXT")
    }

    fn saying(code: u16, text: &str) -> Error {
        ErrorKind::ProtocolError(AMQPError::from_id(code, text.into()).unwrap()).into()
    }

    #[test]
    fn what_a_server_says_in_the_handshake_tells_login_from_vhost() {
        let of = |code| Trouble::of_handshake(&amqp(code));
        assert_eq!(of(403), Trouble::new(Kind::LoginRefused, "TEXT"));
        assert_eq!(of(530), Trouble::new(Kind::VhostRefused, "TEXT"));
        assert_eq!(of(541), Trouble::unreachable("TEXT"));
        let reset = Error::from(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
        assert_eq!(Trouble::of_handshake(&reset).kind, Kind::Unreachable);
        let alert = rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired);
        let alert = std::io::Error::new(std::io::ErrorKind::InvalidData, alert);
        assert_eq!(Trouble::of_handshake(&alert.into()).kind, Kind::TlsFailed);
    }

    #[test]
    fn a_channel_closed_by_the_server_tells_missing_from_refused() {
        let of = |code| Trouble::of_channel(&amqp(code)).kind;
        assert_eq!(of(404), Kind::ExchangeMissing);
        assert_eq!(of(403), Kind::ExchangeRefused);
        assert_eq!(of(406), Kind::ExchangeRefused);
    }

    #[test]
    fn what_is_said_of_a_message_is_told_from_what_is_said_of_its_exchange() {
        let of = |code, text: &str| {
            is_of_message(&saying(code, text), ["ami.varset", "a.b"].into_iter())
        };
        assert!(of(
            406,
            "PRECONDITION_FAILED - message size 70 is larger than configured max size 9"
        ));
        assert!(of(311, "CONTENT_TOO_LARGE"));
        let refused =
            |what| format!("ACCESS_REFUSED - write access to {what} in vhost 'v' refused");
        assert!(of(403, &refused("topic 'a.b' in exchange 'asterisk'")));
        assert!(!of(403, &refused("topic 'a' in exchange 'asterisk'")));
        assert!(!of(403, &refused("exchange 'ami.varset'")));
        assert!(!of(404, "NOT_FOUND - no exchange 'asterisk' in vhost 'v'"));
        let io = Error::from(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
        assert!(!is_of_message(&io, std::iter::empty()));
    }

    #[test]
    fn of_several_endpoints_the_one_that_got_furthest_gives_the_kind() {
        let trouble = Trouble::together(vec![
            ("a:1".into(), Trouble::new(Kind::LoginRefused, "no")),
            ("b:2".into(), Trouble::unreachable("refused")),
        ]);
        assert_eq!(trouble, Trouble::new(Kind::LoginRefused, "a:1: no; b:2: refused"));
        let one = Trouble::together(vec![("a:1".into(), Trouble::unreachable("refused"))]);
        assert_eq!(one, Trouble::unreachable("refused"));
    }

    #[test]
    fn an_error_of_a_closed_channel_is_an_echo_and_the_reason_of_it_is_not() {
        let echo: Error = ErrorKind::InvalidChannel(1).into();
        assert!(is_echo(&echo));
        assert!(!is_echo(&amqp(320)));
    }
}
