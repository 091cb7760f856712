// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! AMQP 0-9-1, as little of it as a consumer and a sink take, and without what a library costs: both
//! run beside what is measured, on the same cores.

use std::io::{self, Read, Write};
use std::net::TcpStream;

pub(crate) const METHOD: u8 = 1;
pub(crate) const HEADER: u8 = 2;
pub(crate) const BODY: u8 = 3;
const HEARTBEAT: u8 = 8;
const END: u8 = 0xce;

/// What a peer that begins says first.
pub(crate) const PROTOCOL: &[u8; 8] = b"AMQP\0\0\x09\x01";

/// What both of ours agree to with their peers.
pub(crate) const FRAME_BYTES: u32 = 131_072;

/// Class and method.
pub(crate) type Method = (u16, u16);

pub(crate) const START: Method = (10, 10);
pub(crate) const START_OK: Method = (10, 11);
pub(crate) const TUNE: Method = (10, 30);
pub(crate) const TUNE_OK: Method = (10, 31);
pub(crate) const OPEN: Method = (10, 40);
pub(crate) const OPEN_OK: Method = (10, 41);
pub(crate) const CLOSE: Method = (10, 50);
pub(crate) const CLOSE_OK: Method = (10, 51);
pub(crate) const CHANNEL_OPEN: Method = (20, 10);
pub(crate) const CHANNEL_OPEN_OK: Method = (20, 11);
pub(crate) const CHANNEL_CLOSE: Method = (20, 40);
pub(crate) const CHANNEL_CLOSE_OK: Method = (20, 41);
pub(crate) const EXCHANGE_DECLARE: Method = (40, 10);
pub(crate) const EXCHANGE_DECLARE_OK: Method = (40, 11);
pub(crate) const CONSUME: Method = (60, 20);
pub(crate) const CONSUME_OK: Method = (60, 21);
pub(crate) const PUBLISH: Method = (60, 40);
pub(crate) const ACK: Method = (60, 80);
pub(crate) const CONFIRM_SELECT: Method = (85, 10);
pub(crate) const CONFIRM_SELECT_OK: Method = (85, 11);

/// One frame as it came.
pub(crate) struct Frame<'a> {
    pub(crate) kind: u8,
    pub(crate) channel: u16,
    pub(crate) payload: &'a [u8],
}

impl Frame<'_> {
    /// Which method it is, if it is one.
    pub(crate) fn method(&self) -> Option<Method> {
        match self.payload {
            [a, b, c, d, ..] if self.kind == METHOD => {
                Some((u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])))
            }
            _ => None,
        }
    }

    /// How long the body is that this header announces.
    pub(crate) fn body_bytes(&self) -> Option<u64> {
        // After class and weight.
        let size = self.payload.get(4..12).filter(|_| self.kind == HEADER)?;
        Some(u64::from_be_bytes(size.try_into().ok()?))
    }
}

/// What comes in, frame by frame.
pub(crate) struct Reader {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
}

impl Reader {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: vec![0; 8 * FRAME_BYTES as usize], filled: 0 }
    }

    /// The same stream, to write to.
    pub(crate) fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Waits for the peer's protocol header.
    pub(crate) fn expect_protocol(&mut self) -> io::Result<()> {
        let mut protocol = [0; PROTOCOL.len()];
        self.stream.read_exact(&mut protocol)?;
        if &protocol == PROTOCOL { Ok(()) } else { Err(broken("no AMQP 0-9-1")) }
    }

    /// Reads what there is and hands over each whole frame of it. Nothing within the stream's own
    /// time limit is nothing handed over.
    pub(crate) fn read(&mut self, mut each: impl FnMut(Frame<'_>)) -> io::Result<()> {
        match self.stream.read(&mut self.buffer[self.filled..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => self.filled += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
        let mut at = 0;
        while let [kind, c1, c0, s3, s2, s1, s0, rest @ ..] = &self.buffer[at..self.filled] {
            let size = u32::from_be_bytes([*s3, *s2, *s1, *s0]);
            if size > FRAME_BYTES {
                return Err(broken("a frame that is too large"));
            }
            let size = size as usize;
            let Some(end) = rest.get(size) else { break };
            if *end != END {
                return Err(broken("a frame without its end"));
            }
            let channel = u16::from_be_bytes([*c1, *c0]);
            each(Frame { kind: *kind, channel, payload: &rest[..size] });
            at += 7 + size + 1;
        }
        self.buffer.copy_within(at..self.filled, 0);
        self.filled -= at;
        Ok(())
    }

    /// Reads until this method comes.
    pub(crate) fn expect(&mut self, wanted: Method) -> io::Result<()> {
        let (mut come, mut refused) = (false, None);
        while !come {
            self.read(|frame| {
                come |= frame.method() == Some(wanted);
                if matches!(frame.method(), Some(CLOSE | CHANNEL_CLOSE)) {
                    refused = Some(String::from_utf8_lossy(frame.payload).into_owned());
                }
            })?;
            if let Some(reason) = refused {
                return Err(io::Error::other(reason));
            }
        }
        Ok(())
    }
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

/// A method's arguments.
#[derive(Default)]
pub(crate) struct Arguments(Vec<u8>);

impl Arguments {
    pub(crate) fn byte(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    pub(crate) fn short(mut self, value: u16) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(crate) fn long(mut self, value: u32) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(crate) fn long_long(mut self, value: u64) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(crate) fn short_string(mut self, text: &str) -> Self {
        let length = u8::try_from(text.len()).expect("a short string of at most 255 bytes");
        self.0.push(length);
        self.0.extend(text.bytes());
        self
    }

    pub(crate) fn long_string(mut self, text: &str) -> Self {
        let length = u32::try_from(text.len()).expect("a long string of at most 4 GiB");
        self.0.extend(length.to_be_bytes());
        self.0.extend(text.bytes());
        self
    }

    /// A table without fields.
    pub(crate) fn empty_table(self) -> Self {
        self.long(0)
    }
}

pub(crate) fn send(
    stream: &mut TcpStream,
    channel: u16,
    (class, method): Method,
    arguments: Arguments,
) -> io::Result<()> {
    let mut payload = class.to_be_bytes().to_vec();
    payload.extend(method.to_be_bytes());
    payload.extend(arguments.0);
    send_frame(stream, METHOD, channel, &payload)
}

pub(crate) fn send_heartbeat(stream: &mut TcpStream) -> io::Result<()> {
    send_frame(stream, HEARTBEAT, 0, &[])
}

fn send_frame(stream: &mut TcpStream, kind: u8, channel: u16, payload: &[u8]) -> io::Result<()> {
    let size = u32::try_from(payload.len()).map_err(io::Error::other)?;
    let mut frame = vec![kind];
    frame.extend(channel.to_be_bytes());
    frame.extend(size.to_be_bytes());
    frame.extend(payload);
    frame.push(END);
    stream.write_all(&frame)
}
