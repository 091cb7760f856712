// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Why a bridge does not span.

use crate::ari::Refusal;
use crate::consul::Fault;
use crate::node::NodeError;
use crate::peers::Locking;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("node {0} {1}")]
    Node(String, NodeError),
    #[error("node {0} is not known")]
    Unknown(String),
    #[error("node {0} answers {1} to {2}")]
    Said(String, u16, &'static str),
    #[error("Consul tells no SIP port of node {0}")]
    NoAddress(String),
    #[error("node {0} has no application _gateway")]
    NoApp(String),
    #[error("the call from node {0} to node {1} does not come about: see pjsip_gateway.conf")]
    NoTrunk(String, String),
    #[error("who announces in a holding bridge must be on its home, node {0}")]
    Announces(String),
    #[error("Bridge not found")]
    NoBridge,
    #[error("another gateway was quicker")]
    Overtaken,
    #[error("Consul: {0}")]
    Consul(#[from] Fault),
    #[error("{0}")]
    Locking(#[from] Locking),
}

impl From<Trouble> for Refusal {
    fn from(trouble: Trouble) -> Self {
        let message = trouble.to_string();
        match trouble {
            Trouble::NoBridge => Self::not_found(message),
            Trouble::Announces(_) => Self::new(409, message),
            _ => Self::unavailable(message),
        }
    }
}
