// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Where a connected worker hears what the host wants, and tells what state it is in.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use super::bell::Ear;
use super::link::Link;
use super::{PublishSettings, Shared, test_send};
use crate::config::ConnectionSettings;
use crate::endpoint::Endpoint;
use crate::status::ConnectionState;

/// What the host wants that is not being done.
pub(super) enum Wish {
    Nothing,
    /// Other settings.
    Change,
    /// The end, by this time.
    Stop(Instant),
}

/// The view of one connection's life on the host.
pub(super) struct Desk<'a> {
    shared: &'a Shared,
    ear: &'a Ear,
    settings: &'a Arc<ConnectionSettings>,
    endpoint: &'a Endpoint,
}

impl<'a> Desk<'a> {
    pub(super) fn new(
        shared: &'a Shared,
        ear: &'a Ear,
        settings: &'a Arc<ConnectionSettings>,
        endpoint: &'a Endpoint,
    ) -> Self {
        Self { shared, ear, settings, endpoint }
    }

    pub(super) async fn rung(&self) {
        self.ear.rung().await;
    }

    pub(super) fn heartbeat(&self) -> u16 {
        self.settings.heartbeat
    }

    pub(super) fn worker(&self) -> u64 {
        self.shared.id
    }

    pub(super) fn high_water(&self) -> Arc<AtomicU64> {
        self.shared.high_water.clone()
    }

    /// What to publish on this connection, if anything, unless another connection is wanted.
    pub(super) fn publishes(&self) -> Option<PublishSettings> {
        self.shared.orders.wanted().and_then(|wanted| wanted.publish)
    }

    /// Takes the orders that came in. Tests are sent at once.
    pub(super) fn heed(&self, link: &mut Link, publish: Option<&PublishSettings>) -> Wish {
        while link.errands.try_join_next().is_some() {}
        while let Some(send) = self.shared.orders.next_send() {
            link.errands.spawn(test_send::run(link.connection.clone(), send));
        }
        if let Some(by) = self.shared.orders.stopping() {
            return Wish::Stop(by);
        }
        let same = match (self.publishes(), publish) {
            (Some(wanted), Some(publish)) => wanted.is(publish),
            (None, None) => true,
            _ => false,
        };
        match same && !self.is_replaced() {
            true => Wish::Nothing,
            false => Wish::Change,
        }
    }

    /// Whether this connection is not the one that is wanted.
    pub(super) fn is_replaced(&self) -> bool {
        self.shared.orders.moved_on(self.settings)
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.shared.orders.stopping().is_some()
    }

    /// Shows the connection as working, or as blocked by the server.
    pub(super) fn show_up(&self, link: &Link) {
        self.shared.enter(match &link.blocked {
            Some(reason) => ConnectionState::Blocked { reason: reason.clone() },
            None => ConnectionState::Connected { url: self.endpoint.to_string() },
        });
    }

    pub(super) fn fail(&self, state: ConnectionState, next_attempt: Instant) {
        self.shared.fail(state, next_attempt);
    }

    pub(super) fn show(&self, state: ConnectionState) {
        self.shared.enter(state);
    }
}
