// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What the host wants of a worker: the latest settings, tests to send, the stop.
//!
//! The settings are kept, not queued: only the newest count, and a worker that starts again after a
//! panic finds them here.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::PublishSettings;
use crate::answer::Answer;
use crate::config::ConnectionSettings;

/// Tests that may wait; an operator types one at a time.
const MOST_SENDS: usize = 16;

#[derive(Clone)]
pub(super) struct Wanted {
    pub(super) connection: Arc<ConnectionSettings>,
    pub(super) publish: Option<PublishSettings>,
}

/// A message for one queue, to see whether the way there is open.
pub(super) struct TestSend {
    pub(super) queue: String,
    pub(super) message: String,
    pub(super) deadline: Instant,
    pub(super) answer: Answer<()>,
}

#[derive(Default)]
struct Inner {
    wanted: Option<Wanted>,
    sends: VecDeque<TestSend>,
    stop: Option<Instant>,
}

#[derive(Default)]
pub(super) struct Orders(Mutex<Inner>);

impl Orders {
    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn configure(
        &self,
        connection: ConnectionSettings,
        publish: Option<PublishSettings>,
    ) {
        let mut inner = self.lock();
        // The same settings keep their Arc, by which the worker knows them.
        let connection = match &inner.wanted {
            Some(wanted) if *wanted.connection == connection => wanted.connection.clone(),
            _ => Arc::new(connection),
        };
        inner.wanted = Some(Wanted { connection, publish });
    }

    pub(super) fn wanted(&self) -> Option<Wanted> {
        self.lock().wanted.clone()
    }

    /// Whether other connection settings are wanted than these.
    pub(super) fn moved_on(&self, from: &Arc<ConnectionSettings>) -> bool {
        !self.lock().wanted.as_ref().is_some_and(|wanted| Arc::ptr_eq(&wanted.connection, from))
    }

    /// Who waits for a test is told of the end now: the unload waits for them.
    pub(super) fn stop(&self, by: Instant) {
        let mut inner = self.lock();
        inner.stop = Some(inner.stop.map_or(by, |earlier| earlier.min(by)));
        inner.sends.clear();
    }

    /// The time by which the worker must have stopped, once it must.
    pub(super) fn stopping(&self) -> Option<Instant> {
        self.lock().stop
    }

    pub(super) fn send(&self, send: TestSend) {
        let mut inner = self.lock();
        if inner.stop.is_some() {
            send.answer.give(Err("the connection is being ended".into()));
        } else if inner.sends.len() < MOST_SENDS {
            inner.sends.push_back(send);
        } else {
            send.answer.give(Err("too many tests are waiting".into()));
        }
    }

    pub(super) fn next_send(&self) -> Option<TestSend> {
        self.lock().sends.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::Waiting;
    use std::time::Duration;

    fn test_send(waiting: &Waiting<()>) -> TestSend {
        TestSend {
            queue: "q".into(),
            message: "m".into(),
            deadline: Instant::now(),
            answer: waiting.answer("it ended"),
        }
    }

    #[test]
    fn a_test_that_is_dropped_unanswered_still_wakes_its_asker() {
        let waiting = Waiting::default();
        drop(test_send(&waiting));
        assert!(waiting.wait(Duration::from_secs(60)).unwrap_err().contains("ended"));
    }

    #[test]
    fn tests_beyond_the_bound_are_refused_at_once() {
        let orders = Orders::default();
        let waiting: Vec<Waiting<()>> = (0..=MOST_SENDS).map(|_| Waiting::default()).collect();
        waiting.iter().for_each(|waiting| orders.send(test_send(waiting)));
        let last = waiting.last().unwrap().wait(Duration::from_secs(60));
        assert!(last.unwrap_err().contains("too many"));
        assert_eq!(std::iter::from_fn(|| orders.next_send()).count(), MOST_SENDS);
    }

    #[test]
    fn a_stop_lets_nobody_wait_for_a_test() {
        let orders = Orders::default();
        let [before, after] = [Waiting::default(), Waiting::default()];
        orders.send(test_send(&before));
        orders.stop(Instant::now());
        orders.send(test_send(&after));
        let told = |waiting: &Waiting<()>| waiting.wait(Duration::from_secs(60)).unwrap_err();
        assert_eq!(told(&before), "it ended");
        assert_eq!(told(&after), "the connection is being ended");
    }

    #[test]
    fn of_two_stops_the_earlier_holds() {
        let orders = Orders::default();
        let now = Instant::now();
        orders.stop(now + Duration::from_secs(5));
        orders.stop(now + Duration::from_secs(1));
        orders.stop(now + Duration::from_secs(9));
        assert_eq!(orders.stopping(), Some(now + Duration::from_secs(1)));
    }
}
