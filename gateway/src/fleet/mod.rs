// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The nodes, as Consul tells of them.

mod listed;
mod node;
mod view;
mod watch;

pub(crate) use node::{Node, Slot, State};
pub(crate) use view::Fleet;
pub(crate) use watch::{ConsulState, Watch};
