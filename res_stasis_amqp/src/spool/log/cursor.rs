// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! How far everything is settled, in a file of its own. An old one, or none, means repeats.

use std::io;

use super::{Log, Position};
use crate::spool::disk::Disk;

const NAME: &str = "cursor";

impl<D: Disk> Log<D> {
    pub(super) fn write_cursor(&mut self) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(20);
        bytes.extend_from_slice(&self.cursor.number.to_le_bytes());
        bytes.extend_from_slice(&self.cursor.offset.to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        self.disk.write(NAME, 0, &bytes)?;
        self.cursor_written = Some(self.cursor);
        Ok(())
    }

    /// Whether the disk can be read at all.
    pub(in crate::spool) fn probe(&mut self) -> io::Result<()> {
        read_cursor(&mut self.disk).map(drop)
    }

    /// Whether the disk can be written at all.
    pub(in crate::spool) fn touch(&mut self) -> io::Result<()> {
        self.write_cursor()
    }
}

pub(super) fn read_cursor(disk: &mut impl Disk) -> io::Result<Option<Position>> {
    let mut bytes = [0; 20];
    match disk.read(NAME, 0, &mut bytes) {
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
