// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Takes connections, so many at one time, and at the end lets those finish that are at work.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;

use super::Service;
use crate::net::threads::Threads;

/// The longest wait for a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// More headers than any client sends.
const HEADERS: usize = 100;

/// What is left when no request is waited for any more: websockets, and connections for which the
/// time to drain was too short.
pub(crate) struct Rest {
    threads: Threads,
    places: Arc<Semaphore>,
    most: usize,
}

impl Rest {
    /// Cuts it, and gives the number of connections that were.
    pub(crate) fn cut(self) -> usize {
        let left = self.most.saturating_sub(self.places.available_permits());
        self.threads.stop();
        left
    }
}

/// Serves until `stopping` is told, then until all is answered or the time to drain is over.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    service: Service,
    threads: Threads,
) -> Rest {
    let limits = service.gateway.config.limits.clone();
    let places = Arc::new(Semaphore::new(limits.connections));
    let mut stopping = service.stopping.clone();
    loop {
        // With no place left the kernel holds newcomers for a while.
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place,
            _ = stopping.wait_for(|stops| *stops) => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.wait_for(|stops| *stops) => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // No file is left, say: not at once again.
                tracing::warn!("no connection can be taken: {error}");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (service, tls) = (service.clone(), tls.clone());
        // It leaves this runtime for that of its thread.
        let Ok(stream) = stream.into_std() else { continue };
        let Some(thread) = threads.next() else { continue };
        thread.spawn(async move {
            service.gateway.metrics.connections.inc();
            match TcpStream::from_std(stream) {
                Ok(stream) => attend(stream, tls, service.clone(), peer).await,
                Err(error) => tracing::warn!(%peer, "no connection: {error}"),
            }
            service.gateway.metrics.connections.dec();
            drop(place);
        });
    }
    drop(listener);
    let all = u32::try_from(limits.connections).unwrap_or(u32::MAX);
    let finished = places.acquire_many(all);
    drop(timeout(service.gateway.config.http.drain, finished).await);
    Rest { threads, places, most: limits.connections }
}

async fn attend(stream: TcpStream, tls: Option<TlsAcceptor>, service: Service, peer: SocketAddr) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, "no TCP_NODELAY: {error}");
    }
    match tls {
        None => converse(stream, service, peer).await,
        Some(tls) => match timeout(HANDSHAKE, tls.accept(stream)).await {
            Ok(Ok(stream)) => converse(stream, service, peer).await,
            Ok(Err(error)) => tracing::debug!(%peer, "no TLS: {error}"),
            Err(_) => tracing::debug!(%peer, "no TLS in time"),
        },
    }
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    service: Service,
    peer: SocketAddr,
) {
    let limits = &service.gateway.config.limits;
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.idle)
        .max_buf_size(limits.header_bytes)
        .max_headers(HEADERS);
    let stopping: watch::Receiver<bool> = service.stopping.clone();
    let answering = service_fn(|request| {
        let service = &service;
        async move { Ok::<_, Infallible>(service.answer(request, peer).await) }
    });
    // Who takes nothing of an answer would hold a node's connection for as long as TCP does.
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.idle));
    let connection = builder.serve_connection(TokioIo::new(Box::pin(stream)), answering);
    let mut connection = pin!(connection.with_upgrades());
    let ended = {
        let mut stopping = stopping;
        tokio::select! {
            ended = connection.as_mut() => Some(ended),
            _ = stopping.wait_for(|stops| *stops) => None,
        }
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            // What is under way is answered, and then it ends.
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, "connection: {error}");
    }
}
