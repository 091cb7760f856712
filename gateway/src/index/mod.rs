// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Who owns what: which node has this channel, bridge, playback or live recording.

mod clashes;
mod counts;
mod ended;
mod kind;
mod names;
mod shard;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub(crate) use clashes::Clash;
use clashes::Clashes;
use counts::Counts;
pub(crate) use ended::Ended;
pub(crate) use kind::Kind;
use names::Names;
use shard::{Entry, Shard};

use crate::fleet::Slot;

const SHARDS: usize = 64;

/// What is known of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    pub slot: Slot,
    /// The application it was made for, when that is known.
    pub app: Option<App>,
}

/// An application's name, as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct App(u32);

/// The index. Facts come from our own requests, from what nodes answer, from full reads of a node,
/// and from events.
#[derive(Debug)]
pub(crate) struct Index {
    shards: Vec<Shard>,
    hasher: RandomState,
    names: Names,
    counts: Counts,
    clashes: Clashes,
    /// Counts the full reads that have begun: what is older than a read and not in it has ended.
    read: AtomicU32,
    began: Instant,
}

impl Default for Index {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            hasher: RandomState::new(),
            names: Names::default(),
            counts: Counts::default(),
            clashes: Clashes::default(),
            read: AtomicU32::new(0),
            began: Instant::now(),
        }
    }
}

impl Index {
    /// Who has it. The second half of a Local channel is where its first half is.
    pub(crate) fn owner(&self, kind: Kind, id: &str) -> Option<Owner> {
        let found = self.shard(id).find(kind, id, self.now());
        match (found, id.strip_suffix(";2")) {
            (None, Some(first)) if kind == Kind::Channel => {
                self.shard(first).find(kind, first, self.now())
            }
            _ => found,
        }
    }

    /// Notes who has it, whatever was known before. Without an application a known one stays.
    pub(crate) fn learn(&self, kind: Kind, id: &str, slot: Slot, app: Option<App>) {
        let before = self.shard(id).put(kind, id, self.entry(slot, app), &self.counts);
        if let (Kind::Channel, Some(before)) = (kind, before.filter(|before| *before != slot)) {
            self.clashes.note(id, [before, slot]);
        }
    }

    /// Nodes that make channels of the same ids, as far as has been seen and not been told.
    pub(crate) fn new_clashes(&self) -> Vec<Clash> {
        self.clashes.take_news()
    }

    /// How many such nodes there are.
    pub(crate) fn clashing_nodes(&self) -> usize {
        self.clashes.count()
    }

    /// One of those that this node makes channels of the same ids as.
    pub(crate) fn clashes_with(&self, slot: Slot) -> Option<Slot> {
        self.clashes.with(slot)
    }

    /// Notes who is going to have it, unless somebody does already: that one is given back.
    pub(crate) fn reserve(
        &self,
        kind: Kind,
        id: &str,
        slot: Slot,
        app: Option<App>,
    ) -> Option<Owner> {
        self.shard(id).put_if_absent(kind, id, self.entry(slot, app), &self.counts)
    }

    /// It has ended.
    pub(crate) fn forget(&self, kind: Kind, id: &str) {
        self.shard(id).remove(kind, id, &self.counts);
    }

    /// This node does not have it, or no more; another may.
    pub(crate) fn forget_at(&self, kind: Kind, id: &str, slot: Slot) {
        self.shard(id).remove_of(kind, id, slot, &self.counts);
    }

    /// All of a node has ended: it is dead, or another process now.
    pub(crate) fn forget_node(&self, slot: Slot) {
        for shard in &self.shards {
            shard.retain(&Kind::ALL, |_, entry| entry.slot != slot, &self.counts);
        }
        self.counts.forget(slot);
        self.clashes.forget(slot);
    }

    /// A node is another process: what is known of the ids it makes is of the one before.
    pub(crate) fn begin_node(&self, slot: Slot) {
        self.clashes.forget(slot);
    }

    /// A full read of a node begins.
    pub(crate) fn begin_read(&self) -> Read {
        Read(self.read.fetch_add(1, Ordering::SeqCst) + 1)
    }

    /// Reads are over, and what they told has been learnt: what was there before and is not in
    /// them has ended. All that is known is looked at once, however many they are.
    pub(crate) fn sweep(&self, ended: &Ended) {
        let kinds = ended.kinds();
        for shard in &self.shards {
            shard.retain(&kinds, |kind, entry| !ended.has_ended(kind, entry), &self.counts);
        }
    }

    /// Forgets what nodes have no lists of, once nobody has asked for it so long.
    pub(crate) fn forget_unasked(&self, after: Duration) {
        let oldest = self.now().saturating_sub(u32::try_from(after.as_secs()).unwrap_or(u32::MAX));
        for shard in &self.shards {
            shard.retain(&Kind::UNLISTED, |_, entry| entry.touched() >= oldest, &self.counts);
        }
    }

    /// How many of a kind a node has.
    pub(crate) fn count_of(&self, kind: Kind, slot: Slot) -> usize {
        self.counts.of(kind, slot)
    }

    /// How many of a kind there are.
    pub(crate) fn count(&self, kind: Kind) -> usize {
        self.shards.iter().map(|shard| shard.count(kind)).sum()
    }

    /// How many of a kind each application has, as far as that is known.
    pub(crate) fn apps(&self, kind: Kind) -> BTreeMap<App, usize> {
        let mut apps = BTreeMap::new();
        self.shards.iter().for_each(|shard| shard.count_apps(kind, &mut apps));
        apps
    }

    pub(crate) fn app(&self, name: &str) -> App {
        self.names.number(name)
    }

    pub(crate) fn app_name(&self, app: App) -> Option<std::sync::Arc<str>> {
        self.names.name(app)
    }

    fn entry(&self, slot: Slot, app: Option<App>) -> Entry {
        Entry::new(slot, app, self.read.load(Ordering::SeqCst), self.now())
    }

    /// Seconds of this process.
    fn now(&self) -> u32 {
        u32::try_from(self.began.elapsed().as_secs()).unwrap_or(u32::MAX)
    }

    fn shard(&self, id: &str) -> &Shard {
        let hash = usize::try_from(self.hasher.hash_one(id) % 64).unwrap_or(0);
        // There are as many as the hash can name.
        #[allow(clippy::indexing_slicing)]
        &self.shards[hash % SHARDS]
    }
}

/// A full read of a node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Read(u32);
