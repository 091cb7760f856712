// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What is to be done with a request.

use super::Merge;
use crate::fleet::Slot;
use crate::index::Kind;

/// An answer of our own, instead of any node's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub status: u16,
    pub message: String,
    /// Whether it is worth to come again, and in how many seconds.
    pub retry_after: Option<u32>,
}

impl Refusal {
    pub(crate) fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), retry_after: None }
    }

    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self::new(400, message)
    }

    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(403, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(404, message)
    }

    /// 503: who was asked and did not answer may be the one.
    pub(crate) fn unsure(who: &str) -> Self {
        Self::unavailable(format!("the node that may have it does not answer: {who}"))
    }

    /// 503: it will be otherwise.
    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self { status: 503, message: message.into(), retry_after: Some(2) }
    }
}

/// Something that a request makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Made {
    pub kind: Kind,
    pub id: String,
    /// The parameter to be added, when the id is ours.
    pub parameter: Option<&'static str>,
}

/// The way of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Plan {
    /// All nodes are asked who has it; then it is planned again.
    Ask(Kind, String),
    /// All nodes are asked where this endpoint is; then it goes to the best.
    AskEndpoint,
    /// To this node.
    One { slot: Slot, made: Option<Made>, ends: Option<(Kind, String)> },
    /// To these nodes, and their answers merged.
    Many { slots: Vec<Slot>, merge: Merge },
    /// Channels of several nodes into a bridge, or out of it: each on its own node.
    Span { home: Slot, parts: Vec<(Slot, Vec<String>)> },
    /// To each of these nodes with its own event sources.
    Spread(Vec<(Slot, Vec<String>)>),
    /// The event websocket.
    Events,
    /// To nobody.
    Refuse(Refusal),
}
