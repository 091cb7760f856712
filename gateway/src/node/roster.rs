// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The fleet with a client for each node: what a request reads.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Client, NodeError};
use crate::config::Nodes;
use crate::fleet::{Fleet, Node, Slot};
use crate::net::Dialer;

/// A node and the way to it.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub node: Arc<Node>,
    pub client: Arc<Client>,
}

/// All of them at one time.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    pub fleet: Arc<Fleet>,
    members: BTreeMap<Slot, Member>,
}

impl Roster {
    /// The roster of a fleet; a node that is where it was keeps its connections.
    pub(crate) fn next(
        &self,
        fleet: Arc<Fleet>,
        settings: &Nodes,
        dialer: &Dialer,
    ) -> Result<Self, NodeError> {
        let mut members = BTreeMap::new();
        for node in &fleet.nodes {
            let before = self.members.get(&node.slot).map(|member| &member.client);
            let client = match before.filter(|client| *client.origin() == node.origin) {
                Some(client) => Arc::clone(client),
                None => Client::new(node.origin.clone(), settings, dialer.clone())?,
            };
            members.insert(node.slot, Member { node: Arc::clone(node), client });
        }
        Ok(Self { fleet, members })
    }

    pub(crate) fn member(&self, slot: Slot) -> Option<&Member> {
        self.members.get(&slot)
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// Those that a question to all goes to: who is not up, and was not there a moment ago, is not
    /// waited for.
    pub(crate) fn askable(&self) -> Vec<Member> {
        let is_askable =
            |member: &&Member| member.node.state.is_up() || !member.client.is_suspect();
        self.members().filter(is_askable).cloned().collect()
    }
}
