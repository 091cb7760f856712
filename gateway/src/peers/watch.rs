// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Follows all keys that begin so, for as long as anybody looks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::StatusCode;
use tokio::sync::watch;
use tokio::time::sleep;

use super::Peers;
use super::kv::{Entry, Told};
use crate::consul::{Answer, Cursor, Fault, Retry};

/// Consul's documentation asks for a limit on how often one asks, however often things change.
const PACE: Duration = Duration::from_millis(50);

impl Peers {
    /// The keys below a folder, in order; `None` until they have been read once. The prefix is a
    /// path of plain words.
    pub(crate) fn watch(&self, prefix: &'static str) -> watch::Receiver<Option<Arc<[Entry]>>> {
        let (told, seen) = watch::channel(None);
        tokio::spawn(following(self.clone(), prefix, told));
        seen
    }
}

async fn following(peers: Peers, prefix: &'static str, told: watch::Sender<Option<Arc<[Entry]>>>) {
    let path = format!("/v1/kv/{prefix}?recurse");
    let (mut cursor, mut retry) = (Cursor::default(), Retry::default());
    loop {
        let since = Instant::now();
        let answer = tokio::select! {
            answer = peers.agent.follow(&path, &mut cursor) => answer,
            () = told.closed() => return,
        };
        let pause = match answer.and_then(entries) {
            Ok(entries) => {
                retry.reset();
                told.send_if_modified(|before| {
                    let has_changed = before.as_deref() != Some(entries.as_slice());
                    if has_changed {
                        *before = Some(entries.into());
                    }
                    has_changed
                });
                PACE.saturating_sub(since.elapsed())
            }
            // That Consul fails, the session says.
            Err(fault) => {
                cursor = Cursor::default();
                retry.after_failure(fault == Fault::Refused)
            }
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = told.closed() => return,
        }
    }
}

fn entries(answer: Answer) -> Result<Vec<Entry>, Fault> {
    if answer.status == StatusCode::NOT_FOUND {
        return Ok(Vec::new());
    }
    let told: Vec<Told> = serde_json::from_slice(&answer.ok()?)
        .map_err(|error| Fault::Unreadable(error.to_string()))?;
    told.into_iter().map(Told::entry).collect()
}
