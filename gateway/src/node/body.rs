// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The body of a node's answer, which holds its connection until it has been read.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep};

use super::Client;
use super::pool::Connection;

/// The longest silence within a body.
const STALL: Duration = Duration::from_secs(30);

/// A body that streams.
#[derive(Debug)]
pub(crate) struct NodeBody {
    incoming: Incoming,
    /// Gone when it has been given back, or when the body broke.
    held: Option<(Arc<Client>, Connection, OwnedSemaphorePermit)>,
    stall: Option<Pin<Box<Sleep>>>,
}

impl NodeBody {
    pub(super) fn new(
        incoming: Incoming,
        client: Arc<Client>,
        connection: Connection,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        let mut body = Self { incoming, held: Some((client, connection, permit)), stall: None };
        body.give_back_at_end();
        body
    }

    fn give_back_at_end(&mut self) {
        if self.incoming.is_end_stream() {
            self.give_back();
        }
    }

    fn give_back(&mut self) {
        if let Some((client, connection, _permit)) = self.held.take() {
            client.keep(connection);
        }
    }
}

impl Body for NodeBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.incoming).poll_frame(context);
        if polled.is_pending() {
            let stall = this.stall.get_or_insert_with(|| Box::pin(sleep(STALL)));
            ready!(stall.as_mut().poll(context));
            this.held = None;
            let error = std::io::Error::new(std::io::ErrorKind::TimedOut, "the node stalls");
            return Poll::Ready(Some(Err(error)));
        }
        if let Some(stall) = &mut this.stall {
            stall.as_mut().reset(Instant::now() + STALL);
        }
        match ready!(polled) {
            Some(Ok(frame)) => {
                this.give_back_at_end();
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                this.held = None;
                Poll::Ready(Some(Err(std::io::Error::other(error))))
            }
            None => {
                this.give_back();
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
