// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Where a publisher publishes to, and as whom.

use rig::Tenant;

/// A broker on this machine, or what looks like one.
#[derive(Clone)]
pub(crate) struct Address {
    pub(crate) port: u16,
    pub(crate) vhost: String,
    pub(crate) user: String,
    pub(crate) password: String,
}

impl Address {
    pub(crate) fn of(tenant: &Tenant<'_>) -> Self {
        Self {
            port: tenant.broker().port(),
            vhost: tenant.vhost().to_owned(),
            user: tenant.user().to_owned(),
            password: tenant.password().to_owned(),
        }
    }

    /// As `amqp.conf` takes it.
    pub(crate) fn url(&self) -> String {
        let Self { port, vhost, user, password } = self;
        format!("amqp://{user}:{password}@127.0.0.1:{port}/{vhost}")
    }

    /// As the C module takes it.
    pub(crate) fn words(&self) -> String {
        let Self { port, vhost, user, password } = self;
        format!("{port} {vhost} {user} {password}")
    }
}
