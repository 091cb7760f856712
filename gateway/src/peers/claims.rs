// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Which locks this process wants or has, and which its session may hold though nobody here wants
//! them: a release has failed, or nobody has heard what came of a try. Those are given back.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::Peers;
use crate::consul::{Fault, Retry};

/// How long Consul may still carry out a try that it did not answer: an agent keeps a request for
/// seven seconds when its servers have no leader.
const DOUBT: Duration = Duration::from_secs(30);

/// All of them, by key.
#[derive(Debug, Default)]
pub(super) struct Claims {
    by_key: Mutex<HashMap<String, Claimed>>,
    woken: Notify,
}

#[derive(Debug, Default)]
struct Claimed {
    users: usize,
    /// Our session may hold it; until then it may also come to do so.
    owed: Option<Instant>,
}

/// What is to be given back at the end of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owes {
    Nothing,
    /// Our session holds the key.
    Key,
    /// Our session may hold the key, or come to hold it.
    Maybe,
}

/// Somebody's want of a lock. However it ends, what it owes is given back.
#[derive(Debug)]
pub(super) struct Claim {
    pub peers: Peers,
    pub key: String,
    pub owes: Owes,
}

impl Claim {
    pub(super) fn new(peers: &Peers, key: &str) -> Self {
        peers.claims.by_key().entry(key.to_owned()).or_default().users += 1;
        Self { peers: peers.clone(), key: key.to_owned(), owes: Owes::Nothing }
    }

    /// Gives the key back, unless somebody else here has it too: then that one does.
    pub(super) async fn give_back(mut self) {
        // Should it fail, it is tried again.
        if self.peers.give_back(&self.key, 1).await == Ok(true) {
            self.owes = Owes::Nothing;
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let owed = match self.owes {
            Owes::Nothing => None,
            Owes::Key => Some(Instant::now()),
            Owes::Maybe => Some(Instant::now() + DOUBT),
        };
        self.peers.claims.leave(&self.key, owed);
    }
}

impl Claims {
    fn leave(&self, key: &str, owed: Option<Instant>) {
        let mut by_key = self.by_key();
        let Some(claimed) = by_key.get_mut(key) else { return };
        claimed.users -= 1;
        claimed.owed = claimed.owed.max(owed);
        match (claimed.users, claimed.owed) {
            (0, None) => drop(by_key.remove(key)),
            (0, Some(_)) => self.woken.notify_one(),
            _ => {}
        }
    }

    fn users(&self, key: &str) -> usize {
        self.by_key().get(key).map_or(0, |claimed| claimed.users)
    }

    /// What nobody wants, and until when it is to be looked for.
    fn owed(&self) -> Vec<(String, Instant)> {
        let by_key = self.by_key();
        let unused = by_key.iter().filter(|(_, claimed)| claimed.users == 0);
        unused.filter_map(|(key, claimed)| Some((key.clone(), claimed.owed?))).collect()
    }

    /// It has been given back, unless more has been owed since.
    fn settle(&self, key: &str, owed: Instant) {
        let mut by_key = self.by_key();
        let Some(claimed) = by_key.get_mut(key) else { return };
        if claimed.owed == Some(owed) {
            claimed.owed = None;
            if claimed.users == 0 {
                by_key.remove(key);
            }
        }
    }

    fn by_key(&self) -> MutexGuard<'_, HashMap<String, Claimed>> {
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Peers {
    /// Removes a key that our session holds, if not more than so many here want it. Whether nothing
    /// of ours is there.
    async fn give_back(&self, key: &str, users: usize) -> Result<bool, Fault> {
        // What a session held that is no more ends with it.
        let Some(session) = self.session() else { return Ok(true) };
        match self.get(key).await? {
            Some(entry) if entry.session.as_deref() == Some(&*session) => {
                // Whoever takes it from here on changes its index, or finds it free.
                Ok(self.claims.users(key) <= users && self.delete_if(key, entry.index).await?)
            }
            _ => Ok(true),
        }
    }
}

/// Gives back what is owed, for as long as the process lives.
pub(super) async fn give_back(peers: Peers) {
    let mut retry = Retry::default();
    loop {
        let owed = peers.claims.owed();
        if owed.is_empty() {
            retry.reset();
            peers.claims.woken.notified().await;
            continue;
        }
        for (key, until) in owed {
            let since = Instant::now();
            // That Consul fails, the session says.
            if peers.give_back(&key, 0).await == Ok(true) && until <= since {
                peers.claims.settle(&key, until);
            }
        }
        tokio::select! {
            () = sleep(retry.after_failure(false)) => {}
            () = peers.claims.woken.notified() => {}
        }
    }
}
