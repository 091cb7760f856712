// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Which nodes are to be read before their time, as messages have told.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

/// What is asked for and not taken yet. Several requests are one.
#[derive(Debug, Default)]
pub(crate) struct Anew {
    asked: Mutex<Asked>,
    told: Notify,
}

#[derive(Debug, Default)]
pub(super) struct Asked {
    all: bool,
    /// By their entity ids; bounded by the nodes that publish.
    nodes: BTreeSet<String>,
}

impl Anew {
    /// Something of any node may have been missed.
    pub(crate) fn all(&self) {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).all = true;
        self.told.notify_one();
    }

    /// Something of this node may have been missed.
    pub(crate) fn node(&self, eid: &str) {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).nodes.insert(eid.to_owned());
        self.told.notify_one();
    }

    /// Waits until something is asked for.
    pub(super) async fn told(&self) {
        self.told.notified().await;
    }

    pub(super) fn take(&self) -> Asked {
        std::mem::take(&mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Asked {
    pub(super) fn has(&self, eid: &str) -> bool {
        self.all || self.nodes.contains(eid)
    }
}
