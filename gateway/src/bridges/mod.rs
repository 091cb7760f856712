// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! One bridge on several nodes.
//!
//! A bridge is at home on one node. For members on another, the same bridge, by the same id, is made
//! there, and one call between the two nodes, the trunk, is in both. So each member is in a bridge of
//! its own node, and what is played to the bridge at home, or recorded of it, is of all. What spans is
//! written down in Consul (`bridges/<id>`) before it is made, and changed by whoever has the bridge's
//! lock; all gateways follow these keys, so that each shows one bridge and no trunk, and any of them
//! mends what breaks.

mod ailment;
mod join;
mod keep;
mod mend;
mod node;
mod passing;
mod show;
mod span;
mod spans;
mod told;
mod trouble;
mod trunk;
mod turns;
mod working;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

pub(crate) use keep::keep;
pub(crate) use show::{HIDDEN_APP, unite};
pub(crate) use spans::Spans;

use crate::config;
use crate::peers::Peers;
use turns::Turns;

/// The folder of Consul's keys that has what spans.
const FOLDER: &str = "bridges/";
/// The longest wait, before the first client is served, for them to be read.
const FIRST_READ: Duration = Duration::from_secs(1);

/// What gateway and keeper share.
#[derive(Debug)]
pub(crate) struct Bridges {
    settings: config::Bridges,
    /// `PJSIP/<endpoint>-`, which the names of all trunk legs begin with.
    leg_names: String,
    spans: watch::Receiver<Arc<Spans>>,
    turns: Turns,
}

impl Bridges {
    pub(crate) fn new(settings: &config::Bridges, peers: &Peers) -> Self {
        let (told, spans) = watch::channel(Arc::default());
        if settings.span {
            tokio::spawn(spans::follow(peers.watch(FOLDER), told));
        }
        Self {
            settings: settings.clone(),
            leg_names: format!("PJSIP/{}-", settings.trunk_endpoint),
            spans,
            turns: Turns::default(),
        }
    }

    /// Waits until it is known what spans, but not for long.
    pub(crate) async fn wait_read(&self) {
        let mut spans = self.spans.clone();
        if self.settings.span {
            // Without it, what a bridge has on other nodes is shown as bridges of their own.
            let _ = timeout(FIRST_READ, spans.wait_for(|spans| spans.is_read)).await;
        }
    }

    /// What spans nodes, as it was seen last.
    pub(crate) fn spans(&self) -> Arc<Spans> {
        Arc::clone(&self.spans.borrow())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::span::{Span, Trunk};
    use super::*;
    use crate::peers::Entry;

    /// One bridge, at home and on another node, whose trunk ends in the channel `far`.
    pub(crate) fn spans(id: &str, home: &str, part: &str, far: &str) -> Spans {
        let mut span = Span::at(home);
        span.parts.insert(part.into(), Trunk { far: Some(far.into()), ..Trunk::new() });
        let value = serde_json::to_vec(&span).unwrap();
        let entry = Entry { key: format!("{FOLDER}{id}"), value, index: 1, session: None };
        Spans::of(&[entry], &Spans::default(), std::time::Instant::now())
    }
}
