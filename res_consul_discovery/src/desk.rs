// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Where Asterisk's threads leave what they want, and the worker what there is to know. At most
//! [`WISHES`] commands wait; one more is refused.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::ari::Ari;
use crate::config::Settings;
use crate::identity::Identity;
use crate::report::Report;

const WISHES: usize = 16;

/// What the node is to be: all that a reload may change.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub settings: Settings,
    pub identity: Identity,
    pub ari: Ari,
}

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wish {
    /// An operator's maintenance, with its reason; none takes it back.
    Maintenance(Option<String>),
    Drain {
        stop: bool,
    },
    Undrain,
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// It is done, in Consul too.
    Done(String),
    /// It will be done.
    Later(String),
    /// It will not be done.
    Refused(String),
}

/// Tells one command from another.
pub(crate) type Ticket = u64;

/// What the worker is to do.
#[derive(Debug)]
pub(crate) struct Orders {
    pub wishes: Vec<(Ticket, Wish)>,
    /// There is a new [`Desk::wanted`].
    pub has_changed: bool,
    /// It is to deregister the node and end.
    pub is_ending: bool,
}

pub(crate) struct Desk {
    inner: Mutex<Inner>,
    for_worker: Condvar,
    for_askers: Condvar,
}

struct Inner {
    wanted: Wanted,
    has_changed: bool,
    is_ending: bool,
    wishes: VecDeque<(Ticket, Wish)>,
    /// The commands that somebody waits for.
    awaited: BTreeSet<Ticket>,
    replies: BTreeMap<Ticket, Reply>,
    next: Ticket,
    report: Report,
}

impl Desk {
    pub(crate) fn new(wanted: Wanted) -> Self {
        let inner = Inner {
            wanted,
            has_changed: false,
            is_ending: false,
            wishes: VecDeque::new(),
            awaited: BTreeSet::new(),
            replies: BTreeMap::new(),
            next: 0,
            report: Report::default(),
        };
        Self { inner: Mutex::new(inner), for_worker: Condvar::new(), for_askers: Condvar::new() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn wanted(&self) -> Wanted {
        self.inner().wanted.clone()
    }

    /// A reload. Does not wait.
    pub(crate) fn set_wanted(&self, wanted: Wanted) {
        let mut inner = self.inner();
        inner.wanted = wanted;
        inner.has_changed = true;
        self.for_worker.notify_all();
    }

    pub(crate) fn report(&self) -> Report {
        self.inner().report.clone()
    }

    /// Has the worker end. Does not wait.
    pub(crate) fn end(&self) {
        self.inner().is_ending = true;
        self.for_worker.notify_all();
        self.for_askers.notify_all();
    }

    /// Gives a command, and waits up to `limit` for what comes of it.
    pub(crate) fn ask(&self, wish: Wish, limit: Duration) -> Reply {
        let deadline = Instant::now() + limit;
        let mut inner = self.inner();
        if inner.is_ending {
            return Reply::Refused("the node is being deregistered for good".to_owned());
        }
        if inner.wishes.len() >= WISHES {
            return Reply::Refused("too many commands wait for Consul".to_owned());
        }
        let ticket = inner.next;
        inner.next += 1;
        inner.wishes.push_back((ticket, wish));
        inner.awaited.insert(ticket);
        self.for_worker.notify_all();
        loop {
            if let Some(reply) = inner.replies.remove(&ticket) {
                return reply;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || inner.is_ending {
                inner.awaited.remove(&ticket);
                return Reply::Later("Consul has not answered yet".to_owned());
            }
            let waited = self.for_askers.wait_timeout(inner, left);
            inner = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// For the worker: what there is to do.
    pub(crate) fn take(&self) -> Orders {
        let mut inner = self.inner();
        Orders {
            wishes: inner.wishes.drain(..).collect(),
            has_changed: std::mem::take(&mut inner.has_changed),
            is_ending: inner.is_ending,
        }
    }

    /// For the worker: what came of a command.
    pub(crate) fn reply(&self, ticket: Ticket, reply: Reply) {
        let mut inner = self.inner();
        if inner.awaited.remove(&ticket) {
            inner.replies.insert(ticket, reply);
            self.for_askers.notify_all();
        }
    }

    /// For the worker: how it goes.
    pub(crate) fn publish(&self, report: Report) {
        self.inner().report = report;
    }

    /// For the worker: waits until there is something to do, `limit` at most.
    pub(crate) fn wait(&self, limit: Duration) {
        let inner = self.inner();
        if inner.wishes.is_empty() && !inner.has_changed && !inner.is_ending {
            // Whatever woke it, the worker looks again.
            drop(self.for_worker.wait_timeout(inner, limit));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::service::tests::about;

    const LONG: Duration = Duration::from_secs(10);

    fn desk() -> Desk {
        let (identity, ari) = about();
        Desk::new(Wanted { settings: Settings::default(), identity, ari })
    }

    #[test]
    fn a_command_is_answered_by_the_worker() {
        let desk = desk();
        thread::scope(|scope| {
            let asked = scope.spawn(|| desk.ask(Wish::Undrain, LONG));
            let mut orders = desk.take();
            while orders.wishes.is_empty() {
                desk.wait(LONG);
                orders = desk.take();
            }
            let (ticket, wish) = orders.wishes.remove(0);
            assert_eq!(wish, Wish::Undrain);
            desk.reply(ticket + 1, Reply::Refused("another's".to_owned()));
            desk.reply(ticket, Reply::Done("yes".to_owned()));
            assert_eq!(asked.join().unwrap(), Reply::Done("yes".to_owned()));
        });
        assert!(desk.inner().replies.is_empty() && desk.inner().awaited.is_empty());
    }

    #[test]
    fn a_command_that_nobody_waits_for_any_more_is_still_done() {
        let desk = desk();
        let reply = desk.ask(Wish::Drain { stop: true }, Duration::from_millis(1));
        assert!(matches!(reply, Reply::Later(_)));
        let orders = desk.take();
        assert_eq!(orders.wishes, [(0, Wish::Drain { stop: true })]);
        desk.reply(0, Reply::Done(String::new()));
        assert!(desk.inner().replies.is_empty());
    }

    #[test]
    fn what_waits_is_bounded() {
        let desk = desk();
        for _ in 0..WISHES {
            assert!(matches!(desk.ask(Wish::Undrain, Duration::ZERO), Reply::Later(_)));
        }
        assert!(matches!(desk.ask(Wish::Undrain, LONG), Reply::Refused(_)));
    }

    #[test]
    fn the_end_wakes_everyone() {
        let desk = desk();
        thread::scope(|scope| {
            let asked = scope.spawn(|| desk.ask(Wish::Undrain, LONG));
            while desk.inner().awaited.is_empty() {
                thread::yield_now();
            }
            desk.end();
            assert!(matches!(asked.join().unwrap(), Reply::Later(_)));
        });
        assert!(desk.take().is_ending);
        desk.wait(LONG);
        assert!(matches!(desk.ask(Wish::Undrain, LONG), Reply::Refused(_)));
    }
}
