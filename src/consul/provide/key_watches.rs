// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The watches of `ast_consul_watch_keys`, which have no handle.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Watching;

/// The watches that C names by prefix and callback.
pub struct KeyWatches<W>(Mutex<Vec<KeyWatch<W>>>);

struct KeyWatch<W> {
    prefix: String,
    /// The callback's address; 0: ended from within its callback, to be dropped later.
    callback: usize,
    watch: W,
}

impl<W> Default for KeyWatches<W> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<W: Watching> KeyWatches<W> {
    fn list(&self) -> MutexGuard<'_, Vec<KeyWatch<W>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list().iter().filter(|known| known.callback != 0).count()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Drops those that were ended from within their callbacks.
    pub fn clean(&self) {
        let mut ended = Vec::new();
        let mut list = self.list();
        let (over, live) = list
            .drain(..)
            .partition(|known| known.callback == 0 && !known.watch.is_on_own_thread());
        *list = live;
        ended.extend::<Vec<_>>(over);
        drop(list);
        drop(ended); // waits for callbacks, so not under the lock
    }

    pub(super) fn add(
        &self,
        prefix: &str,
        callback: usize,
        make: impl FnOnce() -> Option<W>,
    ) -> bool {
        self.clean();
        let mut list = self.list();
        if list.iter().any(|known| known.prefix == prefix && known.callback == callback) {
            crate::warning!("'{prefix}' is watched by that callback already");
            return false;
        }
        let Some(watch) = make() else {
            return false;
        };
        list.push(KeyWatch { prefix: prefix.to_owned(), callback, watch });
        true
    }

    pub(super) fn remove(&self, prefix: &str, callback: usize) -> bool {
        let mut list = self.list();
        let Some(at) =
            list.iter().position(|known| known.prefix == prefix && known.callback == callback)
        else {
            return false;
        };
        let mut found = list.swap_remove(at);
        if found.watch.is_on_own_thread() {
            found.watch.stop();
            found.callback = 0;
            list.push(found);
            return true;
        }
        drop(list);
        drop(found); // waits for the callback, so not under the lock
        true
    }
}
