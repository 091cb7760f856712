// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Full reads that are over: what they did not tell of has ended.

use std::collections::HashMap;

use super::shard::Entry;
use super::{Kind, Read};
use crate::fleet::Slot;

/// Of which node which kinds have been read, and when that began.
#[derive(Debug, Default)]
pub(crate) struct Ended(HashMap<(Slot, Kind), Read>);

impl Ended {
    /// The last one counts.
    pub(crate) fn add(&mut self, slot: Slot, kind: Kind, read: Read) {
        self.0.insert((slot, kind), read);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those that have been read of any node.
    pub(super) fn kinds(&self) -> Vec<Kind> {
        let is_read = |kind: &Kind| self.0.keys().any(|(_, read)| read == kind);
        Kind::ALL.into_iter().filter(is_read).collect()
    }

    pub(super) fn has_ended(&self, kind: Kind, entry: &Entry) -> bool {
        self.0.get(&(entry.slot, kind)).is_some_and(|read| entry.read < read.0)
    }
}
