// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! HTTP to the nodes: pooled connections, limits of time and number, and no request sent twice that
//! could have changed something.

mod body;
mod client;
mod error;
mod outgoing;
mod pool;
mod roster;
#[cfg(test)]
mod tests;

pub(crate) use body::NodeBody;
pub(crate) use client::Client;
pub(crate) use error::NodeError;
pub(crate) use outgoing::Outgoing;
pub(crate) use roster::{Member, Roster};
