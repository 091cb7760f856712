// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A connection as ureq wants it: with or without TLS, each wait with a deadline.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConnection;
use socket2::Socket;
use ureq::unversioned::transport::{Buffers, LazyBuffers, NextTimeout, Transport};

/// An answer's head must fit.
const INPUT_BYTES: usize = 64 * 1024;
const OUTPUT_BYTES: usize = 16 * 1024;

/// Below it a timeout could become zero on its way to the kernel, which is no timeout.
const LEAST: Duration = Duration::from_millis(1);

/// A connection to Consul.
pub(super) struct Stream {
    socket: Arc<Socket>,
    tls: Option<Box<ClientConnection>>,
    buffers: LazyBuffers,
}

impl Stream {
    pub(super) fn new(socket: Arc<Socket>, tls: Option<ClientConnection>) -> Self {
        let buffers = LazyBuffers::new(INPUT_BYTES, OUTPUT_BYTES);
        Self { socket, tls: tls.map(Box::new), buffers }
    }

    /// What a peer that takes nothing more has said before: that it wants another certificate, say.
    fn alert(&mut self) -> Option<io::Error> {
        let tls = self.tls.as_mut()?;
        self.socket.set_nonblocking(true).ok()?;
        tls.read_tls(&mut &*self.socket).ok()?;
        tls.process_new_packets().err().map(io::Error::other)
    }

    /// Whether what has come since the last answer, if anything, belongs to TLS alone.
    fn is_quiet(&mut self) -> io::Result<bool> {
        let Some(tls) = &mut self.tls else {
            let mut byte = [0];
            return match (&*self.socket).read(&mut byte) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
                Err(error) => Err(error),
                Ok(_) => Ok(false),
            };
        };
        loop {
            match tls.read_tls(&mut &*self.socket) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
                Ok(0) => return Ok(false),
                Ok(_) => {
                    let state = tls.process_new_packets().map_err(io::Error::other)?;
                    if state.plaintext_bytes_to_read() > 0 || state.peer_has_closed() {
                        return Ok(false);
                    }
                }
            }
        }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream")
    }
}

impl Transport for Stream {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        let mut timed = Timed::new(&self.socket, deadline(timeout));
        let output = self.buffers.output().get(..amount).unwrap_or_default();
        let sent = match &mut self.tls {
            None => timed.write_all(output),
            Some(tls) => {
                let mut stream = rustls::Stream::new(&mut **tls, &mut timed);
                stream.write_all(output).and_then(|()| stream.flush())
            }
        };
        sent.map_err(|error| in_words_of_ureq(self.alert().unwrap_or(error), timeout))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        let mut timed = Timed::new(&self.socket, deadline(timeout));
        let input = self.buffers.input_append_buf();
        let read = match &mut self.tls {
            None => timed.read(input),
            Some(tls) => rustls::Stream::new(&mut **tls, &mut timed).read(input),
        };
        let amount = read.map_err(|error| in_words_of_ureq(error, timeout))?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        let quiet = self.socket.set_nonblocking(true).and_then(|()| self.is_quiet());
        quiet.unwrap_or(false) && self.socket.set_nonblocking(false).is_ok()
    }

    fn is_tls(&self) -> bool {
        self.tls.is_some()
    }
}

fn deadline(timeout: NextTimeout) -> Option<Instant> {
    (!timeout.after.is_not_happening()).then(|| Instant::now() + *timeout.after)
}

fn in_words_of_ureq(error: io::Error, timeout: NextTimeout) -> ureq::Error {
    match error.kind() {
        io::ErrorKind::TimedOut => ureq::Error::Timeout(timeout.reason),
        _ => error.into(),
    }
}

/// A socket whose reads and writes end by a deadline together, however little each brings.
pub(super) struct Timed<'a> {
    socket: &'a Socket,
    deadline: Option<Instant>,
}

impl<'a> Timed<'a> {
    pub(super) fn new(socket: &'a Socket, deadline: Option<Instant>) -> Self {
        Self { socket, deadline }
    }

    fn left(&self) -> io::Result<Option<Duration>> {
        let Some(deadline) = self.deadline else {
            return Ok(None);
        };
        match deadline.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
            left => Ok(Some(left.max(LEAST))),
        }
    }
}

/// The system's word for a timeout on a socket is that it would block.
fn is_timeout(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

impl Read for Timed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.socket.set_read_timeout(self.left()?)?;
            match self.socket.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) => return Err(io::ErrorKind::TimedOut.into()),
                result => return result,
            }
        }
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            self.socket.set_write_timeout(self.left()?)?;
            match self.socket.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) => return Err(io::ErrorKind::TimedOut.into()),
                result => return result,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
