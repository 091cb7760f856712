// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A place for a thread that is there while there is work for it.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::threads::Started;

/// Has one thread at most. All but [`Berth::leave_if`] is for any thread.
#[derive(Default)]
pub(crate) struct Berth(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    thread: Option<Arc<dyn Started>>,
    /// The thread has seen the end of its work, and does nothing more.
    leaving: bool,
    closed: bool,
}

impl Berth {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a thread, if there is none and the berth is not closed.
    pub(crate) fn start(
        &self,
        spawn: impl FnOnce() -> io::Result<Arc<dyn Started>>,
    ) -> io::Result<()> {
        let mut inner = self.inner();
        if inner.closed || (inner.thread.is_some() && !inner.leaving) {
            return Ok(());
        }
        let before = inner.thread.replace(spawn()?);
        inner.leaving = false;
        drop(inner);
        drop(before); // in its last instructions
        Ok(())
    }

    /// For the thread itself: whether it is to return now. Decided under the lock, so that who has
    /// more work afterwards starts another.
    pub(crate) fn leave_if(&self, is_over: impl FnOnce() -> bool) -> bool {
        let mut inner = self.inner();
        inner.leaving = inner.closed || is_over();
        inner.leaving
    }

    pub(crate) fn is_current(&self) -> bool {
        self.inner().thread.as_ref().is_some_and(|thread| thread.is_current())
    }

    /// Waits up to `limit` for the thread to end; `false` if it still runs. It must have been told.
    pub(crate) fn join_within(&self, limit: Duration) -> bool {
        let thread = self.inner().thread.clone();
        thread.is_none_or(|thread| thread.join_within(limit))
    }

    /// Has no thread start again, and gives the one there is to be joined.
    pub(crate) fn close(&self) -> Option<Arc<dyn Started>> {
        let mut inner = self.inner();
        inner.closed = true;
        inner.thread.take()
    }
}
