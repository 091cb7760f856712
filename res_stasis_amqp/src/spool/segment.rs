// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A segment as bytes: a mark, a frame with whose events these are, then a frame for each event.
//!
//! ```text
//! file  = "CSPOOL1\n" frame*
//! frame = length of payload (u32) | CRC-32 of length and payload (u32) | payload
//! ```
//!
//! Numbers are little-endian. What does not check out ends the segment: a reader gets the events
//! before it and none after, however the bytes came to be. Nothing is allocated for a length that
//! the bytes do not have.

use std::sync::Arc;

use crate::event::{Category, Event, Flag};
use crate::identity::{Identity, Origin};
use crate::loss::{Loss, Reason, Told};
use crate::short_text::ShortText;

/// How a segment begins. The digit is the format's version.
pub(super) const MARK: &[u8; 8] = b"CSPOOL1\n";

/// Length and checksum before each payload.
pub(super) const FRAME: usize = 8;

/// The longest payload. A broker takes bodies of 16 MiB; the rest is for the labels.
pub(super) const MOST: usize = 17 * 1024 * 1024;

const HEAD: u8 = 1;
const EVENT: u8 = 2;

/// Whose events a segment has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) identity: Identity,
    /// The segment's number: that of its file name.
    pub(super) number: u64,
}

/// All that can be read of a segment.
#[cfg_attr(not(test), allow(dead_code))]
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) head: Option<Head>,
    /// As of the run in the head, which gets rank 0.
    pub(super) events: Vec<Event>,
    /// The bytes that were good.
    pub(super) good: usize,
}

/// What is next in some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<'a> {
    /// A frame that checks out, of so many bytes together.
    Frame { payload: &'a [u8], bytes: usize },
    /// So many bytes are needed to tell.
    Short(usize),
    /// No frame was ever written so.
    Bad,
}

/// Reads a whole segment. Any bytes will do. A fuzz target has this file by its path.
#[cfg_attr(not(test), allow(dead_code))]
pub(super) fn read(bytes: &[u8]) -> Contents {
    let mut contents = Contents { head: None, events: Vec::new(), good: 0 };
    let Some(mut rest) = bytes.strip_prefix(MARK) else {
        return contents;
    };
    let mut origin = None;
    while let Next::Frame { payload, bytes } = next(rest) {
        match &origin {
            None => {
                let Some(head) = decode_head(payload) else { break };
                let identity = Arc::new(head.identity.clone());
                origin = Some(Origin { rank: 0, identity });
                contents.head = Some(head);
                contents.good = MARK.len();
            }
            Some(_) => {
                let Some(event) = decode_event(payload, origin.as_ref()) else { break };
                contents.events.push(event);
            }
        }
        contents.good += bytes;
        rest = rest.get(bytes..).unwrap_or_default();
    }
    contents
}

/// The frame at the beginning of `bytes`.
pub(super) fn next(bytes: &[u8]) -> Next<'_> {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else {
        return Next::Short(FRAME);
    };
    let Some((sum, rest)) = rest.split_first_chunk::<4>() else {
        return Next::Short(FRAME);
    };
    let payload = u32::from_le_bytes(*length) as usize;
    if payload > MOST {
        return Next::Bad;
    }
    let Some(payload) = rest.get(..payload) else {
        return Next::Short(FRAME + payload);
    };
    if checksum(length, payload) == u32::from_le_bytes(*sum) {
        Next::Frame { payload, bytes: FRAME + payload.len() }
    } else {
        Next::Bad
    }
}

fn checksum(length: &[u8], payload: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(length);
    sum.update(payload);
    sum.finalize()
}

/// Writes a segment's beginning.
pub(super) fn encode_head(head: &Head, into: &mut Vec<u8>) {
    into.extend_from_slice(MARK);
    // A head is small.
    frame(into, |into| {
        into.push(HEAD);
        into.extend_from_slice(&head.number.to_le_bytes());
        identity(into, &head.identity);
    });
}

pub(super) fn decode_head(payload: &[u8]) -> Option<Head> {
    let mut fields = Fields(payload);
    let is_head = fields.u8()? == HEAD;
    let number = fields.u64()?;
    let identity = fields.identity()?;
    (is_head && fields.0.is_empty()).then_some(Head { identity, number })
}

/// Writes an event's frame. False, and nothing is written, if it is too long for one.
pub(super) fn encode_event(event: &Event, into: &mut Vec<u8>) -> bool {
    let application = event.application.as_deref().map_or(0, str::len);
    if event.body.len().saturating_add(application) > MOST - 4096 {
        return false;
    }
    frame(into, |into| {
        into.push(EVENT);
        into.extend_from_slice(&event.sequence.to_le_bytes());
        into.extend_from_slice(&event.timestamp.to_le_bytes());
        into.push(match event.category {
            Category::Stasis => 0,
            Category::Ami => 1,
            Category::Meta => 2,
        });
        text(into, &event.key);
        text(into, &event.name);
        into.push(u8::from(event.application.is_some()));
        if let Some(application) = &event.application {
            text(into, application);
        }
        into.push(u8::from(event.loss.is_some()));
        if let Some(told) = &event.loss {
            loss(into, told);
        }
        into.extend_from_slice(&event.body);
    })
}

/// The event of a payload that checks out; none if it is no event.
pub(super) fn decode_event(payload: &[u8], origin: Option<&Origin>) -> Option<Event> {
    let mut fields = Fields(payload);
    if fields.u8()? != EVENT {
        return None;
    }
    Some(Event {
        sequence: fields.u64()?,
        timestamp: fields.u64()?,
        category: match fields.u8()? {
            0 => Category::Stasis,
            1 => Category::Ami,
            2 => Category::Meta,
            _ => return None,
        },
        key: ShortText::new(fields.text()?),
        name: ShortText::new(fields.text()?),
        application: match fields.flag()? {
            true => Some(fields.text()?.into()),
            false => None,
        },
        loss: match fields.flag()? {
            true => Some(Box::new(fields.loss()?)),
            false => None,
        },
        body: fields.0.into(),
        origin: origin.cloned(),
        was_sent: Flag::default(),
    })
}

/// Puts a frame around what `write` writes. False, and nothing is written, if it is too long.
fn frame(into: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> bool {
    let start = into.len();
    into.extend_from_slice(&[0; FRAME]);
    write(into);
    let payload = into.len() - start - FRAME;
    let length = u32::try_from(payload).unwrap_or(u32::MAX).to_le_bytes();
    let written = into.get_mut(start..).and_then(|frame| {
        let (header, payload) = frame.split_first_chunk_mut::<FRAME>()?;
        let sum = checksum(&length, payload).to_le_bytes();
        let (for_length, for_sum) = header.split_at_mut(4);
        for_length.copy_from_slice(&length);
        for_sum.copy_from_slice(&sum);
        Some(())
    });
    if payload > MOST || written.is_none() {
        into.truncate(start);
        return false;
    }
    true
}

fn text(into: &mut Vec<u8>, text: &str) {
    // No text comes near the bound of a payload, which is far below this one's.
    into.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
    into.extend_from_slice(text.as_bytes());
}

fn identity(into: &mut Vec<u8>, identity: &Identity) {
    text(into, &identity.eid);
    text(into, &identity.boot);
}

fn loss(into: &mut Vec<u8>, told: &Told) {
    let Loss { first, last, count, reason } = told.loss;
    for number in [first, last, count] {
        into.extend_from_slice(&number.to_le_bytes());
    }
    into.push(match reason {
        Reason::QueueFull => 0,
        Reason::TooLarge => 1,
        Reason::Refused => 2,
        Reason::Stopped => 3,
        Reason::SpoolFull => 4,
        Reason::SpoolCorrupt => 5,
        Reason::Several => 6,
    });
    into.push(u8::from(told.about.is_some()));
    if let Some(about) = &told.about {
        identity(into, about);
    }
}

/// A payload that is taken apart from its front.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn flag(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn u64(&mut self) -> Option<u64> {
        self.take(8)?.first_chunk().copied().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.take(4)?.first_chunk().copied().map(u32::from_le_bytes)?;
        std::str::from_utf8(self.take(usize::try_from(length).ok()?)?).ok()
    }

    fn identity(&mut self) -> Option<Identity> {
        Some(Identity { eid: self.text()?.to_owned(), boot: self.text()?.to_owned() })
    }

    fn loss(&mut self) -> Option<Told> {
        let (first, last, count) = (self.u64()?, self.u64()?, self.u64()?);
        let reason = match self.u8()? {
            0 => Reason::QueueFull,
            1 => Reason::TooLarge,
            2 => Reason::Refused,
            3 => Reason::Stopped,
            4 => Reason::SpoolFull,
            5 => Reason::SpoolCorrupt,
            6 => Reason::Several,
            _ => return None,
        };
        let about = match self.flag()? {
            true => Some(Arc::new(self.identity()?)),
            false => None,
        };
        // What is told of by a range must be a range, or the ranges it goes back to are none.
        (first <= last).then_some(Told { loss: Loss { first, last, count, reason }, about })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::Labels;

    fn head() -> Head {
        let identity = Identity { eid: "00:00:5e:00:53:01".into(), boot: "1795264822447".into() };
        Head { identity, number: 12 }
    }

    fn events() -> Vec<Event> {
        let about = Some(Arc::new(Identity { eid: "other".into(), boot: "3".into() }));
        let loss = Loss { first: 3, last: 9, count: 6, reason: Reason::Several };
        let mut events = vec![
            Event::channel("Dial", r#"{"a":1}"#, 7),
            Event::app(&Labels::of("Größe"), "StasisStart", "{}", u64::MAX),
            Event::ami("VarSet", "{}", 0),
            Event::lost(&Told { loss, about: None }, "1", 9),
            Event::lost(&Told { loss, about }, "1", 9),
            Event::app(&Labels::of(""), "", "", 0),
        ];
        let origin = Origin { rank: 0, identity: Arc::new(head().identity) };
        for (event, number) in events.iter_mut().zip(41..) {
            event.sequence = number;
            event.origin = Some(origin.clone());
        }
        events
    }

    fn written() -> (Vec<u8>, Vec<Event>) {
        let events = events();
        let mut bytes = Vec::new();
        encode_head(&head(), &mut bytes);
        assert!(events.iter().all(|event| encode_event(event, &mut bytes)));
        (bytes, events)
    }

    /// What was read of damaged bytes must be a beginning of what was written.
    #[track_caller]
    fn assert_prefix(read: &Contents, events: &[Event]) {
        assert!(read.head.is_none() || read.head == Some(head()));
        assert_eq!(read.events, events[..read.events.len()]);
    }

    #[test]
    fn what_is_written_is_read() {
        let (bytes, events) = written();
        let read = read(&bytes);
        assert_eq!(read, Contents { head: Some(head()), events, good: bytes.len() });
    }

    #[test]
    fn cut_anywhere_it_yields_the_events_before_and_says_where_they_end() {
        let (bytes, events) = written();
        let whole = super::read(&bytes);
        assert_eq!(whole.events.len(), events.len());
        let mut ends = 0;
        for length in 0..bytes.len() {
            let read = read(&bytes[..length]);
            assert_prefix(&read, &events);
            assert!(read.good <= length && read.events.len() < events.len());
            ends += usize::from(read.good == length && read.head.is_some());
            // Cut there, it is whole.
            assert_eq!(super::read(&bytes[..read.good]).events, read.events);
        }
        assert_eq!(ends, events.len(), "after the head and after each event but the last");
    }

    #[test]
    fn with_any_bit_flipped_it_yields_events_before_and_never_another_one() {
        let (bytes, events) = written();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let read = read(&damaged);
            assert_prefix(&read, &events);
            assert!(read.good <= bit / 8, "bit {bit} is in what is taken as good");
            assert!(read.events.len() < events.len());
        }
    }

    #[test]
    fn zeros_and_noise_after_the_end_are_no_events() {
        let (bytes, events) = written();
        let mut dice = 1_u64;
        for length in 0..200 {
            let mut zeros = bytes.clone();
            zeros.resize(bytes.len() + length, 0);
            assert_eq!(read(&zeros).events, events);
            let noise = (0..length).map(|_| {
                dice = dice.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
                dice.to_le_bytes()[7]
            });
            let noisy: Vec<u8> = bytes.iter().copied().chain(noise).collect();
            let read = read(&noisy);
            assert_eq!((read.events, read.good), (events.clone(), bytes.len()));
        }
    }

    #[test]
    fn a_length_beyond_the_bound_is_bad_at_once() {
        let length = u32::try_from(MOST + 1).unwrap();
        assert_eq!(next(&[&length.to_le_bytes()[..], &[0; 4]].concat()), Next::Bad);
        let length = u32::try_from(MOST).unwrap();
        assert_eq!(next(&[&length.to_le_bytes()[..], &[0; 4]].concat()), Next::Short(FRAME + MOST));
    }

    #[test]
    fn an_event_too_long_for_a_frame_is_refused() {
        let mut bytes = vec![7];
        let event = Event::app(&Labels::of("a"), "b", &"1".repeat(MOST), 0);
        assert!(!encode_event(&event, &mut bytes));
        assert_eq!(bytes, [7]);
    }

    /// A checksum is no proof of sense: these were made on purpose.
    #[test]
    fn a_frame_that_checks_out_but_is_no_event_ends_the_segment() {
        let (bytes, events) = written();
        let payloads: [&[u8]; 4] = [&[], &[9], &[EVENT], &[HEAD, 0, 0]];
        for payload in payloads {
            let mut strange = bytes.clone();
            assert!(frame(&mut strange, |into| into.extend_from_slice(payload)));
            let read = read(&strange);
            assert_eq!((read.events.len(), read.good), (events.len(), bytes.len()));
        }
    }
}
