// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! One node.

use crate::config::Origin;

/// A node's number in this process: given at its first sight, kept while it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Slot(pub u32);

/// What Consul says of a node's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    /// All checks pass.
    Passing,
    /// It works, and something is wrong with it: new calls go to it by its lower weight.
    Warning,
    /// An operator or a drain holds it out of service: its calls go on, no new ones come.
    Maintenance,
    /// A check fails: it may be dead. No new calls; requests to its own still try.
    Critical,
    /// Consul does not know it any more.
    Gone,
}

impl State {
    pub(crate) const ALL: [Self; 5] =
        [Self::Passing, Self::Warning, Self::Maintenance, Self::Critical, Self::Gone];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Passing => "passing",
            Self::Warning => "warning",
            Self::Maintenance => "maintenance",
            Self::Critical => "critical",
            Self::Gone => "gone",
        }
    }

    /// Whether new calls may go there.
    pub(crate) fn takes_new(self) -> bool {
        matches!(self, Self::Passing | Self::Warning)
    }

    /// Whether an answer of it can be counted on.
    pub(crate) fn is_up(self) -> bool {
        matches!(self, Self::Passing | Self::Warning | Self::Maintenance)
    }
}

/// A node as it was last seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub slot: Slot,
    /// Asterisk's entity id: `asterisk_id` in ARI.
    pub eid: String,
    /// Where its ARI is.
    pub origin: Origin,
    /// What it is registered with: where calls go to, on the same host.
    pub service_port: u16,
    /// Where the gateway has other nodes call it, on the same host.
    pub trunk_port: u16,
    /// Asterisk's version as its module told, may be empty.
    pub version: String,
    /// Its weight in the state it is in.
    pub weight: u32,
    pub state: State,
}
