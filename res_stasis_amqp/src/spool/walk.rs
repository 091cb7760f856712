// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Going through the frames of a segment in its file, a piece at a time.

use std::io;

use super::disk::Disk;
use super::segment::{self, Next};

/// What is read at one time, unless a frame is longer.
const PIECE: usize = 256 * 1024;

/// What to do after a frame.
pub(super) enum Step {
    /// It is taken.
    On,
    /// It is left, and so is what comes after.
    Stop,
    /// It is not what it should be.
    Fault,
}

/// Why the walk has ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Walked {
    /// Nothing is left.
    End,
    /// It was stopped before the frame at this offset.
    Stopped(u64),
    /// What is at this offset is no good frame.
    Fault(u64),
}

/// Calls `each` with the payload of every frame from offset `from` to offset `to`, and with the
/// offset of the frame's end.
pub(super) fn walk(
    disk: &mut impl Disk,
    name: &str,
    from: u64,
    to: u64,
    mut each: impl FnMut(&[u8], u64) -> Step,
) -> io::Result<Walked> {
    let mut piece = Vec::new();
    let (mut offset, mut wanted) = (from, PIECE);
    while offset < to {
        let left = usize::try_from(to - offset).unwrap_or(usize::MAX);
        piece.resize(wanted.min(left), 0);
        let filled = disk.read(name, offset, &mut piece)?;
        let is_all = filled < piece.len() || filled == left;
        piece.truncate(filled);
        let mut rest = piece.as_slice();
        loop {
            match segment::next(rest) {
                Next::Frame { payload, bytes } => {
                    let end = offset + bytes as u64;
                    match each(payload, end) {
                        Step::On => {}
                        Step::Stop => return Ok(Walked::Stopped(offset)),
                        Step::Fault => return Ok(Walked::Fault(offset)),
                    }
                    offset = end;
                    rest = rest.get(bytes..).unwrap_or_default();
                }
                Next::Short(_) if rest.is_empty() && offset >= to => return Ok(Walked::End),
                Next::Short(needed) if !is_all => {
                    wanted = needed.max(PIECE);
                    break;
                }
                Next::Short(_) | Next::Bad => return Ok(Walked::Fault(offset)),
            }
        }
    }
    Ok(Walked::End)
}
