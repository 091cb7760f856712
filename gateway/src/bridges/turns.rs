// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! One after the other at each bridge, within this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as Queue, OwnedMutexGuard};

#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<String, Arc<Queue<()>>>>);

impl Turns {
    /// Waits for its turn.
    pub(super) async fn wait(&self, id: &str) -> OwnedMutexGuard<()> {
        self.queue(id).lock_owned().await
    }

    /// Its turn, if nobody else is at it.
    pub(super) fn now(&self, id: &str) -> Option<OwnedMutexGuard<()>> {
        self.queue(id).try_lock_owned().ok()
    }

    fn queue(&self, id: &str) -> Arc<Queue<()>> {
        let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever waits or works has a copy.
        queues.retain(|_, queue| Arc::strong_count(queue) > 1);
        Arc::clone(queues.entry(id.to_owned()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_at_a_time_and_nothing_stays() {
        let turns = Turns::default();
        let first = turns.wait("a").await;
        assert!(turns.now("a").is_none());
        assert!(turns.now("b").is_some());
        drop(first);
        assert!(turns.now("a").is_some());
        drop(turns.now("c"));
        assert_eq!(turns.0.lock().unwrap().len(), 1);
    }
}
