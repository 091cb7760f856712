// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The question to Consul's agent.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, StatusCode};
use tokio::time::timeout;

use super::cursor::Cursor;
use crate::config::Consul;
use crate::net::{Dialer, Sender};

const LARGEST: usize = 64 << 20;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    #[error("it did not answer in time")]
    Silent,
    #[error("the token is refused")]
    Refused,
    #[error("it answered {0}")]
    Status(u16),
    #[error("its answer cannot be read: {0}")]
    Unreadable(String),
}

/// A connection that is kept as long as it does.
pub(super) struct Agent {
    settings: Consul,
    dialer: Dialer,
    sender: Option<Sender>,
}

impl Agent {
    pub(super) fn new(settings: Consul) -> Result<Self, String> {
        let dialer = Dialer::new(&settings.trust, settings.timeout)?;
        Ok(Self { settings, dialer, sender: None })
    }

    /// The service's health, when it has changed or the time to wait is over.
    pub(super) async fn health(&mut self, cursor: &mut Cursor) -> Result<Bytes, Fault> {
        let wait = cursor.index().map_or(Duration::ZERO, |_| self.settings.wait);
        let limit = wait + wait / 16 + self.settings.timeout;
        let since = Instant::now();
        let asked = timeout(limit, self.ask(*cursor)).await;
        let (index, body) = match asked {
            Ok(answer) => answer?,
            Err(_) => {
                self.sender = None;
                return Err(Fault::Silent);
            }
        };
        cursor.advance(index.as_deref(), since.elapsed() < wait);
        Ok(body)
    }

    async fn ask(&mut self, cursor: Cursor) -> Result<(Option<String>, Bytes), Fault> {
        let request = self.request(cursor)?;
        let kept = match self.sender.take() {
            Some(mut sender) => sender.ready().await.is_ok().then_some(sender),
            None => None,
        };
        let mut sender = match kept {
            Some(sender) => sender,
            None => {
                let dialled = self.dialer.dial(&self.settings.origin).await;
                dialled.map_err(|error| Fault::Unreachable(error.to_string()))?
            }
        };
        let answer = sender.send_request(request).await;
        let answer = answer.map_err(|error| Fault::Unreachable(error.to_string()))?;
        let status = answer.status();
        let index = answer.headers().get("X-Consul-Index");
        let index = index.and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = Limited::new(answer.into_body(), LARGEST).collect().await;
        let body = body.map_err(|error| Fault::Unreadable(error.to_string()))?.to_bytes();
        self.sender = Some(sender);
        match status {
            StatusCode::OK => Ok((index, body)),
            StatusCode::FORBIDDEN => Err(Fault::Refused),
            other => Err(Fault::Status(other.as_u16())),
        }
    }

    fn request(&self, cursor: Cursor) -> Result<Request<Full<Bytes>>, Fault> {
        let mut target = format!("/v1/health/service/{}", encoded(&self.settings.service));
        if let Some(index) = cursor.index() {
            target += &format!("?index={index}&wait={}ms", self.settings.wait.as_millis());
        }
        let origin = &self.settings.origin;
        let mut request =
            Request::get(target).header(HOST, format!("{}:{}", origin.host, origin.port));
        if let Some(token) = self.token() {
            let mut value = HeaderValue::from_str(&token).map_err(|_| Fault::Refused)?;
            value.set_sensitive(true);
            request = request.header("X-Consul-Token", value);
        }
        request.body(Full::default()).map_err(|error| Fault::Unreachable(error.to_string()))
    }

    /// A file is read anew, so that a token can be changed under a running gateway.
    fn token(&self) -> Option<String> {
        let read = |path: &std::path::PathBuf| {
            let text = std::fs::read_to_string(path).ok()?;
            text.lines().next().map(|line| line.trim().to_owned())
        };
        let written = || Some(self.settings.token.as_ref()?.reveal().to_owned());
        self.settings.token_file.as_ref().and_then(read).or_else(written)
    }
}

fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}
