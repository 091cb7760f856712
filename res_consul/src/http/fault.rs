// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Why there is no answer.

use std::error::Error;
use std::io;

/// Why a request has no answer that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// The configuration says not to connect.
    #[error("consul.conf says enabled = no")]
    Disabled,
    /// The module goes.
    #[error("res_consul is being unloaded")]
    Ending,
    /// Somebody wanted it to end, or the settings have changed meanwhile.
    #[error("the request was interrupted")]
    Interrupted,
    /// It is no request that could be made.
    #[error("{0}")]
    Invalid(String),
    /// Name, network, TLS, or silence.
    #[error("Consul does not answer: {0}")]
    Unreachable(String),
    /// It answers, but not with HTTP, or with too much of it.
    #[error("Consul's answer cannot be used: {0}")]
    Unusable(String),
}

impl Fault {
    /// The reason alone, for where the rest is said already.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Invalid(reason) | Self::Unreachable(reason) | Self::Unusable(reason) => {
                reason.clone()
            }
            Self::Disabled | Self::Ending | Self::Interrupted => self.to_string(),
        }
    }

    /// As ureq carries it through.
    pub(super) fn wrapped(self) -> ureq::Error {
        ureq::Error::Other(Box::new(self))
    }
}

/// What ureq says, as what it means for the connection.
impl From<ureq::Error> for Fault {
    fn from(error: ureq::Error) -> Self {
        use ureq::Timeout;
        match error {
            ureq::Error::Other(inner) => match inner.downcast::<Self>() {
                Ok(fault) => *fault,
                Err(inner) => Self::Unreachable(inner.to_string()),
            },
            ureq::Error::Io(error) => Self::Unreachable(words(&error)),
            ureq::Error::Timeout(step) => Self::Unreachable(match step {
                Timeout::SendRequest | Timeout::SendBody => {
                    "the request could not be sent in time".to_owned()
                }
                Timeout::RecvBody => "its answer was not complete in time".to_owned(),
                _ => "no answer in time".to_owned(),
            }),
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => Self::Invalid(error.to_string()),
            ureq::Error::LargeResponseHeader(_, limit) => {
                Self::Unusable(format!("its head is longer than {limit} bytes"))
            }
            error => Self::Unusable(format!("it is not HTTP: {error}")),
        }
    }
}

fn words(error: &io::Error) -> String {
    if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return format!("TLS: {error}");
    }
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            "the connection was closed before the answer was complete".into()
        }
        _ => match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
    }
}
