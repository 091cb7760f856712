// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! How many of each kind each node has: what every new call asks of all nodes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};

use super::Kind;
use crate::fleet::Slot;

#[derive(Debug, Default)]
pub(super) struct Counts(RwLock<HashMap<Slot, [AtomicUsize; 5]>>);

// A kind's place is within the array.
#[allow(clippy::indexing_slicing)]
impl Counts {
    pub(super) fn more(&self, kind: Kind, slot: Slot) {
        {
            let counts = self.0.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(counts) = counts.get(&slot) {
                counts[kind.place()].fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
        let mut counts = self.0.write().unwrap_or_else(PoisonError::into_inner);
        counts.entry(slot).or_default()[kind.place()].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn less(&self, kind: Kind, slot: Slot) {
        let counts = self.0.read().unwrap_or_else(PoisonError::into_inner);
        // Of a node that has been forgotten there is none.
        let Some(count) = counts.get(&slot).map(|counts| &counts[kind.place()]) else { return };
        let less = |count: usize| Some(count.saturating_sub(1));
        let _ = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    pub(super) fn of(&self, kind: Kind, slot: Slot) -> usize {
        let counts = self.0.read().unwrap_or_else(PoisonError::into_inner);
        counts.get(&slot).map_or(0, |counts| counts[kind.place()].load(Ordering::Relaxed))
    }

    /// It has nothing any more.
    pub(super) fn forget(&self, slot: Slot) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&slot);
    }
}
