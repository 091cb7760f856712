// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Why there is no connection, or none any more.

use lapin::ErrorKind;

/// A failure, in the broker's words where it has some.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Trouble {
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    #[error("it does not answer in time")]
    Silent,
    /// Login, vhost, a right, an exchange of another type.
    #[error("it refuses: {0}")]
    Refused(String),
    #[error("the connection has ended: {0}")]
    Lost(String),
}

impl Trouble {
    /// Whether only somebody can help: then it is not tried so often.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused(_))
    }
}

impl From<lapin::Error> for Trouble {
    fn from(error: lapin::Error) -> Self {
        match error.kind() {
            ErrorKind::ProtocolError(amqp) => {
                let text = amqp.get_message().to_string();
                let is_end = text.starts_with("CONNECTION_FORCED");
                if is_end { Self::Lost(text) } else { Self::Refused(text) }
            }
            ErrorKind::IOError(error) => Self::Lost(error.to_string()),
            _ => Self::Lost(error.to_string()),
        }
    }
}
