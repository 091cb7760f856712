// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What moves events between memory and disk, a turn at a time. It knows no thread, no clock and no
//! log of the host's.

use std::io;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::disk::Disk;
use super::log::{Finding, Found, Log, Lost, Options, Refusal, Stop};
use super::state::{Report, Shown, State};
use crate::identity::Identity;
use crate::loss::Reason;
use crate::outbox::{Calls, Goal, Outbox};

/// How often it is looked whether the broker takes anything.
const TICK: Duration = Duration::from_millis(250);

/// What may be written and not be safe from a power failure.
const SYNC: Duration = Duration::from_millis(200);

/// Between two tries of a disk that fails: at first, and at most.
const RETRY: Duration = Duration::from_secs(1);
const RETRY_AT_MOST: Duration = Duration::from_secs(30);

/// How often a failing read is tried before the segment is given up: it holds up everything.
const READ_TRIES: u32 = 4;

/// How long events wait for a former run's to be read.
pub(super) const OPENING: Duration = Duration::from_secs(10);

/// Events to write at one time.
const BATCH: usize = 1024;

/// A disk that is nearly full is filled up to this.
const LEAST_BYTES: usize = 16 << 10;

/// Batches in one turn, so that reading has its turn too.
const BATCHES: usize = 32;

/// Which spool there is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) dir: String,
    pub(super) options: Options,
}

/// How important a line of the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Notice,
    Warning,
    Error,
}

/// Opens a directory.
pub(super) type Opener<D> = Box<dyn FnMut(&str) -> Result<D, String> + Send>;

struct Open<D> {
    dir: String,
    log: Log<D>,
    is_draining: bool,
}

/// A disk that fails, and when it is tried again.
struct Trouble {
    reason: String,
    next: Instant,
    wait: Duration,
}

pub(super) struct Pump<D> {
    outbox: Arc<Outbox>,
    me: Arc<Identity>,
    opener: Opener<D>,
    wanted: Option<Wanted>,
    open: Option<Open<D>>,
    trouble: Option<Trouble>,
    /// Failed reads in a row. While there are any, nothing is written either: it may never be read.
    failed_reads: u32,
    is_full: bool,
    /// What the disk had room for at one time.
    batch_bytes: usize,
    tick: Instant,
    moves: u64,
    /// The broker took nothing for a tick, though something waits.
    is_stalled: bool,
    synced: Instant,
    has_written: bool,
    lines: Vec<(Level, String)>,
}

impl<D: Disk> Pump<D> {
    pub(super) fn new(
        outbox: Arc<Outbox>,
        me: Arc<Identity>,
        opener: Opener<D>,
        now: Instant,
    ) -> Self {
        Self {
            outbox,
            me,
            opener,
            wanted: None,
            open: None,
            trouble: None,
            failed_reads: 0,
            is_full: false,
            batch_bytes: usize::MAX,
            tick: now,
            moves: 0,
            is_stalled: false,
            synced: now,
            has_written: false,
            lines: Vec::new(),
        }
    }

    /// What there is to be from now on.
    pub(super) fn want(&mut self, wanted: Option<Wanted>) {
        if self.wanted != wanted {
            // What is wrong now may not be wrong any more.
            self.trouble.iter_mut().for_each(|trouble| trouble.next = self.tick);
        }
        self.wanted = wanted;
    }

    /// What is to be said since it was last asked.
    pub(super) fn lines(&mut self) -> Vec<(Level, String)> {
        mem::take(&mut self.lines)
    }

    /// Does what is to be done, and says when to do it again at the latest. `go_on` is asked while a
    /// spool is being opened.
    pub(super) fn turn(&mut self, now: Instant, go_on: &mut dyn FnMut() -> bool) -> Duration {
        self.follow_wanted(now, go_on);
        if now >= self.tick + TICK {
            let progress = self.outbox.progress();
            self.is_stalled = progress.waits && progress.moves == self.moves;
            self.moves = progress.moves;
            self.tick = now;
        }
        self.has_written = false;
        let mut calls = Calls::default();
        if self.open.is_some() {
            self.settle(now);
            calls.to_write = self.write(now, if self.is_stalled { Goal::All } else { Goal::Half });
            calls.to_read = self.read(now);
            self.sync(now);
        }
        self.outbox.pump_sleeps(calls);
        match self.open.as_ref().is_some_and(|open| open.log.is_unsynced()) {
            true => (self.synced + SYNC).saturating_duration_since(now).min(TICK),
            false => (self.tick + TICK).saturating_duration_since(now),
        }
        .max(Duration::from_millis(1))
    }

    /// The end: everything that is in memory only goes to disk, as far as there is time.
    pub(super) fn finish(&mut self, by: Instant, now: impl Fn() -> Instant) {
        self.settle(now());
        // What failed a moment ago may do now; there is no later.
        self.trouble.iter_mut().for_each(|trouble| trouble.next = now());
        while now() < by && self.write(now(), Goal::All) && self.has_written {
            self.has_written = false;
        }
        if let Some(open) = &mut self.open
            && let Err(error) = open.log.sync()
        {
            self.fail(now(), format!("cannot be written to disk for good: {error}"));
        }
        self.open = None;
    }

    fn follow_wanted(&mut self, now: Instant, go_on: &mut dyn FnMut() -> bool) {
        let dir = self.wanted.as_ref().map(|wanted| &wanted.dir);
        if let Some(open) = &mut self.open {
            let is_wanted = dir == Some(&open.dir);
            match &self.wanted {
                Some(wanted) if is_wanted => open.log.set_options(wanted.options),
                _ => {}
            }
            if open.is_draining == is_wanted {
                open.is_draining = !is_wanted;
                if is_wanted { self.outbox.resume_spool() } else { self.outbox.detach_spool() }
            }
            if open.is_draining && open.log.is_empty() {
                let text = format!("spool {}: everything in it was delivered; closed", open.dir);
                self.say(Level::Notice, text);
                self.open = None;
                self.trouble = None;
                self.outbox.forget_spool();
            }
        }
        if self.open.is_none() {
            match self.wanted.clone() {
                Some(wanted) if self.may_try(now) => self.open(wanted, now, go_on),
                Some(_) => {}
                None => {
                    self.trouble = None;
                    self.outbox.release();
                }
            }
        }
    }

    fn open(&mut self, wanted: Wanted, now: Instant, go_on: &mut dyn FnMut() -> bool) {
        let opened = (self.opener)(&wanted.dir).and_then(|disk| {
            Log::open(disk, Arc::clone(&self.me), wanted.options, go_on)
                .map_err(|error| format!("cannot be read: {error}"))
        });
        match opened {
            Ok(Some((log, found))) => {
                self.say_found(&wanted.dir, &found, log.unread());
                self.recover(&wanted.dir);
                self.outbox.attach_spool(log.unread(), log.last_place(), &found.lost);
                self.is_full = false;
                self.failed_reads = 0;
                self.open = Some(Open { dir: wanted.dir, log, is_draining: false });
            }
            Ok(None) => {}
            Err(reason) => {
                self.fail(now, reason);
                // It may take long, so nothing waits for it.
                self.outbox.release();
            }
        }
    }

    /// Lets go on disk what was delivered.
    fn settle(&mut self, now: Instant) {
        let Some(open) = &mut self.open else { return };
        let failed = open.log.advance(self.outbox.oldest_unsettled()).err();
        let options = open.log.options();
        let is_full = self.is_full && open.log.bytes() > options.room_again();
        if self.is_full && !is_full {
            let text = format!("spool {}: there is room again", open.dir);
            self.say(Level::Notice, text);
        }
        if self.is_full != is_full {
            self.is_full = is_full;
            self.outbox.set_spool_full(is_full);
        }
        if let Some(error) = failed {
            self.fail(now, format!("cannot be changed: {error}"));
        }
    }

    /// Writes what is to leave memory. Whether more could be written.
    fn write(&mut self, now: Instant, goal: Goal) -> bool {
        for _ in 0..BATCHES {
            if !self.may_try(now) {
                return false;
            }
            let Some(open) = self.open.as_mut().filter(|open| !open.is_draining) else {
                return false;
            };
            if self.failed_reads > 0 {
                if open.log.unread() > 0 {
                    return false;
                }
                if let Err(error) = open.log.probe() {
                    self.fail(now, format!("cannot be read: {error}"));
                    return false;
                }
                self.failed_reads = 0;
            }
            let Some(open) = &mut self.open else { return false };
            let batch_bytes = open.log.options().batch_bytes().min(self.batch_bytes);
            let Some(batch) = self.outbox.begin_spooling(goal, BATCH, batch_bytes) else {
                if self.trouble.is_some() && open.log.touch().is_ok() {
                    let dir = open.dir.clone();
                    self.recover(&dir);
                }
                break;
            };
            let mut lost = Vec::new();
            let appended = open.log.append(&batch.copies, &batch.events, &mut lost);
            let (unread, gone) = (open.log.unread(), open.log.gone());
            match &appended {
                Ok(()) => self.outbox.end_spooling(unread, &lost),
                Err(_) => self.outbox.undo_spooling(unread, &lost),
            }
            self.outbox.note_gone(gone);
            let is_full = lost.iter().any(|lost| lost.loss.reason == Reason::SpoolFull);
            self.note_full(is_full || matches!(appended, Err(Refusal::Full)));
            match appended {
                Ok(()) => {
                    self.has_written = true;
                    self.batch_bytes = self.batch_bytes.saturating_mul(2);
                    let dir = self.wanted.as_ref().map(|wanted| wanted.dir.clone());
                    self.recover(&dir.unwrap_or_default());
                }
                Err(Refusal::Full) => return false,
                Err(Refusal::Failed(error))
                    if error.kind() == io::ErrorKind::StorageFull && batch_bytes > LEAST_BYTES =>
                {
                    self.batch_bytes = batch_bytes / 2;
                }
                Err(Refusal::Failed(error)) => {
                    self.fail(now, format!("cannot be written to: {error}"));
                    return false;
                }
            }
        }
        true
    }

    fn note_full(&mut self, is_full: bool) {
        let Some(open) = self.open.as_ref().filter(|_| is_full && !self.is_full) else { return };
        let text = format!(
            "spool {}: full with {} bytes; what is too much is dropped",
            open.dir,
            open.log.bytes()
        );
        self.say(Level::Warning, text);
        self.is_full = true;
        self.outbox.set_spool_full(true);
    }

    /// Reads ahead. Whether more could be read.
    fn read(&mut self, now: Instant) -> bool {
        if self.failed_reads > 0 && !self.may_try(now) {
            return false;
        }
        while let Some(budget) = self.outbox.budget() {
            let Some(open) = &mut self.open else { return false };
            let mut events = Vec::new();
            let log = &mut open.log;
            let stop = log.read(budget.events, budget.bytes, budget.at_least_one, &mut events);
            let is_none = events.is_empty();
            if !is_none {
                self.outbox.replay(events, log.unread());
            }
            match stop {
                Stop::Done if is_none => return false,
                Stop::Done => {
                    if mem::take(&mut self.failed_reads) > 0 {
                        let dir = open.dir.clone();
                        self.recover(&dir);
                    }
                }
                Stop::Fault => self.give_up_reading("is damaged"),
                Stop::Failed(error) => {
                    let text = format!("cannot be read: {error}");
                    self.failed_reads += 1;
                    if self.failed_reads >= READ_TRIES || error.kind() == io::ErrorKind::NotFound {
                        // Once more for the next segment, if there is one.
                        self.failed_reads = READ_TRIES - 1;
                        self.give_up_reading(&text);
                        continue;
                    }
                    self.fail(now, text);
                    return false;
                }
            }
        }
        true
    }

    fn give_up_reading(&mut self, why: &str) {
        let Some(open) = &mut self.open else { return };
        let Some((file, offset, lost)) = open.log.give_up_reading() else { return };
        let count = lost.as_ref().map_or(0, |lost| lost.loss.count);
        let text = format!(
            "spool {}: {file} {why} at byte {offset}: {count} events are lost; it will be put \
             aside as {file}.corrupt",
            open.dir
        );
        self.outbox.lose_spooled(open.log.unread(), lost.as_slice());
        self.say(Level::Error, text);
    }

    fn sync(&mut self, now: Instant) {
        let Some(open) = self.open.as_mut().filter(|open| open.log.is_unsynced()) else { return };
        if self.has_written && now < self.synced + SYNC {
            return;
        }
        self.synced = now;
        if let Err(error) = open.log.sync() {
            // What was not written for good by then cannot be told; another file begins cleanly.
            open.log.begin_anew();
            self.fail(now, format!("cannot be written to disk for good: {error}"));
        }
    }

    fn may_try(&self, now: Instant) -> bool {
        self.trouble.as_ref().is_none_or(|trouble| now >= trouble.next)
    }

    /// The disk failed. It is said once for each reason.
    fn fail(&mut self, now: Instant, reason: String) {
        let dir = self.open.as_ref().map(|open| open.dir.clone());
        let dir = dir.or_else(|| self.wanted.as_ref().map(|wanted| wanted.dir.clone()));
        let before = self.trouble.take();
        if before.as_ref().is_none_or(|before| before.reason != reason) {
            let text = format!(
                "spool {} {reason}; events wait in memory only, and it is tried again",
                dir.unwrap_or_default()
            );
            self.say(Level::Error, text);
        }
        let wait = before.map_or(RETRY, |before| (before.wait * 2).min(RETRY_AT_MOST));
        self.trouble = Some(Trouble { reason, next: now + wait, wait });
    }

    fn recover(&mut self, dir: &str) {
        if self.trouble.take().is_some() {
            self.say(Level::Notice, format!("spool {dir}: works again"));
        }
    }

    fn say(&mut self, level: Level, text: String) {
        self.lines.push((level, text));
    }

    fn say_found(&mut self, dir: &str, found: &Found, events: u64) {
        for finding in &found.findings {
            match finding {
                Finding::Torn { file, bytes } => self.say(
                    Level::Warning,
                    format!("spool {dir}: {bytes} bytes at the end of {file} were torn; cut off"),
                ),
                Finding::Corrupt { file, offset, lost } => self.say(
                    Level::Error,
                    format!(
                        "spool {dir}: {file} is damaged at byte {offset}: {lost} events are lost; \
                         it is put aside as {file}.corrupt when the rest of it is delivered"
                    ),
                ),
            }
        }
        if events > 0 {
            self.say(Level::Notice, format!("spool {dir}: {events} events of before are in it"));
        }
    }

    /// How it is.
    pub(super) fn report(&self) -> Report {
        let dir = self.wanted.as_ref().map(|wanted| &wanted.dir);
        let dir = self.open.as_ref().map(|open| &open.dir).or(dir).cloned().unwrap_or_default();
        let events = self.open.as_ref().map_or(0, |open| open.log.unread());
        let state = match (&self.open, &self.trouble) {
            (_, Some(trouble)) => State::Broken { reason: trouble.reason.clone() },
            (None, None) if self.wanted.is_none() => State::Off,
            (None, None) => State::Opening,
            (Some(open), None) if open.is_draining => State::Draining,
            (Some(_), None) if self.is_full => State::Full,
            (Some(open), None) if open.log.is_empty() => State::Idle,
            (Some(_), None) => State::Holding,
        };
        let bytes = self.open.as_ref().map_or(0, |open| open.log.bytes());
        let options = self.open.as_ref().map(|open| open.log.options());
        let options = options.or(self.wanted.as_ref().map(|wanted| wanted.options));
        let max_bytes = options.map_or(0, |options| options.max_bytes);
        Report { state, dir, events, bytes, max_bytes }
    }

    /// What is in it, with the oldest `count` events.
    pub(super) fn show(&mut self, count: usize) -> Result<Shown, String> {
        let report = self.report();
        let Some(open) = &mut self.open else {
            return Err(report.to_string());
        };
        let events = open.log.peek(count).map_err(|error| format!("cannot be read: {error}"))?;
        Ok(Shown { report, rows: open.log.rows(), cursor: open.log.cursor(), events })
    }

    /// A turn has panicked.
    pub(super) fn note_panic(&mut self, now: Instant) {
        let unread = self.open.as_ref().map_or(0, |open| open.log.unread());
        let none: [Lost; 0] = [];
        self.outbox.undo_spooling(unread, &none);
        self.fail(now, "had an internal error".to_owned());
    }

    #[cfg(test)]
    pub(super) fn log(&mut self) -> Option<&mut Log<D>> {
        self.open.as_mut().map(|open| &mut open.log)
    }
}
