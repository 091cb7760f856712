// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Where a connected worker hears what the host wants, and tells what state it is in.

use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use tokio::time::sleep_until;

use super::failure::Trouble;
use super::host::Host;
use super::link::Link;
use super::{PublishSettings, test_send};
use crate::config::ConnectionSettings;
use crate::endpoint::Endpoint;
use crate::status::ConnectionState;

/// What the host wants that is not being done.
pub(super) enum Wish {
    Nothing,
    /// Other settings; perhaps on another connection, this section's or another's.
    Change {
        elsewhere: bool,
    },
    /// The end, by this time.
    Stop(Instant),
}

/// The view of one connection's life on the host.
pub(super) struct Desk<'a> {
    host: &'a Host<'a>,
    settings: &'a Arc<ConnectionSettings>,
    endpoint: &'a Endpoint,
}

impl<'a> Desk<'a> {
    pub(super) fn new(
        host: &'a Host<'a>,
        settings: &'a Arc<ConnectionSettings>,
        endpoint: &'a Endpoint,
    ) -> Self {
        Self { host, settings, endpoint }
    }

    pub(super) async fn rung(&self) {
        self.host.ear.rung().await;
    }

    /// Runs `work` to its end, unless another connection is wanted, or none and the time for its
    /// end is over.
    pub(super) async fn while_wanted<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        loop {
            if self.is_replaced() {
                return None;
            }
            let by = self.host.orders().stopping();
            tokio::select! {
                biased;
                () = self.rung() => {}
                done = &mut work => return Some(done),
                () = sleep_until(by.unwrap_or_else(Instant::now).into()), if by.is_some() => {
                    return None;
                }
            }
        }
    }

    pub(super) fn heartbeat(&self) -> u16 {
        self.settings.heartbeat
    }

    pub(super) fn worker(&self) -> u64 {
        self.host.shared.id
    }

    /// What to publish on this connection, if anything, unless another connection is wanted.
    pub(super) fn publishes(&self) -> Option<PublishSettings> {
        self.host.orders().wanted().and_then(|wanted| wanted.publish)
    }

    /// Takes the orders that came in. Tests are sent at once.
    pub(super) fn heed(&self, link: &mut Link, publish: Option<&PublishSettings>) -> Wish {
        while link.errands.try_join_next().is_some() {}
        if link.blocked.is_some() {
            self.host.refuse_tests();
        }
        while let Some(send) = self.host.orders().next_send() {
            link.errands.spawn(test_send::run(link.connection.clone(), send));
        }
        if let Some(by) = self.host.orders().stopping() {
            return Wish::Stop(by);
        }
        let same = match (self.publishes(), publish) {
            (Some(wanted), Some(publish)) => wanted.is(publish),
            (None, None) => true,
            _ => false,
        };
        match (self.is_replaced(), same) {
            (false, true) => Wish::Nothing,
            (replaced, _) => Wish::Change { elsewhere: replaced || self.publishes().is_none() },
        }
    }

    /// Whether this connection is not the one that is wanted.
    pub(super) fn is_replaced(&self) -> bool {
        self.host.orders().moved_on(self.settings)
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.host.orders().stopping().is_some()
    }

    /// Shows the connection as working, or as blocked by the server.
    pub(super) fn show_up(&self, link: &Link) {
        self.host.shared.enter(match &link.blocked {
            Some(reason) => ConnectionState::Blocked { reason: reason.clone() },
            None => ConnectionState::Connected { url: self.endpoint.to_string() },
        });
    }

    pub(super) fn fail(&self, state: ConnectionState, next_attempt: Instant) {
        self.host.shared.fail(state, next_attempt);
    }

    /// Tells of an event, with this routing key, that the server refused.
    pub(super) fn refused(&self, key: &str, trouble: &Trouble) {
        self.host.shared.refused(key, &trouble.reason);
    }

    /// Keeps what went wrong as the last error, without a change of state.
    pub(super) fn note(&self, trouble: &Trouble) {
        self.host.shared.status.note_error(&trouble.reason);
    }

    pub(super) fn show(&self, state: ConnectionState) {
        self.host.shared.enter(state);
    }
}
