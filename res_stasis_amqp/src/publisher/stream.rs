// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The byte stream under lapin: plain or TLS, with a note of who the server says it is.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::gate::Gate;
use super::greeting::Greeting;
use super::threads::Lifeline;

pub(super) enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// What lapin's io thread reads and writes; its end is the end of that thread's work.
pub(super) struct Stream {
    transport: Transport,
    greeting: Option<Greeting>,
    gate: Gate,
    // Last, so that the socket is closed before the lifeline tells that it is.
    _lifeline: Lifeline,
}

impl Stream {
    pub(super) fn new(
        transport: Transport,
        greeting: Greeting,
        gate: Gate,
        lifeline: Lifeline,
    ) -> Self {
        Self { transport, greeting: Some(greeting), gate, _lifeline: lifeline }
    }

    fn writer(&mut self) -> Pin<&mut (dyn AsyncWrite + Send + Unpin)> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream),
            Transport::Tls(stream) => Pin::new(stream.as_mut()),
        }
    }
}

impl futures_io::AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        ready!(match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_read(context, &mut buffer),
            Transport::Tls(stream) => Pin::new(stream.as_mut()).poll_read(context, &mut buffer),
        })?;
        let read = buffer.filled();
        if self.greeting.as_mut().is_some_and(|greeting| greeting.heard(read)) {
            self.greeting = None;
        }
        Poll::Ready(Ok(read.len()))
    }
}

impl futures_io::AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writer().poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.writer().poll_write_vectored(context, slices)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What lapin's thread does first in each round, before it looks for what there is to send.
        self.gate.pass();
        self.writer().poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer().poll_shutdown(context)
    }
}
