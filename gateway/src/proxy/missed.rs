// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What it means for a client that a node gave no answer.

use crate::ari::Refusal;
use crate::node::{Member, NodeError};

/// No answer of a node.
pub(super) struct Missed {
    pub refusal: Refusal,
    /// Whether the node may have got it.
    pub sent: bool,
}

impl Missed {
    pub(super) fn gone() -> Self {
        Self { refusal: Refusal::unavailable("the node is gone"), sent: false }
    }

    pub(super) fn of(member: &Member, error: &NodeError, is_safe: bool) -> Self {
        let message = format!("node {} {error}", member.node.eid);
        let sent = error.may_have_happened();
        let refusal = if sent && !is_safe {
            // Not to be repeated without a look: it may have been done.
            Refusal::new(504, format!("{message}: what was asked for may have been done"))
        } else {
            Refusal::unavailable(message)
        };
        Self { refusal, sent }
    }
}

impl From<Missed> for Refusal {
    fn from(missed: Missed) -> Self {
        missed.refusal
    }
}

/// Why a node gave no answer to what may have changed something.
pub(crate) fn failed(member: &Member, error: &NodeError) -> Refusal {
    Missed::of(member, error, false).refusal
}
