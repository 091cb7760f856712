// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Keeps the keys as the sockets are, whatever happens to Consul or to another gateway.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::sleep;

use super::{LOCK, MADE, TURN, USES, Uses, with_all};
use crate::config;
use crate::consul::{Fault, Retry};
use crate::net::stopped;
use crate::peers::{Entry, Locking, Peers};

/// How often the keys are looked at though nothing has changed here.
const LOOK: Duration = Duration::from_secs(5);

/// What keeps the applications.
struct Keeper {
    peers: Peers,
    settings: config::Events,
    uses: watch::Receiver<Uses>,
    registered: watch::Sender<Arc<BTreeSet<String>>>,
    /// Since when nobody uses an application.
    unused: HashMap<String, Instant>,
}

/// What is there, by application.
struct Found {
    /// Those of this gateway, whose uses are noted.
    ours: BTreeSet<String>,
    used: BTreeSet<String>,
    made: BTreeSet<String>,
    keys: BTreeMap<String, Entry>,
}

/// Keeps them until `stopping`.
pub(crate) async fn keep(
    peers: Peers,
    settings: config::Events,
    uses: watch::Receiver<Uses>,
    registered: watch::Sender<Arc<BTreeSet<String>>>,
    mut stopping: watch::Receiver<bool>,
) {
    let unused = HashMap::new();
    let mut keeper = Keeper { peers, settings, uses, registered, unused };
    let mut retry = Retry::default();
    loop {
        keeper.uses.mark_unchanged();
        let pause = match keeper.pass().await {
            Ok(pause) => {
                retry.reset();
                pause
            }
            // That Consul fails, the session has said.
            Err(error) => {
                tracing::debug!("applications: {error}");
                retry.after_failure(false)
            }
        };
        tokio::select! {
            () = sleep(pause.mul_f64(0.9 + rand::random::<f64>() / 5.0)) => {}
            changed = keeper.uses.changed() => if changed.is_err() { return },
            () = stopped(&mut stopping) => return,
        }
    }
}

impl Keeper {
    /// Looks once, and says when to look again.
    async fn pass(&mut self) -> Result<Duration, Locking> {
        let uses = Arc::clone(&self.uses.borrow());
        let mut found = self.find().await?;
        for app in uses.keys().filter(|app| !found.ours.contains(*app)) {
            self.peers.put_held(&self.use_of(app), b"").await?;
            found.used.insert(app.clone());
        }
        for app in found.ours.iter().filter(|app| !uses.contains_key(*app)) {
            self.peers.delete(&self.use_of(app)).await?;
        }
        let is_amiss = |app: &String, is_told_all: bool| match found.keys.get(app) {
            None => true,
            Some(key) => is_told_all && found.made.contains(app) && with_all(&key.value).is_some(),
        };
        if uses.iter().any(|(app, is_told_all)| is_amiss(app, *is_told_all)) {
            let lock = self.peers.lock(LOCK, TURN).await?;
            let made = self.make(&uses).await;
            lock.release().await;
            made?;
        }
        self.registered.send_replace(Arc::new(uses.keys().cloned().collect()));
        self.remove_unused(&found).await
    }

    async fn find(&self) -> Result<Found, Fault> {
        let (mut ours, mut used) = (BTreeSet::new(), BTreeSet::new());
        for entry in self.peers.list(USES).await? {
            let Some(rest) = entry.key.strip_prefix(USES) else { continue };
            let Some((gateway, app)) = rest.split_once('/') else { continue };
            if gateway == self.peers.name() {
                ours.insert(app.to_owned());
            } else {
                used.insert(app.to_owned());
            }
        }
        used.extend(self.uses.borrow().keys().cloned());
        let made = self.peers.list(MADE).await?.into_iter();
        let made = made.filter_map(|entry| entry.key.strip_prefix(MADE).map(str::to_owned));
        let prefix = &self.settings.app_prefix;
        let keys = self.peers.list(prefix).await?.into_iter();
        let keys = keys.filter_map(|entry| {
            let app = entry.key.strip_prefix(prefix)?.to_owned();
            Some((app, entry))
        });
        Ok(Found { ours, used, made: made.collect(), keys: keys.collect() })
    }

    /// Makes the keys that are missing, and has those told all that shall be.
    async fn make(&self, uses: &Uses) -> Result<(), Fault> {
        for (app, is_told_all) in uses.iter() {
            let key = format!("{}{app}", self.settings.app_prefix);
            let is_ours = format!("{MADE}{app}");
            let entry = self.peers.get(&key).await?;
            match entry {
                None => {
                    let value = if *is_told_all { with_all(b"") } else { None };
                    // First whose it is: a key without that would stay for ever.
                    self.peers.put(&is_ours, b"").await?;
                    self.peers.put(&key, value.unwrap_or_default().as_bytes()).await?;
                    tracing::info!(app, "application {app} is registered in Consul");
                }
                Some(entry) if *is_told_all && self.peers.get(&is_ours).await?.is_some() => {
                    if let Some(value) = with_all(&entry.value) {
                        self.peers.put(&key, value.as_bytes()).await?;
                    }
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    async fn remove_unused(&mut self, found: &Found) -> Result<Duration, Locking> {
        let is_unused = |app: &String| !found.used.contains(app);
        self.unused.retain(|app, _| found.made.contains(app) && is_unused(app));
        let mut next = LOOK;
        for app in found.made.iter().filter(|app| is_unused(app)) {
            let since = *self.unused.entry(app.clone()).or_insert_with(Instant::now);
            let left = self.settings.grace.saturating_sub(since.elapsed());
            if !left.is_zero() {
                next = next.min(left + Duration::from_millis(20));
                continue;
            }
            let lock = self.peers.lock(LOCK, TURN).await?;
            let removed = self.remove(app).await;
            lock.release().await;
            removed?;
        }
        Ok(next)
    }

    /// Unless somebody came meanwhile.
    async fn remove(&self, app: &str) -> Result<(), Fault> {
        if self.find().await?.used.contains(app) {
            return Ok(());
        }
        self.peers.delete(&format!("{}{app}", self.settings.app_prefix)).await?;
        self.peers.delete(&format!("{MADE}{app}")).await?;
        tracing::info!(app, "application {app} has no socket any more: it is removed from Consul");
        Ok(())
    }

    fn use_of(&self, app: &str) -> String {
        format!("{USES}{}/{app}", self.peers.name())
    }
}
