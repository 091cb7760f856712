// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A segment of the spool, of any bytes; and of any payloads with the checksums they need to be
//! looked at, each after its length in two bytes. What is read can be written again and read as the
//! same, and of a segment that is cut off anywhere a beginning of its events is read.

#![no_main]

#[path = "../../res_stasis_amqp/src"]
mod module {
    pub(crate) mod event;
    pub(crate) mod identity;
    pub(crate) mod labels;
    pub(crate) mod loss;
    pub(crate) mod plain;
    pub(crate) mod routing;
    pub(crate) mod short_text;
}
#[path = "../../res_stasis_amqp/src/spool/segment.rs"]
mod segment;

use libfuzzer_sys::fuzz_target;
use module::*;
use segment::{Contents, MARK};

fuzz_target!(|data: &[u8]| {
    check(data);
    let framed = framed(data);
    let whole = check(&framed);
    // Where it is cut follows from the input too.
    let sum = data.iter().fold(0, |sum: usize, byte| sum.wrapping_mul(31) + usize::from(*byte));
    let cut = check(&framed[..sum % (framed.len() + 1)]);
    assert!(cut.good <= whole.good);
    assert_eq!(cut.events, whole.events[..cut.events.len()]);
});

fn check(bytes: &[u8]) -> Contents {
    let contents = segment::read(bytes);
    assert!(contents.good <= bytes.len());
    let Some(head) = &contents.head else {
        assert!(contents.events.is_empty() && contents.good == 0);
        return contents;
    };
    let mut written = Vec::new();
    segment::encode_head(head, &mut written);
    for event in &contents.events {
        assert!(event.key.len() <= 255 && event.name.len() <= 255);
        assert!(segment::encode_event(event, &mut written));
    }
    let Contents { head, events, good } = segment::read(&written);
    assert_eq!((&head, &events, good), (&contents.head, &contents.events, written.len()));
    contents
}

fn framed(mut data: &[u8]) -> Vec<u8> {
    let mut segment = MARK.to_vec();
    while let Some((length, rest)) = data.split_first_chunk::<2>() {
        let (payload, rest) =
            rest.split_at(usize::from(u16::from_le_bytes(*length)).min(rest.len()));
        let length = u32::try_from(payload.len()).unwrap_or_default().to_le_bytes();
        let mut sum = crc32fast::Hasher::new();
        sum.update(&length);
        sum.update(payload);
        segment.extend_from_slice(&length);
        segment.extend_from_slice(&sum.finalize().to_le_bytes());
        segment.extend_from_slice(payload);
        data = rest;
    }
    segment
}
