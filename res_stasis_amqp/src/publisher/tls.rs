// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! TLS towards the broker, from the certificates of the configuration. A file that holds nothing
//! usable is a state of the connection.

use std::sync::Arc;

use asterisk::config::tls::TlsSettings;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Everything that a handshake needs, checked.
pub(super) struct Client {
    connector: TlsConnector,
    server: ServerName<'static>,
}

impl Client {
    pub(super) fn new(settings: &TlsSettings, host: &str) -> Result<Self, String> {
        let server = asterisk::tls::server_name(host)?;
        let config = asterisk::tls::client_config(settings)?;
        Ok(Self { connector: Arc::new(config).into(), server })
    }

    pub(super) async fn connect(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>, String> {
        self.connector
            .connect(self.server.clone(), stream)
            .await
            .map_err(|error| format!("TLS handshake failed: {error}"))
    }
}
