// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The end of the log: what is written, and what goes to make room for it.

use std::io;
use std::sync::Arc;

use super::{Log, Lost, Position, Refusal, Segment, gone, name_of};
use crate::event::Event;
use crate::identity::Identity;
use crate::limits::Overflow;
use crate::loss::{Loss, Reason};
use crate::spool::disk::Disk;
use crate::spool::segment::{self, Head};

impl<D: Disk> Log<D> {
    /// Puts events at the end, in order, and among them `copies` of what is in memory and was taken
    /// from there, so that they are on disk but not to be read. All or nothing, but for events too
    /// large for a segment; `lost` gets those, and what had to go to make room.
    pub(in crate::spool) fn append(
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
        self.segments.push_back(Segment::new(number, None, head, 0));
        self.writing = Some(number);
        Ok(self.segments.len() - 1)
    }

    /// Unlinks the oldest segment to make room.
    fn drop_oldest(&mut self) -> io::Result<Option<Lost>> {
        let Some(segment) = self.segments.front() else { return Ok(None) };
        let number = segment.number;
        gone(self.disk.remove(&name_of(number)))?;
        let Self { segments, skip, .. } = self;
        let Some(mut segment) = segments.pop_front() else { return Ok(None) };
        let lost = segment.lose(Reason::SpoolFull, skip);
        segment.unskip(skip);
        self.unread -= lost.as_ref().map_or(0, |lost| lost.loss.count);
        self.bytes -= segment.size;
        self.gone = self.gone.max(segment.place(segment.last));
        self.forget(number);
        Ok(lost)
    }
}

/// An event as it is about to be written.
struct Frame<'a> {
    event: &'a Arc<Event>,
    is_copy: bool,
    /// Where it ends in the bytes to write.
    end: usize,
}
