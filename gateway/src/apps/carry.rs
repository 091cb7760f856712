// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Requests about applications that nodes which come later are to know of as well.

use super::{LOCK, MADE, TURN, with_filter};
use crate::peers::Locking;
use crate::proxy::{Gateway, Reply, Task};

/// Carries a request out; an event filter is also put into the application's key, when that is the
/// gateways'.
pub(crate) async fn carry(gateway: &Gateway, task: &Task) -> Reply {
    let reply = gateway.carry(task).await;
    let is_filter = task.operation.path == "applications/{applicationName}/eventFilter";
    if is_filter && reply.status().is_success() && gateway.exchange.is_some() {
        let app = task.names.first().map(|(_, name)| name.as_str()).unwrap_or_default();
        if let Err(error) = keep_filter(gateway, app, &task.body).await {
            tracing::warn!(app, "the event filter of {app} is not kept for new nodes: {error}");
        }
    }
    reply
}

async fn keep_filter(gateway: &Gateway, app: &str, body: &[u8]) -> Result<(), Locking> {
    let peers = &gateway.peers;
    if peers.get(&format!("{MADE}{app}")).await?.is_none() {
        return Ok(());
    }
    let lock = peers.lock(LOCK, TURN).await?;
    let key = format!("{}{app}", gateway.config.events.app_prefix);
    if let Some(entry) = peers.get(&key).await?
        && let Some(value) = with_filter(&entry.value, body)
    {
        peers.put(&key, value.as_bytes()).await?;
    }
    lock.release().await;
    Ok(())
}
