// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The front of the log: what is read, and what is given up.

use std::io;

use super::{Log, Lost, Position, Stop, name_of};
use crate::event::Event;
use crate::loss::Reason;
use crate::spool::disk::Disk;
use crate::spool::segment::{self};
use crate::spool::walk::{Step, Walked, walk};

impl<D: Disk> Log<D> {
    /// Moves the next unread events to `into`: so many, of so many bytes together; `at_least_one`
    /// whatever its size.
    pub(in crate::spool) fn read(
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
    pub(in crate::spool) fn give_up_reading(&mut self) -> Option<(String, u64, Option<Lost>)> {
        let index = self.reading()?;
        let read = self.read;
        let Self { segments, skip, unread, writing, .. } = self;
        let segment = segments.get_mut(index)?;
        let lost = segment.lose(Reason::SpoolCorrupt, skip);
        *unread -= lost.as_ref().map_or(0, |lost| lost.loss.count);
        segment.unskip(skip);
        segment.is_corrupt = true;
        segment.events = segment.read;
        segment.len = read.offset;
        writing.take_if(|writing| *writing == segment.number);
        Some((name_of(segment.number), read.offset, lost))
    }

    /// The oldest events that are not settled, without reading them in the log's sense.
    pub(in crate::spool) fn peek(&mut self, count: usize) -> io::Result<Vec<Event>> {
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
}
