// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Opens connections that speak HTTP/1.1.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::tls::client_config;
use crate::config::{Origin, Trust};

/// The sending end of a connection; its other half is a task that ends with it.
pub(crate) type Sender = http1::SendRequest<Full<Bytes>>;

/// How to reach servers of one kind.
#[derive(Clone)]
pub(crate) struct Dialer {
    tls: Option<TlsConnector>,
    timeout: Duration,
}

impl std::fmt::Debug for Dialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialer").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl Dialer {
    /// `timeout` is for TCP, TLS and HTTP together.
    pub(crate) fn new(trust: &Trust, timeout: Duration) -> Result<Self, String> {
        let config = client_config(trust);
        // Without a certificate on the system, plain connections still do.
        let tls = match config {
            Ok(config) => Some(TlsConnector::from(Arc::new(config))),
            Err(_) if trust.ca_file.is_none() => None,
            Err(error) => return Err(error),
        };
        Ok(Self { tls, timeout })
    }

    /// A new connection.
    pub(crate) async fn dial(&self, origin: &Origin) -> io::Result<Sender> {
        match timeout(self.timeout, self.connect(origin)).await {
            Ok(connected) => connected,
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no connection in time")),
        }
    }

    async fn connect(&self, origin: &Origin) -> io::Result<Sender> {
        let stream = TcpStream::connect((origin.host.as_str(), origin.port)).await?;
        stream.set_nodelay(true)?;
        if !origin.is_https {
            return begin(stream).await;
        }
        let Some(tls) = &self.tls else {
            return Err(io::Error::other("the system has no certificate authority to trust"));
        };
        let name = ServerName::try_from(origin.host.clone()).map_err(io::Error::other)?;
        begin(tls.connect(name, stream).await?).await
    }
}

async fn begin(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> io::Result<Sender> {
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    tokio::spawn(async move {
        // How it ended shows at the request that was under way.
        let _ = connection.await;
    });
    Ok(sender)
}
