// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Opens connections, most of which speak HTTP/1.1.

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
use tokio_rustls::client::TlsStream;

use super::tls::client_config;
use crate::config::{Origin, Trust};

/// The sending end of a connection; its other half is a task that ends with it.
pub(crate) type Sender = http1::SendRequest<Full<Bytes>>;

/// A connection, plain or TLS.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

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

    /// A new connection that speaks HTTP.
    pub(crate) async fn dial(&self, origin: &Origin) -> io::Result<Sender> {
        let dialled = async {
            let stream = connect(origin).await?;
            if !origin.is_https {
                return begin(stream).await;
            }
            begin(self.secure(origin, stream).await?).await
        };
        self.in_time(dialled).await
    }

    /// A new connection for another protocol.
    pub(crate) async fn open(&self, origin: &Origin) -> io::Result<Box<dyn Wire>> {
        let opened = async {
            let stream = connect(origin).await?;
            if !origin.is_https {
                return Ok(Box::new(stream) as Box<dyn Wire>);
            }
            Ok(Box::new(self.secure(origin, stream).await?) as Box<dyn Wire>)
        };
        self.in_time(opened).await
    }

    async fn in_time<T>(&self, asked: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        match timeout(self.timeout, asked).await {
            Ok(connected) => connected,
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no connection in time")),
        }
    }

    async fn secure(&self, origin: &Origin, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let Some(tls) = &self.tls else {
            return Err(io::Error::other("the system has no certificate authority to trust"));
        };
        let name = ServerName::try_from(origin.host.clone()).map_err(io::Error::other)?;
        tls.connect(name, stream).await
    }
}

async fn connect(origin: &Origin) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((origin.host.as_str(), origin.port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
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
