// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Which nodes are dead: those that Consul calls critical or gone, and that do not answer us either.
//! A node whose check fails and that answers is alive; one that is another process is found out by
//! its read (`proxy/refresh.rs`).

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::sleep;

use crate::fleet::State;
use crate::node::{Member, NodeError, Outgoing};
use crate::proxy::Gateway;

/// Between two looks at a node that may be dead.
const LOOK: Duration = Duration::from_secs(1);

/// Watches for as long as the process lives.
pub(crate) async fn watch(gateway: Arc<Gateway>) {
    let mut fleets = gateway.watch.fleet.clone();
    loop {
        fleets.mark_unchanged();
        let roster = gateway.roster.load_full();
        let fleet = Arc::clone(&fleets.borrow());
        // The roster follows the fleet a moment later.
        let is_behind = !Arc::ptr_eq(&roster.fleet, &fleet);
        let doubtful: Vec<&Member> = roster
            .members()
            .filter(|member| matches!(member.node.state, State::Critical | State::Gone))
            .filter(|member| gateway.holdings.is_alive(&member.node.eid))
            .collect();
        let verdicts = join_all(doubtful.iter().map(|member| is_dead(&gateway, member))).await;
        for (member, is_dead) in doubtful.iter().zip(&verdicts) {
            let eid = &member.node.eid;
            if *is_dead && let Some(count) = gateway.holdings.die(eid) {
                tracing::warn!(node = eid, "node {eid} is dead: {count} events tell of its end");
                gateway.ended.notify_one();
            }
        }
        let has_doubts = verdicts.contains(&false);
        tokio::select! {
            changed = fleets.changed() => if changed.is_err() { return },
            () = sleep(if is_behind { LOOK / 20 } else { LOOK }), if has_doubts || is_behind => {}
        }
    }
}

async fn is_dead(gateway: &Gateway, member: &Member) -> bool {
    let target = "/ari/asterisk/info?only=status".to_owned();
    let question = Outgoing::get(target, gateway.config.nodes.question_timeout);
    match member.client.fetch(&question).await {
        Ok(_) | Err(NodeError::Busy | NodeError::Unaskable(_)) => false,
        Err(
            NodeError::Unreachable(_) | NodeError::Refused | NodeError::Silent | NodeError::Broken,
        ) => true,
    }
}
