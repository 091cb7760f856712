// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A watch of keys and values: blocking queries on a thread of its own.

mod cursor;
mod limiter;
mod memory;
mod pairs;
mod retry;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use asterisk::consul::Pair;
use asterisk::consul::provide::{Changed, Watching};

use crate::bell::Bell;
use crate::berth::Berth;
use crate::connection::{Connection, Kind, News, User};
use crate::http::{self, Cutter, Fault, Method, Reply, Request};
use crate::status::{Back, Verdict, words_of};
use crate::threads::Level;

use cursor::Cursor;
use memory::Memory;
use pairs::OwnedPair;
pub(crate) use retry::{Class, Retry};

/// The most bytes of an answer.
const MOST_BYTES: usize = 64 << 20;

/// How long a watch rests whose thread has panicked.
const AFTER_PANIC: Duration = Duration::from_secs(1);

/// How a watch stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WatchState {
    /// Nothing was asked yet, or nothing is to be.
    Waiting,
    /// Consul answers it.
    Watching,
    /// It does not, or refuses; it will be asked again.
    Failing(String),
}

/// What `consul show status` tells of a watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WatchReport {
    pub prefix: String,
    pub state: WatchState,
    /// Of the last answer; none: the next query begins anew.
    pub index: Option<u64>,
    /// How many there are; none: not known yet.
    pub keys: Option<usize>,
    /// When the callback was last called.
    pub last_change: Option<SystemTime>,
}

/// A watch.
pub(crate) struct Watch(Arc<Shared>);

struct Shared {
    changed: Changed,
    connection: Arc<Connection>,
    cutter: Arc<Cutter>,
    bell: Bell,
    berth: Berth,
    /// Nobody has this watch any more; its own thread may still be in the callback that ended it.
    dropped: AtomicBool,
    report: Mutex<WatchReport>,
    /// Of the thread, and of the next one when it has left meanwhile.
    memory: Mutex<Memory>,
}

/// What Consul has said.
enum Heard {
    Pairs { pairs: Vec<OwnedPair>, index: Option<String> },
    Refused(String),
    Failing(String),
}

impl Watch {
    /// A watch that begins at once, or when the configuration has it.
    ///
    /// # Errors
    ///
    /// The prefix cannot be asked for, or there is no thread.
    pub(crate) fn new(
        connection: &Arc<Connection>,
        prefix: &str,
        changed: Changed,
    ) -> Result<Self, String> {
        if !http::can_carry(prefix) {
            return Err(format!(
                "keys below '{prefix}' cannot be watched: Consul takes no path with an empty \
                 segment, '.' or '..'"
            ));
        }
        let shared = Arc::new(Shared {
            changed,
            connection: Arc::clone(connection),
            cutter: Arc::default(),
            bell: Bell::default(),
            berth: Berth::default(),
            dropped: AtomicBool::new(false),
            report: Mutex::new(WatchReport {
                prefix: prefix.to_owned(),
                state: WatchState::Waiting,
                index: None,
                keys: None,
                last_change: None,
            }),
            memory: Mutex::default(),
        });
        let watch = Self(Arc::clone(&shared));
        let user: Weak<Shared> = Arc::downgrade(&shared);
        connection.add(user);
        shared.start()?;
        Ok(watch)
    }
}

impl Watching for Watch {
    fn is_on_own_thread(&self) -> bool {
        self.0.berth.is_current()
    }

    fn stop(&self) {
        self.0.cutter.end();
        self.0.bell.ring();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop();
        self.0.dropped.store(true, Ordering::Release);
        match self.0.berth.close() {
            Some(thread) if thread.is_current() => self.0.connection.leave(thread),
            thread => drop(thread), // waits for its callback, if that runs
        }
    }
}

impl User for Shared {
    fn hear(self: Arc<Self>, news: News) {
        match news {
            News::Settings => {
                self.cutter.cut();
                self.bell.ring();
                if let Err(reason) = self.start() {
                    self.connection.host().log(Level::Error, &reason);
                }
            }
            News::Back(back) => {
                // What is cut begins anew.
                if matches!(back, Back::Silence | Back::Refusal) {
                    self.cutter.cut();
                }
                self.bell.ring();
            }
            News::Away => {}
        }
    }

    fn kind(&self) -> Kind {
        match self.dropped.load(Ordering::Acquire) {
            true => Kind::Own,
            false => Kind::Watch(self.report().clone()),
        }
    }

    fn cutter(&self) -> &Arc<Cutter> {
        &self.cutter
    }
}

impl Shared {
    fn report(&self) -> MutexGuard<'_, WatchReport> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a thread run, if the configuration has it.
    fn start(self: &Arc<Self>) -> Result<(), String> {
        if self.is_over() {
            return Ok(());
        }
        let spawn = || {
            let working = Arc::clone(self);
            self.connection.host().spawn("consul-watch", Box::new(move || working.run()))
        };
        self.berth.start(spawn).map_err(|error| {
            format!("the watch of '{}' has no thread: {error}", self.report().prefix)
        })
    }

    /// Whether there is nothing to do, for good or for now.
    fn is_over(&self) -> bool {
        self.cutter.has_ended() || self.connection.setup().is_err()
    }

    fn run(&self) {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let mut slot = None;
        while !self.berth.leave_if(|| self.is_over()) {
            let turn = AssertUnwindSafe(|| self.turn(&mut memory, &mut slot));
            let rest = catch_unwind(turn).unwrap_or_else(|_| {
                // The panic is in the log.
                self.cutter.cut();
                AFTER_PANIC
            });
            if !rest.is_zero() {
                self.bell.rest(rest);
            }
        }
        self.report().state = WatchState::Waiting;
    }

    /// One query and what follows from it. How long to rest before the next.
    fn turn(&self, memory: &mut Memory, slot: &mut Option<http::Wire>) -> Duration {
        let held_back = memory.plan(Instant::now());
        if !held_back.is_zero() {
            self.connection.count(|counters| counters.limited += 1);
            self.pause(held_back);
        }
        let Ok(wire) = self.connection.wire(&self.cutter, slot, Connection::setup) else {
            return Duration::ZERO;
        };
        if !Weak::ptr_eq(&memory.setup, &Arc::downgrade(&wire.setup)) {
            memory.setup = Arc::downgrade(&wire.setup);
            memory.cursor = Cursor::default();
            memory.retry.reset();
            self.report().state = WatchState::Waiting;
        }
        // Gone unless there is an answer: after a failure Consul may be another, or wiped, with a
        // lower index, and would let a query with this one wait for all of its time.
        let mut cursor = std::mem::take(&mut memory.cursor);
        let wait = wire.setup.settings().consul.watch_wait;
        let request = self.request(cursor, wait);
        let asked = Instant::now();
        let heard = self.connection.ask(&self.cutter, wire, &request, read);
        memory.answered = Some(Instant::now());
        match heard {
            Ok(Heard::Pairs { pairs, index }) => {
                self.connection.count(|counters| counters.wakeups += 1);
                memory.retry.reset();
                cursor.advance(index.as_deref(), asked.elapsed() < wait);
                memory.cursor = cursor;
                self.deliver(memory, pairs);
                Duration::ZERO
            }
            Ok(Heard::Refused(reason)) => self.failed(memory, Class::Refused, reason),
            Ok(Heard::Failing(reason)) => self.failed(memory, Class::Failing, reason),
            // Cut: what is to be done now is seen at the next turn.
            Err(Fault::Interrupted | Fault::Disabled | Fault::Ending) => Duration::ZERO,
            Err(fault) => self.failed(memory, Class::Failing, fault.reason()),
        }
    }

    /// Rests for all of `time`, except when the turn is cut: rings alone are for later.
    fn pause(&self, time: Duration) {
        let end = Instant::now() + time;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || self.is_over() {
                return;
            }
            self.bell.rest(left);
        }
    }

    fn request(&self, cursor: Cursor, wait: Duration) -> Request {
        let prefix = http::encoded_path(&self.report().prefix);
        let mut path = format!("/v1/kv/{prefix}?recurse");
        let mut longest = Duration::ZERO;
        if let Some(index) = cursor.index() {
            path.push_str(&format!("&index={index}&wait={}ms", wait.as_millis()));
            // Consul adds up to a sixteenth, so that watches do not end in step.
            longest = wait + wait / 16;
        }
        Request { method: Method::Get, path, body: None, wait: longest, limit: MOST_BYTES }
    }

    /// Calls the callback, if anything is different from what it was last given.
    fn deliver(&self, memory: &mut Memory, pairs: Vec<OwnedPair>) {
        let mut report = self.report();
        report.state = WatchState::Watching;
        report.index = memory.cursor.index();
        report.keys = Some(pairs.len());
        if memory.given.as_ref() == Some(&pairs) || self.cutter.has_ended() {
            return;
        }
        report.last_change = Some(SystemTime::now());
        let prefix = report.prefix.clone();
        drop(report);
        self.connection.count(|counters| counters.changes += 1);
        let pairs = memory.given.insert(pairs);
        let borrowed: Vec<Pair<'_>> = pairs.iter().map(OwnedPair::borrowed).collect();
        if catch_unwind(AssertUnwindSafe(|| (self.changed)(&borrowed))).is_err() {
            let text =
                format!("the callback of the watch of '{prefix}' panicked; the watch goes on");
            self.connection.host().log(Level::Error, &text);
        }
    }

    fn failed(&self, memory: &mut Memory, class: Class, reason: String) -> Duration {
        self.report().state = WatchState::Failing(reason);
        memory.retry.after(class)
    }
}

fn read(reply: Reply) -> Result<Heard, Verdict> {
    let words = || words_of(&reply.body, reply.status);
    match reply.status {
        200 | 404 if reply.is_hidden => Err(Verdict::Refused("keys are hidden".to_owned())),
        200 => pairs::parse(&reply.body)
            .map(|pairs| Heard::Pairs { pairs, index: reply.index })
            .map_err(Verdict::Unreadable),
        404 => Ok(Heard::Pairs { pairs: Vec::new(), index: reply.index }),
        403 => Ok(Heard::Refused(words())),
        429 | 500..=599 => Ok(Heard::Failing(words())),
        _ => Err(Verdict::Unreadable(words())),
    }
}

#[cfg(test)]
mod tests;
