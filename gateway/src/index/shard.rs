// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A part of the index, with a lock of its own.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::{App, Kind, Owner};
use crate::fleet::Slot;

const NO_APP: u32 = u32::MAX;

/// 16 bytes for each resource, beside its id.
#[derive(Debug)]
pub(super) struct Entry {
    pub slot: Slot,
    app: u32,
    /// The full read that was the last to begin when it was noted.
    pub read: u32,
    /// Seconds of this process when it was last asked for.
    touched: AtomicU32,
}

impl Entry {
    pub(super) fn new(slot: Slot, app: Option<App>, read: u32, now: u32) -> Self {
        Self { slot, app: app.map_or(NO_APP, |app| app.0), read, touched: AtomicU32::new(now) }
    }

    pub(super) fn touched(&self) -> u32 {
        self.touched.load(Ordering::Relaxed)
    }

    fn owner(&self) -> Owner {
        Owner { slot: self.slot, app: (self.app != NO_APP).then_some(App(self.app)) }
    }
}

#[derive(Debug, Default)]
struct Tables {
    kinds: [HashMap<Box<str>, Entry>; 5],
    /// How many of each kind each node has.
    counts: BTreeMap<(Slot, Kind), usize>,
}

impl Tables {
    fn count(&mut self, kind: Kind, slot: Slot, by: isize) {
        let count = self.counts.entry((slot, kind)).or_default();
        *count = count.saturating_add_signed(by);
    }
}

#[derive(Debug, Default)]
pub(super) struct Shard(RwLock<Tables>);

// A kind's place is within the array.
#[allow(clippy::indexing_slicing)]
impl Shard {
    pub(super) fn find(&self, kind: Kind, id: &str, now: u32) -> Option<Owner> {
        let tables = self.read();
        let entry = tables.kinds[kind.place()].get(id)?;
        if entry.touched() != now {
            entry.touched.store(now, Ordering::Relaxed);
        }
        Some(entry.owner())
    }

    pub(super) fn put(&self, kind: Kind, id: &str, mut entry: Entry) {
        let mut tables = self.write();
        let slot = entry.slot;
        match tables.kinds[kind.place()].get_mut(id) {
            Some(before) => {
                if entry.app == NO_APP && before.slot == slot {
                    entry.app = before.app;
                }
                let left = before.slot;
                *before = entry;
                tables.count(kind, left, -1);
            }
            None => {
                tables.kinds[kind.place()].insert(id.into(), entry);
            }
        }
        tables.count(kind, slot, 1);
    }

    /// What was there; `None` when this is now.
    pub(super) fn put_if_absent(&self, kind: Kind, id: &str, entry: Entry) -> Option<Owner> {
        let mut tables = self.write();
        if let Some(before) = tables.kinds[kind.place()].get(id) {
            return Some(before.owner());
        }
        tables.count(kind, entry.slot, 1);
        tables.kinds[kind.place()].insert(id.into(), entry);
        None
    }

    pub(super) fn remove(&self, kind: Kind, id: &str) {
        let mut tables = self.write();
        if let Some(entry) = tables.kinds[kind.place()].remove(id) {
            tables.count(kind, entry.slot, -1);
        }
    }

    pub(super) fn remove_of(&self, kind: Kind, id: &str, slot: Slot) {
        let mut tables = self.write();
        let table = &mut tables.kinds[kind.place()];
        if table.get(id).is_some_and(|entry| entry.slot == slot) {
            table.remove(id);
            tables.count(kind, slot, -1);
        }
    }

    /// Of these kinds.
    pub(super) fn retain(&self, of: &[Kind], stays: impl Fn(&Entry) -> bool) {
        let mut tables = self.write();
        let Tables { kinds, counts } = &mut *tables;
        for &kind in of {
            let table = &mut kinds[kind.place()];
            let before = table.len();
            table.retain(|_, entry| {
                let stays = stays(entry);
                if !stays && let Some(count) = counts.get_mut(&(entry.slot, kind)) {
                    *count = count.saturating_sub(1);
                }
                stays
            });
            if table.len() < before / 2 {
                table.shrink_to_fit();
            }
        }
        counts.retain(|_, count| *count > 0);
    }

    pub(super) fn count_of(&self, kind: Kind, slot: Slot) -> usize {
        self.read().counts.get(&(slot, kind)).copied().unwrap_or_default()
    }

    pub(super) fn count_apps(&self, kind: Kind, apps: &mut BTreeMap<App, usize>) {
        for entry in self.read().kinds[kind.place()].values() {
            if let Some(app) = entry.owner().app {
                *apps.entry(app).or_default() += 1;
            }
        }
    }

    pub(super) fn count(&self, kind: Kind) -> usize {
        self.read().kinds[kind.place()].len()
    }

    fn read(&self) -> RwLockReadGuard<'_, Tables> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Tables> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
