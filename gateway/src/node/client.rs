// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The connections to one node.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Request, Response, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::pool::{Connection, Pool};
use super::{NodeBody, NodeError, Outgoing};
use crate::config::{Nodes, Origin};
use crate::net::Dialer;

/// The largest answer that is read as a whole: a list of some 100,000 channels.
const LARGEST: usize = 256 << 20;
/// Kept connections that turn out to be dead before one is opened.
const TRIES: usize = 4;
/// How long a node that could not be reached is thought to be so.
const SUSPECT: Duration = Duration::from_secs(5);

/// One node's address and connections.
#[derive(Debug)]
pub(crate) struct Client {
    origin: Origin,
    host: HeaderValue,
    authorization: HeaderValue,
    dialer: Dialer,
    permits: Arc<Semaphore>,
    pool: Pool,
    queue_timeout: Duration,
    began: Instant,
    /// Milliseconds since `began`, plus one, at the last failure to reach it; 0: reached since.
    failed: AtomicU64,
}

impl Client {
    pub(crate) fn new(
        origin: Origin,
        settings: &Nodes,
        dialer: Dialer,
    ) -> Result<Arc<Self>, NodeError> {
        let unaskable =
            |error: hyper::header::InvalidHeaderValue| NodeError::Unaskable(error.to_string());
        let login = format!("{}:{}", settings.user, settings.password.reveal());
        let login = format!("Basic {}", BASE64_STANDARD.encode(login));
        let mut authorization = HeaderValue::from_str(&login).map_err(unaskable)?;
        authorization.set_sensitive(true);
        let is_v6 = origin.host.contains(':');
        let name = if is_v6 { format!("[{}]", origin.host) } else { origin.host.clone() };
        let host = HeaderValue::from_str(&format!("{name}:{}", origin.port)).map_err(unaskable)?;
        Ok(Arc::new(Self {
            origin,
            host,
            authorization,
            dialer,
            permits: Arc::new(Semaphore::new(settings.connections)),
            pool: Pool::new(settings.connections, settings.idle),
            queue_timeout: settings.queue_timeout,
            began: Instant::now(),
            failed: AtomicU64::new(0),
        }))
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether it could not be reached a moment ago.
    pub(crate) fn is_suspect(&self) -> bool {
        let failed = self.failed.load(Ordering::Relaxed);
        let since = Duration::from_millis(failed.saturating_sub(1));
        failed > 0 && self.began.elapsed().saturating_sub(since) < SUSPECT
    }

    /// Sends a request and gives the answer once its head is there. What changes something is
    /// handed to the network once at most; a GET is sent again when a kept connection ends under it.
    pub(crate) async fn send(
        self: &Arc<Self>,
        outgoing: &Outgoing,
    ) -> Result<Response<NodeBody>, NodeError> {
        let permits = Arc::clone(&self.permits);
        let permit = match permits.try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                let waiting = Arc::clone(&self.permits).acquire_owned();
                let acquired = timeout(self.queue_timeout, waiting).await;
                acquired.map_err(|_| NodeError::Busy)?.map_err(|_| NodeError::Busy)?
            }
        };
        let answer = self.try_send(outgoing, permit).await;
        let failed = match &answer {
            Err(NodeError::Unreachable(_) | NodeError::Refused | NodeError::Silent) => {
                u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1
            }
            _ => 0,
        };
        if self.failed.load(Ordering::Relaxed) != failed {
            self.failed.store(failed, Ordering::Relaxed);
        }
        answer
    }

    async fn try_send(
        self: &Arc<Self>,
        outgoing: &Outgoing,
        permit: OwnedSemaphorePermit,
    ) -> Result<Response<NodeBody>, NodeError> {
        let mut request = self.request(outgoing)?;
        for _ in 0..TRIES {
            let Some(mut connection) = self.kept().await else { break };
            let sending = connection.sender.try_send_request(request);
            match timeout(outgoing.timeout, sending).await {
                Ok(Ok(answer)) => return Ok(self.answer(answer, connection, permit)),
                // Given back: not a byte of it was written.
                Ok(Err(mut error)) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None if outgoing.is_safe() => request = self.request(outgoing)?,
                    None => return Err(NodeError::Broken),
                },
                Err(_) => return Err(NodeError::Silent),
            }
        }
        let dialled = self.dialer.dial(&self.origin).await;
        let sender = dialled.map_err(|error| match error.kind() {
            std::io::ErrorKind::ConnectionRefused => NodeError::Refused,
            _ => NodeError::Unreachable(error.to_string()),
        })?;
        let mut connection = self.pool.opened(sender);
        match timeout(outgoing.timeout, connection.sender.send_request(request)).await {
            Ok(Ok(answer)) => Ok(self.answer(answer, connection, permit)),
            Ok(Err(_)) => Err(NodeError::Broken),
            Err(_) => Err(NodeError::Silent),
        }
    }

    /// The whole answer of a question.
    pub(crate) async fn fetch(
        self: &Arc<Self>,
        outgoing: &Outgoing,
    ) -> Result<(StatusCode, Bytes), NodeError> {
        let asking = async {
            let answer = self.send(outgoing).await?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), LARGEST).collect().await;
            Ok((status, body.map_err(|_| NodeError::Broken)?.to_bytes()))
        };
        let limit = self.queue_timeout + outgoing.timeout * 2;
        timeout(limit, asking).await.unwrap_or(Err(NodeError::Silent))
    }

    fn request(&self, outgoing: &Outgoing) -> Result<Request<Full<Bytes>>, NodeError> {
        let mut request = Request::builder()
            .method(outgoing.method.clone())
            .uri(outgoing.target.as_str())
            .header(HOST, self.host.clone())
            .header(AUTHORIZATION, self.authorization.clone());
        if let Some(content_type) = &outgoing.content_type {
            request = request.header(CONTENT_TYPE, content_type.clone());
        }
        request
            .body(Full::new(outgoing.body.clone()))
            .map_err(|error| NodeError::Unaskable(error.to_string()))
    }

    /// A kept connection that is ready.
    async fn kept(&self) -> Option<Connection> {
        loop {
            let mut connection = self.pool.take()?;
            let sender = &mut connection.sender;
            if sender.is_ready() || (!sender.is_closed() && sender.ready().await.is_ok()) {
                return Some(connection);
            }
        }
    }

    /// Takes a connection back whose answer has been read to its end.
    pub(super) fn keep(&self, connection: Connection) {
        self.pool.put(connection);
    }

    fn answer(
        self: &Arc<Self>,
        answer: Response<hyper::body::Incoming>,
        connection: Connection,
        permit: OwnedSemaphorePermit,
    ) -> Response<NodeBody> {
        answer.map(|body| NodeBody::new(body, Arc::clone(self), connection, permit))
    }
}
