// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The spool: a log on disk for what memory cannot hold, and for what is to outlive Asterisk.
//!
//! What is wanted of it: first in, first out; bounded in bytes; room that comes back on a disk that
//! is full, so without a write; damage that costs what is damaged and no more; and nothing but
//! write, fdatasync and unlink to rely on. Databases need free space to delete, are one file that
//! fails as a whole, and some refuse everything after one failed write. So it is files of frames,
//! each with a checksum:
//!
//! - `segment` is a file's format and a pure reader of it, for any bytes;
//! - `log` is the segments of a folder as one log, `walk` goes through their frames, `disk` is what
//!   they need of a file system;
//! - `pump` moves events between `outbox` and log; this file has its thread, the only one that
//!   touches the disk, and the module's handle on it.
//!
//! A folder holds `lock` (another process that has it keeps this one out), `cursor` (up to where
//! events are settled: old or damaged it means repeats, never a loss, so it is not synced),
//! segments named by ascending numbers, each with events of one run only, and damaged files that
//! were put aside (`.corrupt`), which count in the bound until an operator has removed them and the
//! folder is opened again.
//!
//! Written is written to the file system at once, so that it outlives a kill of Asterisk; with
//! `spool_sync`, fdatasync follows within 200 ms, so that it outlives a power failure too. A torn
//! end, as either leaves it, is cut off at the next opening.
//!
//! Whenever there are unread events on disk, everything older that is not settled is there as well:
//! see `outbox/spooling.rs` for the order of things.

mod disk;
mod log;
mod pump;
mod segment;
mod state;
#[cfg(test)]
mod tests;
mod walk;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use asterisk::boundary::guard;
use asterisk::thread::{self, Thread};

pub(crate) use log::Lost;
pub(crate) use state::{Report, Shown};

use crate::answer::{Answer, Waiting};
use crate::config::StasisSettings;
use crate::identity::Identity;
use crate::outbox::{Alarm, Outbox};
use disk::Folder;
use log::Options;
use pump::{Level, OPENING, Pump, Wanted};

/// How long the question of an operator may take.
const QUESTION: Duration = Duration::from_secs(5);

/// What the thread may need beyond the time for the last events: one write that is under way.
const CLOSING: Duration = Duration::from_secs(1);

/// What an operator is told whose question comes too late.
const CLOSED: &str = "closed";

/// Between two turns, if one panicked.
const AFTER_PANIC: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Orders {
    wanted: Option<Wanted>,
    questions: Vec<(usize, Answer<Shown>)>,
    /// By when to have ended.
    stop: Option<Instant>,
}

struct Shared {
    outbox: Arc<Outbox>,
    me: Arc<Identity>,
    alarm: Arc<Alarm>,
    orders: Mutex<Orders>,
    report: Mutex<Report>,
}

/// The module's handle. Its methods wait for no disk, but as they say.
pub(crate) struct Spool {
    shared: Arc<Shared>,
    thread: Mutex<Option<Arc<Thread>>>,
}

impl Spool {
    pub(crate) fn new(outbox: Arc<Outbox>, me: Identity) -> Self {
        let alarm = outbox.alarm();
        let shared = Shared {
            outbox,
            me: Arc::new(me),
            alarm,
            orders: Mutex::default(),
            report: Mutex::default(),
        };
        Self { shared: Arc::new(shared), thread: Mutex::default() }
    }

    fn thread(&self) -> MutexGuard<'_, Option<Arc<Thread>>> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on as `settings` say. The thread is made when the first spool is wanted.
    pub(crate) fn apply(&self, settings: &StasisSettings) -> Result<(), String> {
        let wanted = settings.spool.as_ref().map(|spool| Wanted {
            dir: spool.dir.clone(),
            options: Options {
                max_bytes: spool.max_bytes,
                sync: spool.sync,
                overflow: settings.limits.overflow,
            },
        });
        let mut thread = self.thread();
        let is_first = thread.is_none() && wanted.is_some();
        self.shared.orders().wanted = wanted;
        if is_first {
            self.shared.outbox.expect_spool(OPENING);
            let shared = Arc::clone(&self.shared);
            let spawned = thread::spawn("amqp spool", move || shared.work());
            match spawned {
                Ok(spawned) => *thread = Some(Arc::new(spawned)),
                Err(error) => {
                    self.shared.outbox.release();
                    return Err(format!("the spool has no thread: {error}"));
                }
            }
        }
        self.shared.alarm.ring();
        Ok(())
    }

    /// How it is.
    pub(crate) fn report(&self) -> Report {
        let mut report = self.shared.report().clone();
        report.events = self.shared.outbox.depth().spooled_events;
        report
    }

    /// What is in it, with its oldest `count` events. Waits for the thread, bounded.
    pub(crate) fn show(&self, count: usize) -> Result<Shown, String> {
        if self.thread().is_none() {
            return Err(self.report().to_string());
        }
        let waiting = Waiting::default();
        let mut orders = self.shared.orders();
        if orders.stop.is_some() {
            return Err(CLOSED.to_owned());
        }
        orders.questions.push((count, waiting.answer(CLOSED)));
        drop(orders);
        self.shared.alarm.ring();
        waiting.wait(QUESTION)
    }

    /// Writes what is left in memory, within `limit`, and ends the thread.
    ///
    /// # Errors
    ///
    /// When the disk holds it up for longer; it may be asked again.
    pub(crate) fn stop(&self, limit: Duration) -> Result<(), String> {
        // Not under the lock: who asks for what is in it meanwhile is told that it is closed.
        let Some(running) = self.thread().clone() else { return Ok(()) };
        self.shared.orders().stop.get_or_insert(Instant::now() + limit);
        self.shared.alarm.ring();
        if !running.join_within(limit + CLOSING) {
            return Err("the thread of the spool does not end: its disk does not answer".to_owned());
        }
        *self.thread() = None;
        Ok(())
    }
}

impl Drop for Spool {
    /// If an unload never came to it: the thread must be gone before the module is.
    fn drop(&mut self) {
        while let Err(reason) = self.stop(Duration::ZERO) {
            asterisk::warning!("{reason}");
        }
    }
}

impl Shared {
    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stops(&self) -> Option<Instant> {
        self.orders().stop
    }

    /// The thread.
    fn work(&self) {
        let opener = Box::new(|dir: &str| Folder::open(Path::new(dir)));
        let (outbox, me) = (Arc::clone(&self.outbox), Arc::clone(&self.me));
        let mut pump = Pump::new(outbox, me, opener, Instant::now());
        while self.stops().is_none() {
            let wait = guard(None, || Some(self.turn(&mut pump)));
            if wait.is_none() {
                pump.note_panic(Instant::now());
            }
            self.tell(&mut pump);
            self.alarm.wait(wait.unwrap_or(AFTER_PANIC));
        }
        let by = self.stops().unwrap_or_else(Instant::now);
        guard((), || pump.finish(by, Instant::now));
        self.tell(&mut pump);
        // Whoever asks now is told that it is closed.
        self.orders().questions.clear();
    }

    fn turn(&self, pump: &mut Pump<Folder>) -> Duration {
        let mut orders = self.orders();
        pump.want(orders.wanted.clone());
        let questions = std::mem::take(&mut orders.questions);
        drop(orders);
        self.report().clone_from(&pump.report());
        let wait = pump.turn(Instant::now(), &mut || self.stops().is_none());
        for (count, answer) in questions {
            answer.give(pump.show(count));
        }
        wait
    }

    fn tell(&self, pump: &mut Pump<Folder>) {
        for (level, text) in pump.lines() {
            match level {
                Level::Notice => asterisk::notice!("{text}"),
                Level::Warning => asterisk::warning!("{text}"),
                Level::Error => asterisk::error!("{text}"),
            }
        }
        *self.report() = pump.report();
    }
}
