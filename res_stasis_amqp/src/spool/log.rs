// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The segments of one folder as one log: written at its end, read from its front, and cut off at
//! the front as what was read is settled.
//!
//! ```text
//! first segment ...          cursor ...           read ...            end
//! | settled, to be unlinked  | read, not settled  | unread            |
//! ```

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;

use super::disk::Disk;
use super::segment::{self, Head};
use super::walk::{Step, Walked, walk};
use crate::event::Event;
use crate::identity::{Identity, Origin, Place};
use crate::loss::{Loss, Reason, Told};
use crate::outbox::Overflow;

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

const CURSOR: &str = "cursor";
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
    fn unread(&self, skip: &BTreeSet<Place>) -> u64 {
        let rank = self.origin.as_ref().map_or(Place::THIS_RUN, |origin| origin.rank);
        let [first, last] = [self.first, self.last].map(|sequence| Place { rank, sequence });
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
    /// Reads all there is. `go_on` is asked now and then; none is returned once it says no.
    pub(super) fn open(
        mut disk: D,
        me: Arc<Identity>,
        options: Options,
        go_on: &mut dyn FnMut() -> bool,
    ) -> io::Result<Option<(Self, Found)>> {
        let files = disk.list()?;
        let mut numbers: Vec<_> =
            files.iter().filter_map(|(name, size)| Some((number_of(name)?, *size))).collect();
        numbers.sort_unstable();
        let asides = files.iter().filter(|(name, _)| name.ends_with(CORRUPT));
        let aside_bytes = asides.clone().map(|(_, size)| size).sum();
        let highest_aside =
            asides.filter_map(|(name, _)| number_of(name.strip_suffix(CORRUPT)?)).max();
        let highest = numbers.last().map(|(number, _)| *number).max(highest_aside);
        let cursor = read_cursor(&mut disk)?.unwrap_or(Position { number: 0, offset: 0 });
        let next_number = highest.map_or(1, |highest| highest + 1).max(cursor.number + 1);
        let mut log = Self {
            disk,
            me,
            options,
            segments: VecDeque::new(),
            writing: None,
            next_number,
            read: cursor,
            cursor,
            cursor_written: Some(cursor),
            passed: Place::default(),
            out: VecDeque::new(),
            skip: BTreeSet::new(),
            unread: 0,
            bytes: 0,
            aside_bytes,
            unsynced: None,
            gone: Place::default(),
            buffer: Vec::new(),
        };
        let mut found = Found::default();
        let mut runs: Vec<Origin> = Vec::new();
        let mut passed = Place::default();
        let mut headless = Vec::new();
        for (number, size) in numbers {
            if number < cursor.number {
                log.disk.remove(&name_of(number))?;
                continue;
            }
            match log.scan(number, size, &mut runs, &mut passed, go_on)? {
                Scan::Whole(segment) => log.segments.push_back(segment),
                Scan::Headless => headless.push((number, size)),
                Scan::GivenUp => return Ok(None),
            }
        }
        log.mend(&headless, &mut found)?;
        log.unread = log.segments.iter().map(|segment| segment.events).sum();
        log.bytes = log.segments.iter().map(|segment| segment.size).sum();
        log.advance(None)?;
        Ok(Some((log, found)))
    }

    fn scan(
        &mut self,
        number: u64,
        size: u64,
        runs: &mut Vec<Origin>,
        passed: &mut Place,
        go_on: &mut dyn FnMut() -> bool,
    ) -> io::Result<Scan> {
        let name = name_of(number);
        let mut mark = *segment::MARK;
        let marked = self.disk.read(&name, 0, &mut mark)? == mark.len() && mark == *segment::MARK;
        let mut head = None;
        if marked {
            walk(&mut self.disk, &name, mark.len() as u64, size, |payload, end| {
                let read = segment::decode_head(payload);
                head = head.take().or(read.map(|read| (read, end)));
                Step::Stop
            })?;
        }
        let Some((Head { identity, .. }, end)) = head.filter(|(head, _)| head.number == number)
        else {
            return Ok(Scan::Headless);
        };
        let mut segment = Segment {
            number,
            origin: rank(identity, &self.me, runs),
            head: end,
            len: size,
            size,
            is_corrupt: false,
            events: 0,
            read: 0,
            first: 0,
            last: 0,
            last_read: 0,
            reports: VecDeque::new(),
        };
        let settled = if number == self.cursor.number { self.cursor.offset } else { 0 };
        let origin = segment.origin.clone();
        let mut given_up = false;
        let walked = walk(&mut self.disk, &name, end.max(settled), size, |payload, _| {
            if segment.events.is_multiple_of(1024) && !go_on() {
                given_up = true;
                return Step::Stop;
            }
            match segment::decode_event(payload, origin.as_ref()) {
                Some(event) => {
                    if event.place() > *passed {
                        *passed = event.place();
                        segment.add(&event);
                    }
                    Step::On
                }
                None => Step::Fault,
            }
        })?;
        if given_up {
            return Ok(Scan::GivenUp);
        }
        if let Walked::Fault(offset) | Walked::Stopped(offset) = walked {
            segment.len = offset;
        }
        Ok(Scan::Whole(segment))
    }

    /// Cuts off torn ends, and finds out what is missing where a file is damaged.
    fn mend(&mut self, headless: &[(u64, u64)], found: &mut Found) -> io::Result<()> {
        let last = self.segments.back().map(|segment| segment.number);
        let newest = headless.last().map(|(number, _)| *number).max(last);
        for (number, size) in headless {
            let lost = self.gap_at(*number);
            let file = name_of(*number);
            if lost.is_none() && newest == Some(*number) {
                // A crash right after it was made.
                self.disk.remove(&file)?;
                found.findings.push(Finding::Torn { file, bytes: *size });
                continue;
            }
            self.disk.rename(&file, &format!("{file}{CORRUPT}"))?;
            self.aside_bytes += size;
            let count = lost.as_ref().map_or(0, |lost| lost.loss.count);
            found.findings.push(Finding::Corrupt { file, offset: 0, lost: count });
            found.lost.extend(lost);
        }
        for index in 0..self.segments.len() {
            let Some(segment) = self.segments.get(index).filter(|one| one.len < one.size) else {
                continue;
            };
            let (number, len, size) = (segment.number, segment.len, segment.size);
            let file = name_of(number);
            let lost = self.gap_behind(index);
            let is_torn = lost.is_none();
            if is_torn {
                self.disk.cut(&file, len)?;
                found.findings.push(Finding::Torn { file, bytes: size - len });
            } else {
                let lost_events = lost.as_ref().map_or(0, |lost| lost.loss.count);
                found.findings.push(Finding::Corrupt { file, offset: len, lost: lost_events });
                found.lost.extend(lost);
            }
            if let Some(segment) = self.segments.get_mut(index) {
                segment.is_corrupt = !is_torn;
                segment.size = if is_torn { len } else { size };
            }
        }
        Ok(())
    }

    /// What is missing between the events of a segment, or of the one before it, and those of the
    /// next of the same run. None: nothing, as at a crash; it may then have been torn.
    fn gap_behind(&self, index: usize) -> Option<Lost> {
        let segment = self.segments.get(index)?;
        let next = self.segments.iter().skip(index + 1).find(|next| next.events > 0)?;
        self.gap(Some(segment), next)
    }

    fn gap_at(&self, number: u64) -> Option<Lost> {
        let before = self.segments.iter().rfind(|one| one.number < number && one.events > 0);
        let next = self.segments.iter().find(|one| one.number > number && one.events > 0)?;
        self.gap(before, next)
    }

    fn gap(&self, before: Option<&Segment>, next: &Segment) -> Option<Lost> {
        let before = before.filter(|before| before.origin == next.origin)?;
        let last = match before.events {
            0 => self.segments.iter().rfind(|one| {
                one.number < before.number && one.events > 0 && one.origin == next.origin
            })?,
            _ => before,
        }
        .last;
        let count = next.first.checked_sub(last + 1).filter(|count| *count > 0)?;
        let loss =
            Loss { first: last + 1, last: next.first - 1, count, reason: Reason::SpoolCorrupt };
        let about = next.origin.as_ref().map(|origin| Arc::clone(&origin.identity));
        Some(Lost { about, loss, untold: Vec::new() })
    }

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
        last.map_or(Place::default(), |segment| Place {
            rank: segment.origin.as_ref().map_or(Place::THIS_RUN, |origin| origin.rank),
            sequence: segment.last,
        })
    }

    /// Puts events at the end, in order, and among them `copies` of what is in memory and was taken
    /// from there, so that they are on disk but not to be read. All or nothing, but for events too
    /// large for a segment; `lost` gets those, and what had to go to make room.
    pub(super) fn append(
        &mut self,
        copies: &[Arc<Event>],
        events: &[Arc<Event>],
        lost: &mut Vec<Lost>,
    ) -> Result<(), Refusal> {
        self.pass_skipped();
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let result = self.append_with(&mut buffer, copies, events, lost);
        // One large event is no reason to keep so much.
        buffer.clear();
        buffer.shrink_to(4 << 20);
        self.buffer = buffer;
        result
    }

    fn append_with(
        &mut self,
        buffer: &mut Vec<u8>,
        copies: &[Arc<Event>],
        events: &[Arc<Event>],
        lost: &mut Vec<Lost>,
    ) -> Result<(), Refusal> {
        let head = Head { identity: Identity::clone(&self.me), number: self.next_number };
        segment::encode_head(&head, buffer);
        let head_bytes = buffer.len();
        let most = usize::try_from(self.options.max_bytes).unwrap_or(usize::MAX);
        let copies = copies.iter().map(|event| (event, true));
        let mut all: Vec<_> = events.iter().map(|event| (event, false)).chain(copies).collect();
        all.sort_unstable_by_key(|(event, _)| event.place());
        let mut frames: Vec<Frame<'_>> = Vec::with_capacity(all.len());
        let mut too_large = Vec::new();
        for (event, is_copy) in all {
            let before = buffer.len();
            if !segment::encode_event(event, buffer) || head_bytes + buffer.len() - before > most {
                buffer.truncate(before);
                if !is_copy {
                    too_large.push(event);
                }
                continue;
            }
            frames.push(Frame { event, is_copy, end: buffer.len() });
        }
        if !frames.is_empty() {
            let needed = buffer.len() as u64;
            let has_room = self.make_room(needed, lost).map_err(Refusal::Failed)?;
            has_room.then_some(()).ok_or(Refusal::Full)?;
            self.write(buffer, head_bytes, &frames).map_err(Refusal::Failed)?;
        }
        for event in too_large {
            let untold = event.loss.as_deref().cloned().into_iter().collect();
            let loss = Loss::of_one(event.sequence, Reason::TooLarge);
            lost.push(Lost { about: None, loss, untold });
        }
        Ok(())
    }

    /// Whether so many bytes more have room.
    fn make_room(&mut self, needed: u64, lost: &mut Vec<Lost>) -> io::Result<bool> {
        while self.bytes().saturating_add(needed) > self.options.max_bytes {
            if self.options.overflow == Overflow::DropNewest || self.segments.is_empty() {
                return Ok(false);
            }
            lost.extend(self.drop_oldest()?);
        }
        Ok(true)
    }

    fn write(&mut self, buffer: &[u8], head_bytes: usize, frames: &[Frame<'_>]) -> io::Result<()> {
        let full = self.options.segment_bytes();
        let writing = self.writing.and_then(|number| self.index(number));
        let writing =
            writing.filter(|index| self.segments.get(*index).is_some_and(|one| one.len < full));
        let is_new = writing.is_none();
        let index = match writing {
            Some(index) => index,
            None => self.begin(head_bytes as u64)?,
        };
        let Some(segment) = self.segments.get(index) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let (number, start) = (segment.number, if is_new { 0 } else { segment.len });
        let skipped = if is_new { 0 } else { head_bytes };
        let name = name_of(number);
        let bytes = buffer.get(skipped..).unwrap_or_default();
        let mut written = self.disk.write(&name, start, bytes);
        if is_new && self.options.sync && written.is_ok() {
            written = self.disk.sync_names();
        }
        if let Err(error) = written {
            // If this fails too, the next write begins another segment, and the next opening sees
            // that nothing is missing behind the torn end.
            let undone = if is_new { self.disk.remove(&name) } else { self.disk.cut(&name, start) };
            if is_new {
                self.segments.pop_back();
            } else if undone.is_err()
                && let Some(segment) = self.segments.get_mut(index)
            {
                // At most so much is there.
                segment.size += bytes.len() as u64;
                self.bytes += bytes.len() as u64;
            }
            if is_new || undone.is_err() {
                self.writing = None;
            }
            return Err(error);
        }
        self.unsynced = Some(number);
        let Some(segment) = self.segments.get_mut(index) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        for Frame { event, is_copy, end } in frames {
            segment.add(event);
            segment.len = start + (end - skipped) as u64;
            let position = Position { number, offset: segment.len };
            if !is_copy {
                self.unread += 1;
            } else if self.unread == 0 && self.skip.is_empty() {
                segment.note_read(event.sequence);
                self.out.push_back((event.place(), position));
                self.read = position;
                self.passed = event.place();
            } else {
                self.skip.insert(event.place());
            }
        }
        segment.size = segment.len;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Makes a segment's entry; its file comes with the first write.
    fn begin(&mut self, head: u64) -> io::Result<usize> {
        self.sync()?;
        let number = self.next_number;
        self.next_number += 1;
        self.segments.push_back(Segment {
            number,
            origin: None,
            head,
            len: head,
            size: 0,
            is_corrupt: false,
            events: 0,
            read: 0,
            first: 0,
            last: 0,
            last_read: 0,
            reports: VecDeque::new(),
        });
        self.writing = Some(number);
        Ok(self.segments.len() - 1)
    }

    /// Moves the next unread events to `into`: so many, of so many bytes together; `at_least_one`
    /// whatever its size.
    pub(super) fn read(
        &mut self,
        max_events: usize,
        max_bytes: usize,
        at_least_one: bool,
        into: &mut Vec<Event>,
    ) -> Stop {
        let mut bytes = 0;
        while self.unread > 0 && into.len() < max_events {
            let Some(index) = self.reading() else { return Stop::Done };
            let Self { disk, segments, read, out, skip, unread, passed, .. } = self;
            let Some(segment) = segments.get_mut(index) else { return Stop::Done };
            let (number, len, origin) = (segment.number, segment.len, segment.origin.clone());
            let walked = walk(disk, &name_of(number), read.offset, len, |payload, end| {
                if into.len() >= max_events {
                    return Step::Stop;
                }
                let Some(event) = segment::decode_event(payload, origin.as_ref()) else {
                    return Step::Fault;
                };
                if event.place() <= *passed {
                    *read = Position { number, offset: end };
                    return Step::On;
                }
                let cost = event.cost();
                let is_skipped = skip.contains(&event.place());
                let fits = bytes + cost <= max_bytes || at_least_one && into.is_empty();
                if !is_skipped && !fits {
                    return Step::Stop;
                }
                *read = Position { number, offset: end };
                *passed = event.place();
                segment.note_read(event.sequence);
                out.push_back((event.place(), *read));
                if is_skipped {
                    skip.remove(&event.place());
                } else {
                    *unread -= 1;
                    bytes += cost;
                    into.push(event);
                }
                Step::On
            });
            match walked {
                Ok(Walked::End) => {}
                Ok(Walked::Stopped(_)) => return Stop::Done,
                Ok(Walked::Fault(_)) => return Stop::Fault,
                Err(error) => return Stop::Failed(error),
            }
        }
        Stop::Done
    }

    /// The segment that the next unread event is in; the point of reading is in it then.
    fn reading(&mut self) -> Option<usize> {
        let at = self.read;
        let index = self.segments.iter().position(|one| {
            one.number > at.number || one.number == at.number && at.offset < one.len
        })?;
        let segment = self.segments.get(index)?;
        if segment.number > at.number || at.offset < segment.head {
            self.read = Position { number: segment.number, offset: segment.head };
        }
        Some(index)
    }

    /// What cannot be read of a segment is lost; the file is put aside when the rest is settled.
    /// Its name, and where it is damaged.
    pub(super) fn give_up_reading(&mut self) -> Option<(String, u64, Option<Lost>)> {
        let index = self.reading()?;
        let read = self.read;
        let Self { segments, skip, unread, writing, .. } = self;
        let segment = segments.get_mut(index)?;
        let lost = segment.lose(Reason::SpoolCorrupt, skip);
        *unread -= lost.as_ref().map_or(0, |lost| lost.loss.count);
        let last = segment.last;
        let rank = segment.origin.as_ref().map_or(Place::THIS_RUN, |origin| origin.rank);
        skip.retain(|place| place.rank != rank || place.sequence > last);
        segment.is_corrupt = true;
        segment.events = segment.read;
        segment.len = read.offset;
        writing.take_if(|writing| *writing == segment.number);
        Some((name_of(segment.number), read.offset, lost))
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

    /// Unlinks the oldest segment to make room.
    fn drop_oldest(&mut self) -> io::Result<Option<Lost>> {
        let Some(segment) = self.segments.front() else { return Ok(None) };
        let number = segment.number;
        gone(self.disk.remove(&name_of(number)))?;
        let Self { segments, skip, .. } = self;
        let Some(mut segment) = segments.pop_front() else { return Ok(None) };
        let lost = segment.lose(Reason::SpoolFull, skip);
        let rank = segment.origin.as_ref().map_or(Place::THIS_RUN, |origin| origin.rank);
        skip.retain(|place| place.rank != rank || place.sequence > segment.last);
        self.unread -= lost.as_ref().map_or(0, |lost| lost.loss.count);
        self.bytes -= segment.size;
        self.gone = self.gone.max(Place { rank, sequence: segment.last });
        self.forget(number);
        Ok(lost)
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

    fn write_cursor(&mut self) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(20);
        bytes.extend_from_slice(&self.cursor.number.to_le_bytes());
        bytes.extend_from_slice(&self.cursor.offset.to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        self.disk.write(CURSOR, 0, &bytes)?;
        self.cursor_written = Some(self.cursor);
        Ok(())
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

    /// The oldest events that are not settled, without reading them in the log's sense.
    pub(super) fn peek(&mut self, count: usize) -> io::Result<Vec<Event>> {
        let mut events = Vec::new();
        for segment in &self.segments {
            let from = match segment.number == self.cursor.number {
                true => self.cursor.offset.max(segment.head),
                false => segment.head,
            };
            let origin = segment.origin.as_ref();
            let name = name_of(segment.number);
            walk(
                &mut self.disk,
                &name,
                from,
                segment.len,
                |payload, _| match segment::decode_event(payload, origin) {
                    Some(event) if events.len() < count => {
                        events.push(Event { body: Box::default(), ..event });
                        Step::On
                    }
                    _ => Step::Stop,
                },
            )?;
            if events.len() >= count {
                break;
            }
        }
        Ok(events)
    }

    /// Whether the disk can be read at all.
    pub(super) fn probe(&mut self) -> io::Result<()> {
        read_cursor(&mut self.disk).map(drop)
    }

    /// Whether the disk can be written at all.
    pub(super) fn touch(&mut self) -> io::Result<()> {
        self.write_cursor()
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

/// An event as it is about to be written.
struct Frame<'a> {
    event: &'a Arc<Event>,
    is_copy: bool,
    /// Where it ends in the bytes to write.
    end: usize,
}

enum Scan {
    Whole(Segment),
    /// Without a good beginning, so nothing of it can be used.
    Headless,
    GivenUp,
}

/// Of another run, in order of appearance; none: of this one.
fn rank(identity: Identity, me: &Identity, runs: &mut Vec<Origin>) -> Option<Origin> {
    if identity == *me {
        return None;
    }
    if let Some(known) = runs.iter().find(|run| *run.identity == identity) {
        return Some(known.clone());
    }
    let rank = u32::try_from(runs.len()).unwrap_or(Place::THIS_RUN - 1);
    let origin = Origin { rank, identity: Arc::new(identity) };
    runs.push(origin.clone());
    Some(origin)
}

fn read_cursor(disk: &mut impl Disk) -> io::Result<Option<Position>> {
    let mut bytes = [0; 20];
    match disk.read(CURSOR, 0, &mut bytes) {
        Ok(20) => {}
        Ok(_) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    }
    let (numbers, sum) = bytes.split_at(16);
    let (number, offset) = numbers.split_at(8);
    let word = |bytes: &[u8]| bytes.first_chunk().copied().map(u64::from_le_bytes);
    let is_good = *sum == crc32fast::hash(numbers).to_le_bytes();
    let position = word(number).zip(word(offset));
    Ok(position.filter(|_| is_good).map(|(number, offset)| Position { number, offset }))
}

/// A file that is gone already is what was wanted.
fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
