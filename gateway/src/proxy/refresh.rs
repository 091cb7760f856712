// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Reads each node in full: when it comes, when it has come back, and every now and then, since not
//! all that happens is told to us. Not all at one time, and while some are read, what Consul says of
//! any of them counts at once.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Duration, Instant, sleep_until};

use super::Gateway;
use super::desk::Desk;
use super::read::{Done, read};
use crate::fleet::{ConsulState, Fleet};
use crate::index::Ended;
use crate::net::Dialer;

/// Nodes that are read at one time.
const AT_ONCE: usize = 64;
/// How long what reads have found out waits for more, since each sweep looks at the whole index.
const SWEEP: Duration = Duration::from_millis(100);

/// Keeps roster and index by the fleet for as long as the process lives. `ready` is told when all
/// nodes that are up have been read, or could not be.
pub(crate) async fn refresh(
    gateway: Arc<Gateway>,
    dialer: Dialer,
    ready: tokio::sync::watch::Sender<bool>,
) {
    let gateway = &*gateway;
    let (mut fleets, mut consul) = (gateway.watch.fleet.clone(), gateway.watch.consul.clone());
    let (mut desk, mut reading) = (Desk::default(), FuturesUnordered::new());
    let (mut ended, mut sweep) = (Ended::default(), Instant::now());
    let (mut due, mut has_news) = (Instant::now(), true);
    loop {
        // In this order: what Consul has said is in the fleet before it is known to answer.
        let answers = *consul.borrow_and_update() == ConsulState::Answers;
        if has_news {
            has_news = false;
            adopt(gateway, &dialer, &Arc::clone(&fleets.borrow_and_update()), &mut desk);
            let is_due = Instant::now() >= due;
            if is_due {
                due = Instant::now() + gateway.config.index.refresh;
                let after = gateway.config.index.forget_after;
                gateway.index.forget_unasked(after);
                gateway.holdings.forget_plays(after);
            }
            desk.look(&gateway.roster(), is_due, &gateway.anew.take());
        }
        while reading.len() < AT_ONCE
            && let Some((member, before)) = desk.next(&gateway.roster())
        {
            reading.push(read(gateway, member, before));
        }
        if !ended.is_empty() && (reading.is_empty() || Instant::now() >= sweep) {
            gateway.index.sweep(&std::mem::take(&mut ended));
        }
        if answers && !*ready.borrow() && desk.has_tried_all(&gateway.roster()) {
            gateway.index.sweep(&std::mem::take(&mut ended));
            gateway.bridges.wait_read().await;
            // Told once; nobody listens any more when the process ends.
            let _ = ready.send(true);
        }
        tokio::select! {
            changed = fleets.changed() => match changed {
                Ok(()) => has_news = true,
                Err(_) => return,
            },
            _ = consul.changed(), if !*ready.borrow() => {}
            () = sleep_until(due) => has_news = true,
            () = gateway.anew.told() => has_news = true,
            () = sleep_until(sweep), if !ended.is_empty() => {}
            Some(done) = reading.next() => {
                warn_of_clashes(gateway);
                if ended.is_empty() {
                    sweep = Instant::now() + SWEEP;
                }
                settle(gateway, done, &mut desk, &mut ended);
            }
        }
    }
}

fn adopt(gateway: &Gateway, dialer: &Dialer, fleet: &Arc<Fleet>, desk: &mut Desk) {
    let next = gateway.roster().next(Arc::clone(fleet), &gateway.config.nodes, dialer);
    match next {
        Ok(roster) => gateway.roster.store(Arc::new(roster)),
        Err(error) => tracing::error!("a node {error}"),
    }
    for slot in desk.forget_all_but(fleet) {
        gateway.index.forget_node(slot);
    }
    gateway.holdings.retain(|eid| fleet.by_eid(eid).is_some());
}

/// Each node is told of once.
fn warn_of_clashes(gateway: &Gateway) {
    for clash in gateway.index.new_clashes() {
        let fleet = &gateway.roster().fleet;
        let [one, other] = clash.nodes.map(|slot| fleet.by_slot(slot).map(|node| &*node.eid));
        let (one, other) = (one.unwrap_or("?"), other.unwrap_or("?"));
        tracing::warn!(
            "nodes {one} and {other} both have a channel {}: set systemname in asterisk.conf, or \
             requests reach the wrong call",
            clash.id
        );
    }
}

fn settle(gateway: &Gateway, done: Done, desk: &mut Desk, ended: &mut Ended) {
    let (slot, read) = (done.slot, done.read);
    for kind in &done.ended {
        ended.add(slot, *kind, read);
    }
    if !desk.settle(done) {
        // It was forgotten while it was read.
        gateway.index.forget_node(slot);
    }
}
