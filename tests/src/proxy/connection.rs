// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! One connection through the proxy.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::net::sockopt;

use super::{Counts, Mode};
use crate::request::Requests;

/// The most bytes that wait in the proxy for each direction of a connection.
const WAITING: usize = 256 << 10;
const PIECE: usize = 16 << 10;

/// A client's connection and ours to the server, made when the first byte may pass.
pub(super) struct Connection {
    client: TcpStream,
    server: Option<TcpStream>,
    inwards: Direction,
    outwards: Direction,
    requests: Requests,
    has_lost_an_answer: bool,
}

impl Connection {
    pub(super) fn new(client: TcpStream) -> Self {
        Self {
            client,
            server: None,
            inwards: Direction::default(),
            outwards: Direction::default(),
            requests: Requests::default(),
            has_lost_an_answer: false,
        }
    }

    /// Does what can be done now; whether the connection lasts.
    pub(super) fn step(
        &mut self,
        mode: Mode,
        port: u16,
        counts: &Mutex<Counts>,
    ) -> io::Result<bool> {
        let delay = match mode {
            Mode::BlackHole => return Ok(true),
            Mode::Pass(delay) => delay,
            Mode::Refuse | Mode::Swallow => Duration::ZERO,
        };
        let server = match &self.server {
            Some(server) => server,
            None => self.server.insert(connected(port)?),
        };
        self.inwards.read(&self.client, delay)?;
        let complete = self.requests.push(&self.inwards.fresh);
        if !complete.is_empty() {
            let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
            counts.requests.extend(complete);
        }
        self.inwards.write(server)?;
        self.outwards.read(server, delay)?;
        if mode == Mode::Swallow {
            self.has_lost_an_answer |= self.outwards.throw_away();
            // The client has gone: nobody waits for an answer.
            return Ok(!self.inwards.is_over());
        }
        self.outwards.write(&self.client)?;
        Ok(!(self.inwards.is_over() && self.outwards.is_over()))
    }

    /// What it waits for: what comes or can be written, and a time that is still to come.
    pub(super) fn interests<'a>(
        &'a self,
        mode: Mode,
        now: Instant,
        fds: &mut Vec<PollFd<'a>>,
    ) -> Option<Instant> {
        if mode == Mode::BlackHole {
            return None;
        }
        let Some(server) = &self.server else {
            return Some(now);
        };
        let (inwards, outwards) = (&self.inwards, &self.outwards);
        for (stream, from, to) in [(&self.client, inwards, outwards), (server, outwards, inwards)] {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, from.may_read());
            flags.set(PollFlags::OUT, to.may_write(now));
            // Without an interest, poll would tell of a hang-up for ever.
            if !flags.is_empty() {
                fds.push(PollFd::new(stream, flags));
            }
        }
        [inwards, outwards].into_iter().filter_map(|direction| direction.due(now)).min()
    }

    /// Whether the client is there, as far as was read.
    pub(super) fn has_client(&self) -> bool {
        !self.inwards.has_ended
    }

    /// Whether an answer was thrown away, so that what follows makes no sense.
    pub(super) fn has_lost_an_answer(&self) -> bool {
        self.has_lost_an_answer
    }

    /// Ends it as a network that is cut: both sides see a reset.
    pub(super) fn reset(self) {
        for stream in [Some(&self.client), self.server.as_ref()].into_iter().flatten() {
            // Where that fails, it is closed in order.
            let _ = sockopt::set_socket_linger(stream, Some(Duration::ZERO));
        }
    }
}

fn connected(port: u16) -> io::Result<TcpStream> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    // On this machine, it is there at once or not at all.
    let server = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    server.set_nonblocking(true)?;
    server.set_nodelay(true)?;
    Ok(server)
}

/// What has come from one side and waits to be written to the other.
#[derive(Default)]
struct Direction {
    pieces: VecDeque<(Instant, Vec<u8>)>,
    waiting: usize,
    /// What the last read has brought.
    fresh: Vec<u8>,
    has_ended: bool,
    has_told_the_end: bool,
}

impl Direction {
    fn read(&mut self, mut from: &TcpStream, delay: Duration) -> io::Result<()> {
        self.fresh.clear();
        while self.may_read() {
            let mut piece = vec![0; PIECE];
            match from.read(&mut piece) {
                Ok(0) => self.has_ended = true,
                Ok(length) => {
                    piece.truncate(length);
                    self.fresh.extend_from_slice(&piece);
                    self.waiting += length;
                    self.pieces.push_back((Instant::now() + delay, piece));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn write(&mut self, mut to: &TcpStream) -> io::Result<()> {
        while self.may_write(Instant::now())
            && let Some((_, piece)) = self.pieces.front_mut()
        {
            match to.write(piece) {
                Ok(length) => {
                    self.waiting -= length;
                    piece.drain(..length);
                    if piece.is_empty() {
                        self.pieces.pop_front();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        if self.has_ended && self.pieces.is_empty() && !self.has_told_the_end {
            self.has_told_the_end = true;
            to.shutdown(Shutdown::Write)?;
        }
        Ok(())
    }

    /// Whether there was something: bytes, or the end.
    fn throw_away(&mut self) -> bool {
        self.waiting = 0;
        let pieces = std::mem::take(&mut self.pieces);
        self.has_ended || !pieces.is_empty()
    }

    fn may_read(&self) -> bool {
        !self.has_ended && self.waiting < WAITING
    }

    fn may_write(&self, now: Instant) -> bool {
        self.pieces.front().is_some_and(|(due, _)| *due <= now)
    }

    /// When the first piece may be written, if that is still to come.
    fn due(&self, now: Instant) -> Option<Instant> {
        self.pieces.front().map(|(due, _)| *due).filter(|due| *due > now)
    }

    fn is_over(&self) -> bool {
        self.has_told_the_end
    }
}
