// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What the worker is told: the newest of each kind, nothing is queued.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::config::Settings;
use crate::plan::Pair;

/// Where load, reload, unload and the watch leave what the worker takes.
#[derive(Default)]
pub(crate) struct Orders {
    newest: Mutex<Newest>,
    changed: Condvar,
}

#[derive(Default)]
struct Newest {
    settings: Option<Settings>,
    keys: Option<Vec<Pair>>,
    end: Option<End>,
}

/// How the worker is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The module goes: so do its applications.
    Unload,
    /// Asterisk exits, and all applications with it.
    Exit,
}

/// Something for the worker to do. The order matters: an end first, and settings before keys, which
/// may be of a watch that they end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Order {
    End(End),
    Settings(Settings),
    Keys(Vec<Pair>),
    /// It is time to look.
    Look,
}

impl Orders {
    fn newest(&self) -> MutexGuard<'_, Newest> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Newest)) {
        change(&mut self.newest());
        self.changed.notify_one();
    }

    pub(crate) fn settings(&self, settings: Settings) {
        self.change(|newest| newest.settings = Some(settings));
    }

    /// All keys that the watch has seen now.
    pub(crate) fn keys(&self, keys: Vec<Pair>) {
        self.change(|newest| newest.keys = Some(keys));
    }

    pub(crate) fn end(&self, how: End) {
        self.change(|newest| newest.end = Some(how));
    }

    /// Forgets keys of a watch that has ended.
    pub(crate) fn forget_keys(&self) {
        self.change(|newest| newest.keys = None);
    }

    /// Whether what is under way may be of no use any more.
    pub(crate) fn has_news(&self) -> bool {
        let newest = self.newest();
        newest.end.is_some() || newest.settings.is_some() || newest.keys.is_some()
    }

    /// Waits for an end, until `limit` has passed.
    pub(crate) fn rest(&self, limit: Duration) {
        let is_going_on = |newest: &mut Newest| newest.end.is_none();
        drop(self.changed.wait_timeout_while(self.newest(), limit, is_going_on));
    }

    /// Waits for the next order, [`Order::Look`] at `look_at`.
    pub(crate) fn wait(&self, look_at: Instant) -> Order {
        let mut newest = self.newest();
        loop {
            if let Some(end) = newest.end {
                return Order::End(end);
            }
            if let Some(settings) = newest.settings.take() {
                return Order::Settings(settings);
            }
            if let Some(keys) = newest.keys.take() {
                return Order::Keys(keys);
            }
            let left = look_at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Order::Look;
            }
            let woken = self.changed.wait_timeout(newest, left);
            newest = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(key: &str) -> Vec<Pair> {
        vec![(key.to_owned(), Vec::new())]
    }

    #[test]
    fn the_newest_counts_and_the_end_goes_first() {
        let (orders, now) = (Orders::default(), Instant::now());
        assert_eq!(orders.wait(now), Order::Look);
        assert!(!orders.has_news());
        orders.keys(keys("old"));
        orders.keys(keys("new"));
        assert!(orders.has_news());
        let settings = Settings { enabled: true, prefix: "a/".to_owned() };
        orders.settings(settings.clone());
        assert_eq!(orders.wait(now), Order::Settings(settings));
        assert_eq!(orders.wait(now), Order::Keys(keys("new")));
        assert_eq!(orders.wait(now), Order::Look);
        orders.keys(keys("late"));
        orders.end(End::Exit);
        assert_eq!(orders.wait(now), Order::End(End::Exit));
        assert_eq!(orders.wait(now), Order::End(End::Exit));
    }

    #[test]
    fn a_rest_is_over_at_the_end() {
        let orders = Orders::default();
        let begin = Instant::now();
        orders.keys(keys("new"));
        orders.rest(Duration::from_millis(20));
        assert!(begin.elapsed() >= Duration::from_millis(20));
        orders.end(End::Unload);
        orders.rest(Duration::from_secs(60));
        assert!(begin.elapsed() < Duration::from_secs(60));
    }

    #[test]
    fn keys_of_a_watch_that_has_ended_are_forgotten() {
        let (orders, now) = (Orders::default(), Instant::now());
        orders.keys(keys("old"));
        orders.forget_keys();
        assert_eq!(orders.wait(now), Order::Look);
    }
}
