// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The runtime that lapin is given: the worker's own tokio, and no thread but lapin's io thread.
//!
//! lapin's stock tokio kit drops its socket through `async-compat`, which starts a thread that
//! never ends; a module that used it could not be unloaded.

use std::fmt;
use std::future::Future;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use async_rs::traits::{Executor, Reactor, RuntimeKit};
use async_rs::util::{Task, TaskImpl, simple_block_on};
use futures_io::{AsyncRead, AsyncWrite};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::stream::Stream;

#[derive(Clone)]
pub(super) struct Kit(Handle);

impl Kit {
    /// The kit of the runtime this is called in.
    pub(super) fn current() -> Self {
        Self(Handle::current())
    }
}

impl fmt::Debug for Kit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kit")
    }
}

impl RuntimeKit for Kit {}

impl Executor for Kit {
    type Task<T: Send + 'static> = Spawned<T>;

    fn block_on<T, F: Future<Output = T>>(&self, future: F) -> T {
        // lapin's io thread: it is no thread of tokio's, and what it polls and drops belongs to
        // the runtime.
        let _context = self.0.enter();
        simple_block_on(future)
    }

    fn spawn<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        &self,
        future: F,
    ) -> Task<Self::Task<T>> {
        Spawned(self.0.spawn(future)).into()
    }

    fn spawn_blocking<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(
        &self,
        work: F,
    ) -> Task<Self::Task<T>> {
        Spawned(self.0.spawn_blocking(work)).into()
    }
}

impl Reactor for Kit {
    type TcpStream = Stream;
    type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

    fn register<H: Read + Write + Send + 'static>(
        &self,
        _socket: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        Err::<Stream, _>(io::ErrorKind::Unsupported.into())
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        let _context = self.0.enter();
        Box::pin(tokio::time::sleep(duration))
    }

    fn interval(
        &self,
        period: Duration,
    ) -> impl futures_util::Stream<Item = Instant> + Send + 'static {
        let _context = self.0.enter();
        Ticks(tokio::time::interval(period))
    }

    // lapin is handed a stream that is connected already (link.rs), so it never asks.
    fn tcp_connect_addr(
        &self,
        _address: SocketAddr,
    ) -> impl Future<Output = io::Result<Stream>> + Send + 'static {
        std::future::ready(Err(io::ErrorKind::Unsupported.into()))
    }
}

/// A task of the worker's runtime.
pub(super) struct Spawned<T>(JoinHandle<T>);

impl<T: Send + 'static> Future for Spawned<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        match Pin::new(&mut self.0).poll(context) {
            Poll::Ready(Ok(output)) => Poll::Ready(output),
            // The trait has no room for a failed task. lapin awaits none of its tasks; what a
            // dead one leaves undone is caught by the deadlines around every call.
            Poll::Ready(Err(_)) | Poll::Pending => Poll::Pending,
        }
    }
}

impl<T: Send + 'static> TaskImpl for Spawned<T> {}

struct Ticks(tokio::time::Interval);

impl futures_util::Stream for Ticks {
    type Item = Instant;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Instant>> {
        self.0.poll_tick(context).map(|tick| Some(tick.into_std()))
    }
}
