// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What the worker sees of the host: its orders, and the bell that says there are new ones.

use std::pin::pin;
use std::sync::Arc;

use super::Shared;
use super::bell::Ear;
use super::orders::Orders;
use crate::config::ConnectionSettings;

pub(super) struct Host<'a> {
    pub(super) shared: &'a Shared,
    pub(super) ear: Ear,
}

impl Host<'_> {
    pub(super) fn orders(&self) -> &Orders {
        &self.shared.orders
    }

    /// Runs `work`, of a worker that is not connected, to its end; unless the host wants another
    /// connection, or none.
    pub(super) async fn unless_replaced<T>(
        &self,
        settings: &Arc<ConnectionSettings>,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let mut work = pin!(work);
        loop {
            self.refuse_tests();
            if self.orders().stopping().is_some() || self.orders().moved_on(settings) {
                return None;
            }
            tokio::select! {
                biased;
                () = self.ear.rung() => {}
                done = &mut work => return Some(done),
            }
        }
    }

    /// Answers the tests that wait with the state that keeps them from being sent.
    pub(super) fn refuse_tests(&self) {
        while let Some(send) = self.orders().next_send() {
            send.answer.give(Err(self.shared.status.report().state.to_string()));
        }
    }
}
