// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Questions to Consul's agent, each with a deadline, over connections that are kept.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{HOST, HeaderValue};
use hyper::{Method, Request, StatusCode};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::Cursor;
use crate::config::Consul;
use crate::net::{Dialer, Sender};

const LARGEST: usize = 64 << 20;
/// Questions at one time, those that wait for a change included; more of them queue.
const AT_ONCE: usize = 32;
/// Idle connections.
const KEPT: usize = 4;

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
    #[error("it knows no session of ours")]
    NoSession,
}

/// A request.
#[derive(Debug)]
pub(crate) struct Question {
    pub method: Method,
    /// Path and query, encoded.
    pub target: String,
    pub body: Bytes,
    /// How long it is meant to take beyond the usual.
    pub wait: Duration,
}

impl Question {
    pub(crate) fn put(target: impl Into<String>, body: impl Into<Bytes>) -> Self {
        let (target, body) = (target.into(), body.into());
        Self { method: Method::PUT, target, body, wait: Duration::ZERO }
    }
}

/// An answer, of any status but 403.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: StatusCode,
    pub index: Option<String>,
    pub body: Bytes,
}

impl Answer {
    /// The body of a success.
    pub(crate) fn ok(self) -> Result<Bytes, Fault> {
        match self.status {
            StatusCode::OK => Ok(self.body),
            other => Err(Fault::Status(other.as_u16())),
        }
    }
}

/// The agent.
#[derive(Debug)]
pub(crate) struct Agent {
    settings: Consul,
    dialer: Dialer,
    idle: Mutex<Vec<Sender>>,
    turns: Semaphore,
}

impl Agent {
    pub(crate) fn new(settings: Consul) -> Result<Self, String> {
        let dialer = Dialer::new(&settings.trust, settings.timeout)?;
        Ok(Self { settings, dialer, idle: Mutex::default(), turns: Semaphore::new(AT_ONCE) })
    }

    /// What is at a path, when it has changed or the time to wait is over. Where it goes on after
    /// a failure is the caller's: at the beginning.
    pub(crate) async fn follow(&self, path: &str, cursor: &mut Cursor) -> Result<Answer, Fault> {
        let mut target = path.to_owned();
        let wait = cursor.index().map_or(Duration::ZERO, |_| self.settings.wait);
        if let Some(index) = cursor.index() {
            let mark = if path.contains('?') { '&' } else { '?' };
            target += &format!("{mark}index={index}&wait={}ms", wait.as_millis());
        }
        let since = Instant::now();
        let question = Question { method: Method::GET, target, body: Bytes::new(), wait };
        let answer = self.ask(&question).await?;
        cursor.advance(answer.index.as_deref(), since.elapsed() < wait);
        Ok(answer)
    }

    pub(crate) async fn ask(&self, question: &Question) -> Result<Answer, Fault> {
        let limit = question.wait + question.wait / 16 + self.settings.timeout;
        let asking = async {
            let _turn = self.turns.acquire().await.map_err(|_| Fault::Silent)?;
            self.try_ask(question).await
        };
        // What is under way when the time is over ends with its connection.
        timeout(limit, asking).await.unwrap_or(Err(Fault::Silent))
    }

    async fn try_ask(&self, question: &Question) -> Result<Answer, Fault> {
        let unreachable = |error: String| Fault::Unreachable(error);
        let mut request = Some(self.request(question)?);
        let mut answered = None;
        while let Some(mut sender) = self.kept() {
            let Some(ready) = request.take() else { break };
            if sender.ready().await.is_err() {
                request = Some(ready);
                continue;
            }
            match sender.try_send_request(ready).await {
                Ok(answer) => {
                    answered = Some((answer, sender));
                    break;
                }
                // Given back when not a byte of it was written.
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = Some(unsent),
                    None => return Err(unreachable(error.into_error().to_string())),
                },
            }
        }
        let (answer, sender) = match (answered, request) {
            (Some(answered), _) => answered,
            (None, Some(request)) => {
                let dialled = self.dialer.dial(&self.settings.origin).await;
                let mut sender = dialled.map_err(|error| unreachable(error.to_string()))?;
                let answer = sender.send_request(request).await;
                (answer.map_err(|error| unreachable(error.to_string()))?, sender)
            }
            (None, None) => return Err(Fault::Silent),
        };
        let status = answer.status();
        let index = answer.headers().get("X-Consul-Index");
        let index = index.and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = Limited::new(answer.into_body(), LARGEST).collect().await;
        let body = body.map_err(|error| Fault::Unreadable(error.to_string()))?.to_bytes();
        let mut idle = self.idle();
        if idle.len() < KEPT && !sender.is_closed() {
            idle.push(sender);
        }
        match status {
            StatusCode::FORBIDDEN => Err(Fault::Refused),
            status => Ok(Answer { status, index, body }),
        }
    }

    fn kept(&self) -> Option<Sender> {
        self.idle().pop()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Sender>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn request(&self, question: &Question) -> Result<Request<Full<Bytes>>, Fault> {
        let origin = &self.settings.origin;
        let mut request = Request::builder()
            .method(question.method.clone())
            .uri(question.target.as_str())
            .header(HOST, format!("{}:{}", origin.host, origin.port));
        if let Some(token) = self.token() {
            let mut value = HeaderValue::from_str(&token).map_err(|_| Fault::Refused)?;
            value.set_sensitive(true);
            request = request.header("X-Consul-Token", value);
        }
        let body = Full::new(question.body.clone());
        request.body(body).map_err(|error| Fault::Unreachable(error.to_string()))
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
