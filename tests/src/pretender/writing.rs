// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! An answer on its way to the client.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::Stage;
use super::answer::{Answer, Body, Framing, Http, Kind};

const BLOCK: usize = 64 << 10;
const ASKED_EVERY: Duration = Duration::from_millis(5);

/// Whether the connection goes on after it.
pub(super) fn write(stage: &Stage, stream: &TcpStream, answer: Answer) -> bool {
    let mut wire = Wire { stage, stream, pace: None };
    match answer.0 {
        Kind::Http(http) => {
            wire.pace = http.pace;
            // Failed: the client does not want it.
            http.write(&mut wire).unwrap_or(false)
        }
        Kind::Garbage(bytes) => {
            let _ = wire.write_all(&bytes);
            false
        }
        Kind::EndlessHead => {
            let _ = endless_head(&mut wire);
            false
        }
        Kind::Close => false,
        Kind::Never => {
            let mut stream = stream;
            let mut bytes = [0; 512];
            while matches!(stream.read(&mut bytes), Ok(1..)) {}
            false
        }
        Kind::Later(mut ready) => loop {
            if let Some(answer) = ready() {
                return write(stage, stream, answer);
            }
            if !stage.pause(ASKED_EVERY) {
                return false;
            }
        },
    }
}

fn endless_head(wire: &mut Wire<'_>) -> io::Result<()> {
    wire.write_all(b"HTTP/1.1 200 OK\r\n")?;
    for number in 0u64.. {
        wire.write_all(format!("X-Filler-{number}: {}\r\n", "x".repeat(100)).as_bytes())?;
    }
    Ok(())
}

impl Http {
    fn write(&self, wire: &mut Wire<'_>) -> io::Result<bool> {
        let length = match &self.body {
            Body::Bytes(bytes) => bytes.len() as u64,
            Body::Filler(length) => *length,
        };
        wire.write_all(self.head(length).as_bytes())?;
        let end = self.cut_after.map_or(length, |cut| cut.min(length));
        let filler = vec![b'x'; BLOCK];
        let mut done = 0;
        while done < end {
            let left = usize::try_from(end - done).unwrap_or(BLOCK).min(BLOCK);
            let block = match &self.body {
                Body::Bytes(bytes) => &bytes[done as usize..done as usize + left],
                Body::Filler(_) => &filler[..left],
            };
            if self.framing == Framing::Chunked {
                // Two, so that each body of a few bytes already is in several.
                let (first, second) = block.split_at(left.div_ceil(2));
                for chunk in [first, second].into_iter().filter(|chunk| !chunk.is_empty()) {
                    wire.write_all(format!("{:x}\r\n", chunk.len()).as_bytes())?;
                    wire.write_all(chunk)?;
                    wire.write_all(b"\r\n")?;
                }
            } else {
                wire.write_all(block)?;
            }
            done += left as u64;
        }
        if self.cut_after.is_some() {
            return Ok(false);
        }
        if self.framing == Framing::Chunked {
            wire.write_all(b"0\r\n\r\n")?;
        }
        Ok(self.framing != Framing::UntilClose)
    }

    fn head(&self, length: u64) -> String {
        let mut head = format!("HTTP/1.1 {} Pretended\r\n", self.status);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &match self.framing {
            Framing::Length => format!("Content-Length: {length}\r\n"),
            Framing::Chunked => "Transfer-Encoding: chunked\r\n".to_owned(),
            Framing::UntilClose => "Connection: close\r\n".to_owned(),
        };
        head + "\r\n"
    }
}

/// To the client: counted, and as slowly as was asked for.
struct Wire<'a> {
    stage: &'a Stage,
    stream: &'a TcpStream,
    pace: Option<Duration>,
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = match self.pace {
            Some(pace) => {
                if !self.stage.pause(pace) {
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
                self.stream.write(&bytes[..bytes.len().min(1)])?
            }
            None => self.stream.write(bytes)?,
        };
        self.stage.scene().bytes_sent += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
