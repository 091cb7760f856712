// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! All that requests share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, Semaphore};

use super::anew::Anew;
use super::place::{Candidate, place};
use crate::access::Users;
use crate::amqp::Exchange;
use crate::bridges::Bridges;
use crate::config::Config;
use crate::fleet::{Slot, Watch};
use crate::holdings::Holdings;
use crate::http::Metrics;
use crate::index::{Index, Kind};
use crate::node::Roster;
use crate::peers::Peers;

/// The gateway itself.
pub(crate) struct Gateway {
    pub config: Config,
    pub users: Users,
    pub index: Index,
    pub roster: ArcSwap<Roster>,
    pub watch: Watch,
    pub peers: Peers,
    pub bridges: Bridges,
    pub metrics: Metrics,
    pub began: Instant,
    /// None without a broker: then nothing of what follows is used.
    pub exchange: Option<Exchange>,
    pub holdings: Holdings,
    /// Nodes that are to be read before their time.
    pub anew: Anew,
    /// Something has ended with its node.
    pub ended: Notify,
    pub(super) questions: Semaphore,
    turn: AtomicU64,
}

impl Gateway {
    pub(crate) fn new(
        config: Config,
        watch: Watch,
        peers: Peers,
        exchange: Option<Exchange>,
    ) -> Self {
        Self {
            users: Users::new(&config.users),
            index: Index::default(),
            roster: ArcSwap::default(),
            watch,
            bridges: Bridges::new(&config.bridges, &peers),
            peers,
            metrics: Metrics::default(),
            began: Instant::now(),
            exchange,
            holdings: Holdings::default(),
            anew: Anew::default(),
            ended: Notify::new(),
            questions: Semaphore::new(config.limits.questions),
            turn: AtomicU64::new(0),
            config,
        }
    }

    /// The node of something new. One that could not be reached a moment ago is left out while
    /// there are others.
    pub(super) fn choose(&self, roster: &Roster, app: Option<&str>) -> Option<Slot> {
        let takes_new = || roster.members().filter(|member| member.node.state.takes_new());
        let mut members: Vec<_> =
            takes_new().filter(|member| !member.client.is_suspect()).collect();
        if members.is_empty() {
            members = takes_new().collect();
        }
        let candidates: Vec<Candidate<'_>> = members
            .iter()
            .map(|member| Candidate {
                slot: member.node.slot,
                eid: &member.node.eid,
                weight: member.node.weight,
                channels: self.index.count_of(Kind::Channel, member.node.slot),
            })
            .collect();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        place(self.config.nodes.placement, &candidates, app, turn)
    }

    pub(crate) fn roster(&self) -> Arc<Roster> {
        self.roster.load_full()
    }
}
