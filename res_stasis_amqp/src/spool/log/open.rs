// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What a folder has when it is opened: every frame is checked, torn ends are cut off, and what is
//! missing is found out.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;

use super::cursor::read_cursor;
use super::{CORRUPT, Finding, Found, Log, Lost, Options, Position, Segment, name_of, number_of};
use crate::identity::{Identity, Origin, Place};
use crate::loss::{Loss, Reason};
use crate::spool::disk::Disk;
use crate::spool::segment::{self, Head};
use crate::spool::walk::{Step, Walked, walk};

impl<D: Disk> Log<D> {
    /// Reads all there is. `go_on` is asked now and then; none is returned once it says no.
    pub(in crate::spool) fn open(
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
        let mut segment = Segment::new(number, rank(identity, &self.me, runs), end, size);
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
