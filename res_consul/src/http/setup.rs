// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The settings that requests are made with, and what is made of them.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use asterisk::secret::Secret;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use crate::config::{Scheme, Settings, TokenSource, valid_token};

/// Between two readings of `token_file`.
const TOKEN_REST: Duration = Duration::from_secs(3);

type Tls = (Arc<ClientConfig>, ServerName<'static>);

/// The settings of one load or reload, with what is made of them when it is first needed: on a
/// thread of ours, for making a TLS client is not for Asterisk's.
pub(crate) struct Setup {
    settings: Settings,
    tls: OnceLock<Result<Option<Tls>, String>>,
    token: Mutex<Token>,
}

struct Token {
    value: Option<Secret>,
    read: Option<Instant>,
}

impl Setup {
    pub(crate) fn new(settings: Settings) -> Self {
        let token = Token { value: settings.consul.token.clone(), read: None };
        Self { settings, tls: OnceLock::new(), token: Mutex::new(token) }
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What TLS needs; none without TLS.
    pub(super) fn tls(&self) -> Result<Option<Tls>, String> {
        let consul = &self.settings.consul;
        let make = || match consul.scheme {
            Scheme::Http => Ok(None),
            Scheme::Https => {
                let name = asterisk::tls::server_name(&consul.host)?;
                Ok(Some((Arc::new(asterisk::tls::client_config(&consul.tls)?), name)))
            }
        };
        self.tls.get_or_init(make).clone()
    }

    fn held(&self) -> MutexGuard<'_, Token> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn token(&self) -> Option<Secret> {
        self.held().value.clone()
    }

    /// Reads `token_file` again, if there is one and it was not read a moment ago. Whether there is
    /// another token now than `refused`.
    pub(crate) fn renew_token(&self, refused: Option<&Secret>) -> bool {
        let TokenSource::File(path) = &self.settings.consul.token_source else {
            return false;
        };
        let mut held = self.held();
        if held.read.is_none_or(|read| read.elapsed() >= TOKEN_REST) {
            held.read = Some(Instant::now());
            // A file that cannot be read, or not yet, leaves the token as it is: the refusal is
            // what the operator is told of.
            let text = std::fs::read_to_string(path).unwrap_or_default();
            if let Ok(token) = valid_token(text.lines().next().unwrap_or_default()) {
                held.value = Some(token);
            }
        }
        held.value.as_ref() != refused
    }
}
