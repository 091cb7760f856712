// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! One direction of a connection: what has come from one side and waits to be written to the other.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use super::network::{Road, Way};

/// The most bytes that wait in the proxy for each direction of a connection.
const WAITING: usize = 256 << 10;
const PIECE: usize = 16 << 10;

/// The most slices written before other connections have their turn.
const SLICES: usize = 4096;

/// A throttled direction writes so often a second.
const QUANTA: u32 = 20;

#[derive(Default)]
pub(super) struct Direction {
    pieces: VecDeque<(Instant, Vec<u8>)>,
    waiting: usize,
    /// What the last read has brought.
    pub(super) fresh: Vec<u8>,
    /// Before this, a throttle writes nothing.
    rested: Option<Instant>,
    pub(super) has_ended: bool,
    has_told_the_end: bool,
}

impl Direction {
    /// Reads what there is. `Way::Lost` is thrown away; whether something was.
    pub(super) fn read(&mut self, mut from: &TcpStream, way: Way) -> io::Result<bool> {
        self.fresh.clear();
        let delay = match way {
            Way::Shut => return Ok(false),
            Way::Open(road) => road.delay,
            Way::Lost => Duration::ZERO,
        };
        while self.may_read(way) {
            let mut piece = vec![0; PIECE];
            match from.read(&mut piece) {
                Ok(0) => self.has_ended = true,
                Ok(length) => {
                    piece.truncate(length);
                    self.fresh.extend_from_slice(&piece);
                    self.push(Instant::now() + delay, piece);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        if way != Way::Lost {
            return Ok(false);
        }
        self.waiting = 0;
        Ok(!std::mem::take(&mut self.pieces).is_empty() || self.has_ended)
    }

    /// Adds bytes that the other side never sent.
    pub(super) fn forge(&mut self, bytes: &[u8]) {
        self.push(Instant::now(), bytes.to_vec());
    }

    fn push(&mut self, due: Instant, piece: Vec<u8>) {
        self.waiting += piece.len();
        self.pieces.push_back((due, piece));
    }

    /// Writes what may be written now, and no more than `most` bytes; how many it were. Where
    /// `spoil` says so, the first of them is made another.
    pub(super) fn write(
        &mut self,
        mut to: &TcpStream,
        road: Road,
        most: u64,
        spoil: &mut bool,
    ) -> io::Result<u64> {
        let mut written = 0;
        let quantum = road.rate.map(|rate| (rate / QUANTA).max(1) as usize);
        for _ in 0..SLICES {
            let now = Instant::now();
            let left = usize::try_from(most - written).unwrap_or(usize::MAX);
            if !self.may_write(now) || left == 0 {
                break;
            }
            let Some((_, piece)) = self.pieces.front_mut() else { break };
            let limits = [Some(piece.len()), Some(left), road.slice, quantum];
            let length = limits.into_iter().flatten().min().unwrap_or_default();
            if std::mem::take(spoil)
                && let Some(byte) = piece.first_mut()
            {
                *byte = !*byte;
            }
            match to.write(&piece[..length]) {
                Ok(length) => {
                    written += length as u64;
                    self.waiting -= length;
                    piece.drain(..length);
                    if piece.is_empty() {
                        self.pieces.pop_front();
                    }
                    if let Some(rate) = road.rate {
                        let rest = Duration::from_secs_f64(length as f64 / f64::from(rate));
                        self.rested = Some(now + rest);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        if self.has_ended && self.pieces.is_empty() {
            self.tell_the_end(to)?;
        }
        Ok(written)
    }

    /// Ends this direction alone, for the one who reads it; what waits is thrown away.
    pub(super) fn half_close(&mut self, to: &TcpStream) {
        self.has_ended = true;
        self.pieces.clear();
        self.waiting = 0;
        // It fails where the connection has ended already.
        let _ = self.tell_the_end(to);
    }

    fn tell_the_end(&mut self, to: &TcpStream) -> io::Result<()> {
        if std::mem::replace(&mut self.has_told_the_end, true) {
            return Ok(());
        }
        to.shutdown(Shutdown::Write)
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.waiting > 0
    }

    pub(super) fn may_read(&self, way: Way) -> bool {
        way != Way::Shut && !self.has_ended && self.waiting < WAITING
    }

    pub(super) fn may_write(&self, now: Instant) -> bool {
        self.pieces.front().is_some_and(|(due, _)| *due <= now)
            && self.rested.is_none_or(|rested| rested <= now)
    }

    /// When the first piece may be written, if that is still to come.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        let due = self.pieces.front()?.0;
        Some(self.rested.map_or(due, |rested| due.max(rested))).filter(|due| *due > now)
    }

    pub(super) fn is_over(&self) -> bool {
        self.has_told_the_end
    }
}
