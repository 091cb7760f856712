// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Work on a bridge that spans, by one at a time of all gateways.

use std::time::Duration;

use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout;

use super::FOLDER;
use super::span::Span;
use super::trouble::Trouble;
use crate::peers::{Lock, Locking};
use crate::proxy::Gateway;

/// The longest wait for others at the same bridge, beside what their trunk takes.
const WAIT: Duration = Duration::from_secs(5);
/// The longest wait for our own change to come back from Consul.
const ECHO: Duration = Duration::from_secs(1);

/// The work. What is written is refused when somebody else has written since.
pub(super) struct Working<'a> {
    gateway: &'a Gateway,
    id: &'a str,
    lock: Lock,
    /// After the lock: who waits here finds it free.
    _turn: OwnedMutexGuard<()>,
    index: u64,
}

fn lock_of(id: &str) -> String {
    format!("gateway/lock/{FOLDER}{id}")
}

impl Gateway {
    /// Begins it, after others.
    pub(super) async fn work_on<'a>(&'a self, id: &'a str) -> Result<Working<'a>, Trouble> {
        let turn = self.bridges.turns.wait(id).await;
        let within = WAIT + self.config.bridges.trunk_timeout;
        let lock = self.peers.lock(&lock_of(id), within).await?;
        Ok(Working { gateway: self, id, lock, _turn: turn, index: 0 })
    }

    /// Begins it, unless somebody is at it.
    pub(super) async fn work_now_on<'a>(
        &'a self,
        id: &'a str,
    ) -> Result<Option<Working<'a>>, Trouble> {
        let Some(turn) = self.bridges.turns.now(id) else { return Ok(None) };
        match self.peers.lock(&lock_of(id), Duration::ZERO).await {
            Ok(lock) => Ok(Some(Working { gateway: self, id, lock, _turn: turn, index: 0 })),
            Err(Locking::Taken) => Ok(None),
            Err(fault) => Err(fault.into()),
        }
    }
}

impl Working<'_> {
    /// What is written of the bridge.
    pub(super) async fn read(&mut self) -> Result<Option<Span>, Trouble> {
        let entry = self.gateway.peers.get(&self.key()).await?;
        self.index = entry.as_ref().map_or(0, |entry| entry.index);
        Ok(entry.and_then(|entry| serde_json::from_slice(&entry.value).ok()))
    }

    pub(super) async fn write(&mut self, span: &Span) -> Result<(), Trouble> {
        let value = serde_json::to_vec(span).unwrap_or_default();
        let written = self.gateway.peers.put_if(&self.key(), &value, self.index).await?;
        self.index = written.ok_or(Trouble::Overtaken)?;
        Ok(())
    }

    /// It is on one node from now on.
    pub(super) async fn erase(&mut self) -> Result<(), Trouble> {
        if self.index > 0 && !self.gateway.peers.delete_if(&self.key(), self.index).await? {
            return Err(Trouble::Overtaken);
        }
        self.index = 0;
        Ok(())
    }

    /// Lets others at it, once this gateway shows what came of it.
    pub(super) async fn finish(self) {
        let mut spans = self.gateway.bridges.spans.clone();
        let is_seen = |index: u64| match self.index {
            0 => index == 0,
            written => index >= written,
        };
        // When Consul is slow, it is seen later.
        let _ = timeout(ECHO, spans.wait_for(|spans| is_seen(spans.index(self.id)))).await;
        self.lock.release().await;
    }

    fn key(&self) -> String {
        format!("{FOLDER}{}", self.id)
    }
}
