// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What a watch knows from one query to the next, and how the next is made.

use std::sync::Weak;
use std::time::{Duration, Instant};

use super::cursor::Cursor;
use super::limiter::Limiter;
use super::pairs::OwnedPair;
use super::retry::Retry;
use crate::http::Setup;

/// An index that is older may be of a state that is not there any more: see [`Memory::plan`].
const FRESH: Duration = Duration::from_millis(100);

/// What a watch knows from one query to the next.
#[derive(Default)]
pub(super) struct Memory {
    pub(super) cursor: Cursor,
    /// When Consul answered that.
    pub(super) answered: Option<Instant>,
    pub(super) limiter: Limiter,
    /// The limiter has been asked for the next query already.
    pub(super) is_paid: bool,
    pub(super) retry: Retry,
    /// What the callback was last given; none: nothing yet.
    pub(super) given: Option<Vec<OwnedPair>>,
    /// The settings that the cursor is of.
    pub(super) setup: Weak<Setup>,
}

impl Memory {
    /// How the next query is made, and how long it must be held back.
    ///
    /// If an older state is restored while no query waits, the index is too high: a query that
    /// waits would do so for all of its time. So what was held back begins anew, with a query that
    /// does not wait; and that is held back until the one that waits can follow it at once.
    pub(super) fn plan(&mut self, now: Instant) -> Duration {
        let mut rest = match std::mem::take(&mut self.is_paid) {
            true => Duration::ZERO,
            false => self.limiter.take(now),
        };
        let is_fresh = |answered: Instant| now.saturating_duration_since(answered) + rest < FRESH;
        if !self.answered.is_some_and(is_fresh) {
            self.cursor = Cursor::default();
        }
        if self.cursor.index().is_none() {
            rest = self.limiter.take(now);
            self.is_paid = true;
        }
        rest
    }
}
