// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Announcements in Consul: ours, and what the others say.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::sleep;

use super::{AHEAD, Announcement, Announcements};
use crate::consul::{Fault, Retry};
use crate::events::Hub;
use crate::net::stopped;
use crate::peers::{Entry, Peers};
use crate::proxy::Gateway;

/// Below it, `<gateway>`: held by that gateway's session while it has such sockets.
const FOLDER: &str = "gateway/share/";
/// How often a gateway says how far it has come.
const BEAT: Duration = Duration::from_secs(2);
/// From writing to reading what was written.
const ECHO: Duration = Duration::from_millis(500);
/// How often it is looked whether somebody's time is over.
const LOOK: Duration = Duration::from_secs(1);

/// The keys, as they are now.
pub(crate) type Seen = watch::Receiver<Option<Arc<[Entry]>>>;

/// All gateways' keys.
pub(crate) fn seen(peers: &Peers) -> Seen {
    peers.watch(FOLDER)
}

/// Has the sockets go by what is seen, for as long as the process lives.
pub(crate) async fn follow(gateway: Arc<Gateway>, hub: Arc<Hub>, mut seen: Seen) {
    let mut forgotten = Instant::now();
    loop {
        let changed = tokio::select! {
            changed = seen.changed() => changed.is_ok(),
            () = sleep(LOOK) => false,
        };
        let entries = changed.then(|| seen.borrow_and_update().clone()).flatten();
        match entries {
            Some(entries) => hub.see(read(&entries)),
            None => hub.look(),
        }
        // As often as the nodes are read: what a read has not found is not in the index.
        if forgotten.elapsed() >= gateway.config.index.refresh {
            forgotten = Instant::now();
            hub.forget(|kind, id| gateway.index.owner(kind, id).is_some());
        }
        gateway.metrics.note_shared(hub.counts());
    }
}

fn read(entries: &[Entry]) -> Announcements {
    let one = |entry: &Entry| {
        let gateway = entry.key.strip_prefix(FOLDER)?;
        match serde_json::from_slice(&entry.value) {
            Ok(announcement) => Some((gateway.into(), announcement)),
            Err(error) => {
                tracing::warn!("gateway {gateway} announces sockets in another way: {error}");
                None
            }
        }
    };
    entries.iter().filter_map(one).collect()
}

/// Announces our sockets, until all have ended and the others can know it.
pub(crate) async fn announce(
    hub: Arc<Hub>,
    peers: Peers,
    mut seen: Seen,
    mut stopping: watch::Receiver<bool>,
) {
    let key = format!("{FOLDER}{}", peers.name());
    let mut changes = hub.share_changes();
    let mut retry = Retry::default();
    let mut written = Written { announcement: Announcement::default(), at: Instant::now() };
    loop {
        changes.mark_unchanged();
        seen.mark_unchanged();
        let wanted = hub.announcement();
        let found = value(&seen, &key);
        if written.is_due(&wanted, found.as_deref()) {
            match write(&peers, &key, &wanted).await {
                Ok(true) => {
                    retry.reset();
                    written = Written { announcement: wanted, at: Instant::now() };
                }
                // A session of ours before has it still, or Consul fails, which the session says.
                Ok(false) | Err(_) => {
                    hub.is_not_announced();
                    sleep(retry.after_failure(false).min(BEAT)).await;
                }
            }
            continue;
        }
        let is_stopping = *stopping.borrow();
        if is_stopping && hub.is_left() && written.is_seen(found.as_deref()) {
            // With us the key goes, and who has not read it goes by what it had in it before.
            if !written.announcement.sockets.is_empty() {
                sleep(Duration::from_millis(AHEAD).saturating_sub(written.at.elapsed())).await;
            }
            return;
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            changed = seen.changed() => if changed.is_err() { return },
            () = stopped(&mut stopping), if !is_stopping => {}
            () = sleep(BEAT) => {}
        }
    }
}

/// What the others have been told.
struct Written {
    announcement: Announcement,
    at: Instant,
}

impl Written {
    /// Whether it is to be told otherwise, or again. `found` is what Consul has of it.
    fn is_due(&self, wanted: &Announcement, found: Option<&[u8]>) -> bool {
        let age = self.at.elapsed();
        let has_come_on = age >= BEAT && self.announcement.told != wanted.told;
        let is_lost = age >= ECHO && found.is_none();
        self.announcement.sockets != wanted.sockets
            || !wanted.sockets.is_empty() && (has_come_on || is_lost)
    }

    fn is_seen(&self, found: Option<&[u8]>) -> bool {
        match found {
            Some(found) => serde_json::from_slice(found)
                .is_ok_and(|one: Announcement| one.sockets == self.announcement.sockets),
            None => self.announcement.sockets.is_empty(),
        }
    }
}

fn value(seen: &Seen, key: &str) -> Option<Vec<u8>> {
    let entries = seen.borrow().clone()?;
    entries.iter().find(|entry| entry.key == key).map(|entry| entry.value.clone())
}

/// `false` when another session has the key.
async fn write(peers: &Peers, key: &str, wanted: &Announcement) -> Result<bool, Fault> {
    if wanted.sockets.is_empty() {
        return peers.delete(key).await.map(|()| true);
    }
    let text = serde_json::to_vec(wanted).map_err(|error| Fault::Unreadable(error.to_string()))?;
    peers.put_held(key, &text).await
}
