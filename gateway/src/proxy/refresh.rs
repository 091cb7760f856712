// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Reads each node's channels and bridges in full: when it comes, when it has come back, and every
//! now and then, since not all that happens is told to us.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::join_all;
use hyper::StatusCode;
use serde::Deserialize;
use tokio::time::{Instant, timeout};

use super::Gateway;
use crate::fleet::{ConsulState, Fleet, Slot, State};
use crate::holdings::Listing;
use crate::index::Kind;
use crate::net::Dialer;
use crate::node::{Member, Outgoing};

/// What was found at the last read of a node.
#[derive(Debug, Clone, Default)]
struct Seen {
    /// Asterisk's start, which is another one for another process.
    boot: Option<String>,
    /// What Consul said of it then.
    state: Option<State>,
    has_been_read: bool,
}

/// Keeps roster and index by the fleet for as long as the process lives. `read_once` is told when
/// all nodes that are up have been read, or could not be.
pub(crate) async fn refresh(
    gateway: Arc<Gateway>,
    dialer: Dialer,
    ready: tokio::sync::watch::Sender<bool>,
) {
    let mut fleets = gateway.watch.fleet.clone();
    let mut consul = gateway.watch.consul.clone();
    let mut seen: HashMap<Slot, Seen> = HashMap::new();
    let mut due = Instant::now();
    loop {
        // Looked at before the fleet: one that is empty since nobody has told of it is not read.
        let answers = *consul.borrow_and_update() == ConsulState::Answers;
        let fleet = Arc::clone(&fleets.borrow_and_update());
        adopt(&gateway, &dialer, &fleet, &mut seen);
        let is_due = Instant::now() >= due;
        let members: Vec<Member> = gateway
            .roster()
            .members()
            .filter(|member| is_read_now(member, &seen, is_due))
            .cloned()
            .collect();
        if is_due {
            due = Instant::now() + gateway.config.index.refresh;
            gateway.index.forget_unasked(gateway.config.index.forget_after);
        }
        let reads = members.iter().map(|member| {
            let before = seen.get(&member.node.slot).cloned().unwrap_or_default();
            read(&gateway, member, before)
        });
        let reads = join_all(reads).await;
        for (member, read) in members.iter().zip(reads) {
            seen.insert(member.node.slot, read);
        }
        for node in &fleet.nodes {
            seen.entry(node.slot).or_default().state = Some(node.state);
        }
        if answers {
            if !*ready.borrow() {
                gateway.bridges.wait_read().await;
            }
            // Told once; nobody listens any more when the process ends.
            let _ = ready.send(true);
        }
        tokio::select! {
            changed = fleets.changed() => if changed.is_err() { return },
            _ = consul.changed(), if !*ready.borrow() => {}
            () = tokio::time::sleep_until(due) => {}
            // What a message has told; several at once are one.
            () = gateway.read_anew.notified() => due = Instant::now(),
        }
    }
}

/// A node that came, whose state has turned (it may have been started again), or whose turn it is.
fn is_read_now(member: &Member, seen: &HashMap<Slot, Seen>, is_due: bool) -> bool {
    let seen = seen.get(&member.node.slot);
    let state = Some(member.node.state);
    let came = !seen.is_some_and(|seen| seen.state == state && seen.has_been_read);
    member.node.state.is_up() && (is_due || came)
        || is_due && member.node.state != State::Gone && !member.client.is_suspect()
}

fn adopt(gateway: &Gateway, dialer: &Dialer, fleet: &Arc<Fleet>, seen: &mut HashMap<Slot, Seen>) {
    let next = gateway.roster().next(Arc::clone(fleet), &gateway.config.nodes, dialer);
    match next {
        Ok(roster) => gateway.roster.store(Arc::new(roster)),
        Err(error) => tracing::error!("a node {error}"),
    }
    let left: Vec<Slot> =
        seen.keys().copied().filter(|slot| fleet.by_slot(*slot).is_none()).collect();
    for slot in left {
        gateway.index.forget_node(slot);
        seen.remove(&slot);
    }
    gateway.holdings.retain(|eid| fleet.by_eid(eid).is_some());
}

/// Reads a node, and ends what is not there any more.
async fn read(gateway: &Gateway, member: &Member, mut seen: Seen) -> Seen {
    let (slot, eid) = (member.node.slot, &member.node.eid);
    let read = gateway.index.begin_read();
    let begun = gateway.holdings.begin_read();
    let Some(boot) = boot(gateway, member).await else {
        if seen.has_been_read {
            tracing::warn!(node = eid, "node {eid} cannot be read");
        }
        seen.has_been_read = false;
        return seen;
    };
    if seen.boot.as_ref().is_some_and(|before| *before != boot) {
        tracing::info!(node = eid, "node {eid} is another process now");
        gateway.index.end_read(&read, slot, &Kind::ALL);
    }
    seen.has_been_read = false;
    seen.boot = Some(boot.clone());
    let mut bodies = Vec::new();
    for kind in [Kind::Channel, Kind::Bridge] {
        let body = fetch(gateway, member, format!("/ari/{}", kind.folder())).await;
        let Some((body, ids)) = body.and_then(|body| ids(&body).map(|ids| (body, ids))) else {
            return seen;
        };
        let spans = gateway.bridges.spans();
        for id in &ids {
            if kind == Kind::Bridge && spans.is_part(id, eid) {
                continue;
            }
            gateway.index.learn(kind, id, slot, None);
        }
        gateway.index.end_read(&read, slot, &[kind]);
        bodies.push(body);
    }
    if let (Some(_), [channels, bridges]) = (&gateway.exchange, bodies.as_slice()) {
        let target = "/ari/applications".to_owned();
        let Some(applications) = fetch(gateway, member, target).await else { return seen };
        let listing = Listing { channels, bridges, applications: &applications };
        if gateway.holdings.end_read(eid, &boot, begun, &listing) {
            gateway.ended.notify_one();
        }
    }
    seen.has_been_read = true;
    seen
}

async fn boot(gateway: &Gateway, member: &Member) -> Option<String> {
    #[derive(Deserialize)]
    struct Info {
        status: Status,
    }
    #[derive(Deserialize)]
    struct Status {
        startup_time: String,
    }
    let target = "/ari/asterisk/info?only=status".to_owned();
    let body = fetch(gateway, member, target).await?;
    Some(serde_json::from_slice::<Info>(&body).ok()?.status.startup_time)
}

fn ids(body: &[u8]) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    struct Named {
        id: String,
    }
    let named: Vec<Named> = serde_json::from_slice(body).ok()?;
    Some(named.into_iter().map(|named| named.id).collect())
}

async fn fetch(gateway: &Gateway, member: &Member, target: String) -> Option<bytes::Bytes> {
    let limit = gateway.config.nodes.request_timeout;
    let outgoing = Outgoing::get(target, limit);
    match timeout(limit, member.client.fetch(&outgoing)).await {
        Ok(Ok((StatusCode::OK, body))) => Some(body),
        Ok(Ok((status, _))) => {
            let eid = &member.node.eid;
            tracing::warn!(
                node = eid,
                "node {eid} answers {status} to our user's {}",
                outgoing.target
            );
            None
        }
        _ => None,
    }
}
