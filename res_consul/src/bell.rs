// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A rest that can be cut short.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Rung by any thread, heard by one. A ring that comes before the rest is kept.
#[derive(Default)]
pub(crate) struct Bell {
    rung: Mutex<bool>,
    told: Condvar,
}

impl Bell {
    pub(crate) fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.told.notify_all();
    }

    /// Waits for a ring, but not longer than `limit`.
    pub(crate) fn rest(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mut rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        while !*rung {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.told.wait_timeout(rung, left);
            rung = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        *rung = false;
    }
}
