// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The segments of one folder as one log: written at its end, read from its front, and cut off at
//! the front as what was read is settled.
//!
//! ```text
//! first segment ...          cursor ...           read ...            end
//! | settled, to be unlinked  | read, not settled  | unread            |
//! ```

mod cursor;
mod open;
mod read;
mod write;

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;

use super::disk::Disk;
use crate::event::Event;
use crate::identity::{Identity, Origin, Place};
use crate::limits::Overflow;
use crate::loss::{Loss, Reason, Told};

/// How the log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Options {
    /// What all files may have together.
    pub(super) max_bytes: u64,
    /// Whether a power failure is reckoned with.
    pub(super) sync: bool,
    /// What goes when that is not enough.
    pub(super) overflow: Overflow,
}

impl Options {
    fn segment_bytes(self) -> u64 {
        (self.max_bytes / 16).clamp(16 << 10, 16 << 20)
    }

    /// Below this it is not full any more: further off than one segment, which is what goes to make
    /// room.
    pub(super) fn room_again(self) -> u64 {
        self.max_bytes.saturating_sub(2 * self.segment_bytes())
    }

    /// How much to write at one time, so that a segment is not passed by far.
    pub(super) fn batch_bytes(self) -> usize {
        usize::try_from(self.segment_bytes() / 2).unwrap_or(usize::MAX).min(1 << 20)
    }
}

/// Events that are not in the log any more, and were not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lost {
    /// Of which run; none: this one.
    pub(crate) about: Option<Arc<Identity>>,
    pub(crate) loss: Loss,
    /// What the EventsLost among them told of.
    pub(crate) untold: Vec<Told>,
}

/// What opening found that an operator should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// The end of a file, as a crash leaves it; cut off.
    Torn { file: String, bytes: u64 },
    /// A file that is damaged before its end.
    Corrupt { file: String, offset: u64, lost: u64 },
}

/// What opening found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) findings: Vec<Finding>,
    pub(super) lost: Vec<Lost>,
}

/// Why nothing was appended.
#[derive(Debug)]
pub(super) enum Refusal {
    /// There is no room, and none is to be made.
    Full,
    Failed(io::Error),
}

/// Why no more was read.
#[derive(Debug)]
pub(super) enum Stop {
    /// Enough, or all.
    Done,
    /// The segment is damaged here.
    Fault,
    Failed(io::Error),
}

/// A point in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) number: u64,
    pub(crate) offset: u64,
}

/// What is known of a segment.
#[derive(Debug)]
struct Segment {
    number: u64,
    origin: Option<Origin>,
    /// Where its events begin.
    head: u64,
    /// Where they end.
    len: u64,
    /// Its file's length: more than that only if it is damaged.
    size: u64,
    is_corrupt: bool,
    events: u64,
    read: u64,
    first: u64,
    last: u64,
    last_read: u64,
    /// What its EventsLost tell of, with their numbers.
    reports: VecDeque<(u64, Told)>,
}

/// A line of `amqp spool show`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) number: u64,
    pub(crate) boot: String,
    pub(crate) events: u64,
    pub(crate) bytes: u64,
    pub(crate) first: u64,
    pub(crate) last: u64,
}

pub(super) struct Log<D> {
    disk: D,
    me: Arc<Identity>,
    options: Options,
    segments: VecDeque<Segment>,
    /// The segment that is written; none: the next write begins one.
    writing: Option<u64>,
    next_number: u64,
    read: Position,
    cursor: Position,
    cursor_written: Option<Position>,
    /// The last event that was read. What is not after it is there twice: a write that failed and
    /// could not be undone.
    passed: Place,
    /// Read and not settled, in order, with the point behind each.
    out: VecDeque<(Place, Position)>,
    /// Written behind unread ones while their originals were in memory: not to be read.
    skip: BTreeSet<Place>,
    unread: u64,
    bytes: u64,
    /// What damaged files that were put aside take.
    aside_bytes: u64,
    unsynced: Option<u64>,
    /// The last event that went to make room.
    gone: Place,
    buffer: Vec<u8>,
}

const SUFFIX: &str = ".spool";
const CORRUPT: &str = ".corrupt";

fn name_of(number: u64) -> String {
    format!("{number:020}{SUFFIX}")
}

fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    (digits.len() == 20).then(|| digits.parse().ok()).flatten()
}

impl Segment {
    /// Without events. They begin at `head` of the file, whose length is `size`.
    fn new(number: u64, origin: Option<Origin>, head: u64, size: u64) -> Self {
        Self {
            number,
            origin,
            head,
            len: size.max(head),
            size,
            is_corrupt: false,
            events: 0,
            read: 0,
            first: 0,
            last: 0,
            last_read: 0,
            reports: VecDeque::new(),
        }
    }

    fn place(&self, sequence: u64) -> Place {
        Place::of(self.origin.as_ref(), sequence)
    }

    /// Takes out of `skip` what is in this segment, or before it in the same run.
    fn unskip(&self, skip: &mut BTreeSet<Place>) {
        let last = self.place(self.last);
        skip.retain(|place| place.rank != last.rank || *place > last);
    }

    fn unread(&self, skip: &BTreeSet<Place>) -> u64 {
        let [first, last] = [self.first, self.last].map(|sequence| self.place(sequence));
        let skipped = if first <= last { skip.range(first..=last).count() as u64 } else { 0 };
        (self.events - self.read).saturating_sub(skipped)
    }

    fn add(&mut self, event: &Event) {
        if self.events == 0 {
            self.first = event.sequence;
        }
        self.events += 1;
        self.last = event.sequence;
        if let Some(told) = &event.loss {
            let about = told.about.clone();
            let about = about.or_else(|| Some(Arc::clone(&self.origin.as_ref()?.identity)));
            self.reports.push_back((event.sequence, Told { loss: told.loss, about }));
        }
    }

    fn note_read(&mut self, sequence: u64) {
        self.read += 1;
        self.last_read = sequence;
        while self.reports.front().is_some_and(|(number, _)| *number <= sequence) {
            self.reports.pop_front();
        }
    }

    /// All of it that was not read, as a loss; none if all was.
    fn lose(&mut self, reason: Reason, skip: &BTreeSet<Place>) -> Option<Lost> {
        let count = self.unread(skip);
        let first = if self.read > 0 { self.last_read + 1 } else { self.first };
        let loss = Loss { first: first.min(self.last), last: self.last, count, reason };
        let untold = std::mem::take(&mut self.reports).into_iter().map(|(_, told)| told).collect();
        let about = self.origin.as_ref().map(|origin| Arc::clone(&origin.identity));
        (count > 0).then_some(Lost { about, loss, untold })
    }
}

impl<D: Disk> Log<D> {
    /// From now on.
    pub(super) fn set_options(&mut self, options: Options) {
        self.options = options;
    }

    pub(super) fn options(&self) -> Options {
        self.options
    }

    /// Events that were not read.
    pub(super) fn unread(&self) -> u64 {
        self.unread
    }

    /// What all files take.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes + self.aside_bytes
    }

    /// The last event that went to make room.
    pub(super) fn gone(&self) -> Place {
        self.gone
    }

    /// Whether something was written that a power failure would take.
    pub(super) fn is_unsynced(&self) -> bool {
        self.unsynced.is_some() && self.options.sync
    }

    /// The next write begins a segment: it is not known what became of the last.
    pub(super) fn begin_anew(&mut self) {
        self.writing = None;
        self.unsynced = None;
    }

    /// Whether nothing is in it that is not settled.
    pub(super) fn is_empty(&self) -> bool {
        self.unread == 0 && self.out.is_empty() && self.skip.is_empty()
    }

    /// The place of the last event.
    pub(super) fn last_place(&self) -> Place {
        let last = self.segments.iter().rfind(|segment| segment.events > 0);
        last.map_or(Place::default(), |segment| segment.place(segment.last))
    }

    /// Everything before `mark` is settled; without one, everything that was read. What is settled
    /// to its end is unlinked.
    pub(super) fn advance(&mut self, mark: Option<Place>) -> io::Result<()> {
        self.pass_skipped();
        while let Some((place, behind)) = self.out.front()
            && mark.is_none_or(|mark| *place < mark)
        {
            self.cursor = self.cursor.max(*behind);
            self.out.pop_front();
        }
        if self.out.is_empty() {
            self.cursor = self.cursor.max(self.read);
        }
        while self.segments.front().is_some_and(|oldest| self.is_settled(oldest)) {
            self.unlink_oldest()?;
        }
        if self.cursor_written != Some(self.cursor) && self.write_cursor().is_err() {
            // An old one, or none, means that events are repeated after a crash. No more.
            self.cursor_written = None;
        }
        Ok(())
    }

    /// Whether a segment, the oldest, is not needed any more: also the one that is written, if there
    /// is nothing else.
    fn is_settled(&self, oldest: &Segment) -> bool {
        let is_idle = self.is_empty();
        let is_passed =
            oldest.number == self.cursor.number && oldest.len <= self.cursor.offset || is_idle;
        oldest.number < self.cursor.number
            || is_passed && (is_idle || self.writing != Some(oldest.number))
    }

    /// Without unread events, the copies that are left in the log are as good as read.
    fn pass_skipped(&mut self) {
        if self.unread > 0 || self.skip.is_empty() {
            return;
        }
        let Some(last) = self.segments.back() else { return };
        let end = Position { number: last.number, offset: last.len };
        let places = std::mem::take(&mut self.skip);
        self.out.extend(places.into_iter().map(|place| (place, end)));
        self.read = end;
        for segment in &mut self.segments {
            segment.read = segment.events;
            segment.last_read = segment.last;
            segment.reports.clear();
        }
    }

    fn unlink_oldest(&mut self) -> io::Result<()> {
        let Some(segment) = self.segments.front() else { return Ok(()) };
        let (number, size, name) = (segment.number, segment.size, name_of(segment.number));
        if segment.is_corrupt {
            gone(self.disk.rename(&name, &format!("{name}{CORRUPT}")))?;
            self.aside_bytes += size;
        } else {
            gone(self.disk.remove(&name))?;
        }
        self.bytes -= size;
        self.segments.pop_front();
        self.forget(number);
        Ok(())
    }

    /// A segment is gone: nothing points into it any more.
    fn forget(&mut self, number: u64) {
        while self.out.front().is_some_and(|(_, position)| position.number <= number) {
            self.out.pop_front();
        }
        let next = match self.segments.front() {
            Some(next) => Position { number: next.number, offset: next.head },
            None => Position { number: self.next_number, offset: 0 },
        };
        self.cursor = self.cursor.max(next);
        self.read = self.read.max(next);
        self.writing.take_if(|writing| *writing == number);
        self.unsynced.take_if(|unsynced| *unsynced == number);
    }

    /// Has what was written survive a power failure, if that is wanted.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        match self.unsynced.filter(|_| self.options.sync) {
            Some(number) => {
                self.disk.sync(&name_of(number))?;
                self.unsynced = None;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The segments, oldest first.
    pub(super) fn rows(&self) -> Vec<Row> {
        let row = |segment: &Segment| Row {
            number: segment.number,
            boot: segment.origin.as_ref().map_or(&self.me, |one| &one.identity).boot.clone(),
            events: segment.events,
            bytes: segment.size,
            first: segment.first,
            last: segment.last,
        };
        self.segments.iter().map(row).collect()
    }

    /// What was settled to.
    pub(super) fn cursor(&self) -> Position {
        self.cursor
    }

    fn index(&self, number: u64) -> Option<usize> {
        self.segments.iter().rposition(|segment| segment.number == number)
    }

    #[cfg(test)]
    pub(super) fn disk(&mut self) -> &mut D {
        &mut self.disk
    }
}

/// A file that is gone already is what was wanted.
fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
