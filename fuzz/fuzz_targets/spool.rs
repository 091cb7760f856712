// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Segments of the spool: any bytes; and frames that check out, of any payload, as no disk makes
//! them. What is read of either is read again from its own beginning, and from what is written of it.

#![no_main]

#[path = "../../res_stasis_amqp/src"]
mod module {
    pub(crate) mod event;
    pub(crate) mod identity;
    pub(crate) mod loss;
    pub(crate) mod routing;
    pub(crate) mod short_text;
}
#[path = "../../res_stasis_amqp/src/spool/segment.rs"]
mod segment;

use libfuzzer_sys::fuzz_target;
use module::*;

fuzz_target!(|data: &[u8]| {
    check(data);
    let mut framed = segment::MARK.to_vec();
    let mut rest = data;
    while let Some((length, after)) = rest.split_first() {
        let (payload, after) = after.split_at(usize::from(*length).min(after.len()));
        frame(&mut framed, payload);
        rest = after;
    }
    check(&framed);
});

fn frame(into: &mut Vec<u8>, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("a short one").to_le_bytes();
    let mut sum = crc32fast::Hasher::new();
    sum.update(&length);
    sum.update(payload);
    into.extend_from_slice(&length);
    into.extend_from_slice(&sum.finalize().to_le_bytes());
    into.extend_from_slice(payload);
}

fn check(bytes: &[u8]) {
    let read = segment::read(bytes);
    assert!(read.good <= bytes.len());
    let again = segment::read(&bytes[..read.good]);
    assert_eq!((&again.head, &again.events), (&read.head, &read.events));

    let Some(head) = &read.head else {
        assert!(read.events.is_empty());
        return;
    };
    let mut written = Vec::new();
    segment::encode_head(head, &mut written);
    for event in &read.events {
        assert!(event.key.len() <= 255 && event.name.len() <= 255);
        assert!(segment::encode_event(event, &mut written));
    }
    let back = segment::read(&written);
    assert_eq!((&back.head, &back.events), (&read.head, &read.events));
    assert_eq!(back.good, written.len());
}
