// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A full read of one node: its channels and bridges, and what applications have of them.

use hyper::StatusCode;
use serde::Deserialize;
use tokio::time::timeout;

use super::Gateway;
use crate::fleet::Slot;
use crate::holdings::Listing;
use crate::index::{Kind, Read};
use crate::node::{Member, Outgoing};

/// What was known of a node before.
#[derive(Debug, Default)]
pub(super) struct Before {
    pub boot: Option<String>,
    pub was_whole: bool,
}

/// What came of a read.
#[derive(Debug)]
pub(super) struct Done {
    pub slot: Slot,
    /// Asterisk's start, which is another one for another process.
    pub boot: Option<String>,
    /// Whether it told all that there is to know.
    pub is_whole: bool,
    /// When it began.
    pub read: Read,
    /// Of these kinds, what it did not tell of has ended.
    pub ended: Vec<Kind>,
}

/// Reads a node, of whose process this is known from the last time.
pub(super) async fn read(gateway: &Gateway, member: Member, before: Before) -> Done {
    let Member { node, .. } = &member;
    let (slot, eid) = (node.slot, &node.eid);
    let read = gateway.index.begin_read();
    let mut done = Done { slot, boot: before.boot.clone(), is_whole: false, read, ended: vec![] };
    let begun = gateway.holdings.begin_read();
    let Some(boot) = boot(gateway, &member).await else {
        if before.was_whole {
            tracing::warn!(node = eid, "node {eid} cannot be read");
        }
        return done;
    };
    if before.boot.is_some_and(|before| before != boot) {
        tracing::info!(node = eid, "node {eid} is another process now");
        gateway.index.begin_node(slot);
        done.ended.extend(Kind::ALL);
    }
    done.boot = Some(boot.clone());
    let mut bodies = Vec::new();
    for kind in [Kind::Channel, Kind::Bridge] {
        let body = fetch(gateway, &member, format!("/ari/{}", kind.folder())).await;
        let Some((body, ids)) = body.and_then(|body| ids(&body).map(|ids| (body, ids))) else {
            return done;
        };
        let spans = gateway.bridges.spans();
        for id in &ids {
            if kind == Kind::Bridge && spans.is_part(id, eid) {
                continue;
            }
            gateway.index.learn(kind, id, slot, None);
        }
        done.ended.push(kind);
        bodies.push(body);
    }
    if let (Some(_), [channels, bridges]) = (&gateway.exchange, bodies.as_slice()) {
        let target = "/ari/applications".to_owned();
        let Some(applications) = fetch(gateway, &member, target).await else { return done };
        let listing = Listing { channels, bridges, applications: &applications };
        if gateway.holdings.end_read(eid, &boot, begun, &listing) {
            gateway.ended.notify_one();
        }
    }
    done.is_whole = true;
    done
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
