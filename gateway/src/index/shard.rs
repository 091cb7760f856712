// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A part of the index, with a lock of its own.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::{App, Counts, Kind, Owner};
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

/// A table for each kind.
type Tables = [HashMap<Box<str>, Entry>; 5];

#[derive(Debug, Default)]
pub(super) struct Shard(RwLock<Tables>);

// A kind's place is within the array.
#[allow(clippy::indexing_slicing)]
impl Shard {
    pub(super) fn find(&self, kind: Kind, id: &str, now: u32) -> Option<Owner> {
        let tables = self.read();
        let entry = tables[kind.place()].get(id)?;
        if entry.touched() != now {
            entry.touched.store(now, Ordering::Relaxed);
        }
        Some(entry.owner())
    }

    /// Gives back which node had it before.
    pub(super) fn put(
        &self,
        kind: Kind,
        id: &str,
        mut entry: Entry,
        counts: &Counts,
    ) -> Option<Slot> {
        let mut tables = self.write();
        let slot = entry.slot;
        let found = tables[kind.place()].get_mut(id);
        let before = found.as_ref().map(|before| before.slot);
        match found {
            Some(before) if before.slot == slot => {
                if entry.app == NO_APP {
                    entry.app = before.app;
                }
                *before = entry;
            }
            Some(before) => {
                counts.less(kind, before.slot);
                *before = entry;
                counts.more(kind, slot);
            }
            None => {
                tables[kind.place()].insert(id.into(), entry);
                counts.more(kind, slot);
            }
        }
        before
    }

    /// What was there; `None` when this is now.
    pub(super) fn put_if_absent(
        &self,
        kind: Kind,
        id: &str,
        entry: Entry,
        counts: &Counts,
    ) -> Option<Owner> {
        let mut tables = self.write();
        if let Some(before) = tables[kind.place()].get(id) {
            return Some(before.owner());
        }
        counts.more(kind, entry.slot);
        tables[kind.place()].insert(id.into(), entry);
        None
    }

    pub(super) fn remove(&self, kind: Kind, id: &str, counts: &Counts) {
        if let Some(entry) = self.write()[kind.place()].remove(id) {
            counts.less(kind, entry.slot);
        }
    }

    pub(super) fn remove_of(&self, kind: Kind, id: &str, slot: Slot, counts: &Counts) {
        let mut tables = self.write();
        let table = &mut tables[kind.place()];
        if table.get(id).is_some_and(|entry| entry.slot == slot) {
            table.remove(id);
            counts.less(kind, slot);
        }
    }

    /// Of these kinds.
    pub(super) fn retain(
        &self,
        of: &[Kind],
        stays: impl Fn(Kind, &Entry) -> bool,
        counts: &Counts,
    ) {
        let mut tables = self.write();
        for &kind in of {
            let table = &mut tables[kind.place()];
            let before = table.len();
            table.retain(|_, entry| {
                let stays = stays(kind, entry);
                if !stays {
                    counts.less(kind, entry.slot);
                }
                stays
            });
            if table.len() < before / 2 {
                table.shrink_to_fit();
            }
        }
    }

    pub(super) fn count_apps(&self, kind: Kind, apps: &mut BTreeMap<App, usize>) {
        for entry in self.read()[kind.place()].values() {
            if let Some(app) = entry.owner().app {
                *apps.entry(app).or_default() += 1;
            }
        }
    }

    pub(super) fn count(&self, kind: Kind) -> usize {
        self.read()[kind.place()].len()
    }

    fn read(&self) -> RwLockReadGuard<'_, Tables> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Tables> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
