// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! One question of a thread of the host's to one of ours, and the wait for its answer.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Where the answer is put. Dropped without one, it says so by itself.
pub(crate) struct Answer<T> {
    waiting: Option<Waiting<T>>,
    ended: &'static str,
}

/// Where the asking thread waits.
pub(crate) struct Waiting<T>(Arc<Cell<T>>);

struct Cell<T> {
    answer: Mutex<Option<Result<T, String>>>,
    told: Condvar,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self(Arc::new(Cell { answer: Mutex::new(None), told: Condvar::new() }))
    }
}

impl<T> Waiting<T> {
    /// `ended` is what it says when nobody has given it.
    pub(crate) fn answer(&self, ended: &'static str) -> Answer<T> {
        Answer { waiting: Some(Self(Arc::clone(&self.0))), ended }
    }

    pub(crate) fn wait(&self, timeout: Duration) -> Result<T, String> {
        let answer = self.0.answer.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut answer, _) = self
            .0
            .told
            .wait_timeout_while(answer, timeout, |answer| answer.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        answer.take().unwrap_or_else(|| Err(format!("no answer within {timeout:?}")))
    }

    fn tell(&self, answer: Result<T, String>) {
        *self.0.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        self.0.told.notify_all();
    }
}

impl<T> Answer<T> {
    pub(crate) fn give(mut self, answer: Result<T, String>) {
        if let Some(waiting) = self.waiting.take() {
            waiting.tell(answer);
        }
    }
}

impl<T> Drop for Answer<T> {
    fn drop(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            waiting.tell(Err(self.ended.to_owned()));
        }
    }
}
