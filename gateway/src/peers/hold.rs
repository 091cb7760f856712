// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A key that one of all gateways holds: who leads, who does what only one may do.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::Peers;
use crate::consul::Fault;

/// How often it is tried, and looked whether it is still so.
const LOOK: Duration = Duration::from_secs(1);

/// Who holds a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Holder {
    /// Nobody, or nobody can say.
    Nobody,
    Us,
    /// Another process, by its name.
    Other(Arc<str>),
}

/// Our claim on a key: it is tried for until this is dropped, and given up then.
#[derive(Debug)]
pub(crate) struct Held {
    holder: watch::Receiver<Holder>,
    _claim: watch::Sender<()>,
}

impl Held {
    /// Who holds it, as it was found last. It is ours no more when our session may have ended.
    pub(crate) fn holder(&self) -> watch::Receiver<Holder> {
        self.holder.clone()
    }

    pub(crate) fn is_ours(&self) -> bool {
        *self.holder.borrow() == Holder::Us
    }
}

impl Peers {
    /// Claims a key for as long as the claim lives.
    pub(crate) fn hold(&self, key: &str) -> Held {
        let (told, holder) = watch::channel(Holder::Nobody);
        let (claim, claimed) = watch::channel(());
        tokio::spawn(claiming(self.clone(), key.to_owned(), told, claimed));
        Held { holder, _claim: claim }
    }

    async fn claim(&self, key: &str) -> Result<Holder, Fault> {
        let Some(session) = self.session() else { return Ok(Holder::Nobody) };
        let found = self.get(key).await?;
        let of = |found: &super::Entry| found.session.as_deref().map(str::to_owned);
        match found.as_ref().map(|found| (of(found), found)) {
            Some((Some(holder), _)) if *holder == *session => return Ok(Holder::Us),
            Some((Some(_), found)) => {
                let name = String::from_utf8_lossy(&found.value);
                return Ok(Holder::Other(name.as_ref().into()));
            }
            _ => {}
        }
        match self.put_held(key, self.name().as_bytes()).await? {
            true => Ok(Holder::Us),
            false => Ok(Holder::Nobody),
        }
    }
}

async fn claiming(
    peers: Peers,
    key: String,
    told: watch::Sender<Holder>,
    mut claimed: watch::Receiver<()>,
) {
    let mut session = peers.session.changes();
    loop {
        // Without an answer it stays as it was, while the session does.
        let now = match (peers.claim(&key).await, peers.session()) {
            (_, None) => Some(Holder::Nobody),
            (Ok(holder), Some(_)) => Some(holder),
            (Err(_), Some(_)) => None,
        };
        if let Some(now) = now {
            told.send_if_modified(|before| {
                let has_changed = *before != now;
                *before = now;
                has_changed
            });
        }
        let pause = LOOK.mul_f64(0.75 + rand::random::<f64>() / 2.0);
        tokio::select! {
            () = sleep(pause) => {}
            changed = session.changed() => if changed.is_err() { return },
            // It was dropped.
            _ = claimed.changed() => break,
        }
    }
    if let Some(session) = peers.session() {
        // Should it fail, it ends with the session.
        let _ = peers.delete_held(&key, &session).await;
    }
}
