// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The session of this process in Consul. It is renewed, and made again when it is lost; the keys
//! that it held go with it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use crate::consul::{Agent, Fault, Question, Retry};

/// The least that Consul takes. It may take twice as long to end a session of a dead process.
const TTL: Duration = Duration::from_secs(10);
const RENEWAL: Duration = Duration::from_secs(3);
/// For the farewell.
const FAREWELL: Duration = Duration::from_secs(2);

/// Consul's name for it.
pub(super) type SessionId = Arc<str>;

/// How it stands with the session.
#[derive(Debug, Clone)]
pub(super) struct Session {
    id: watch::Receiver<Option<SessionId>>,
    agent: Arc<Agent>,
    /// Somebody was told that it is not known any more.
    doubted: Arc<Notify>,
    closed: Arc<watch::Sender<bool>>,
}

impl Session {
    /// Makes one, and keeps it for as long as anybody looks at it.
    pub(super) fn start(agent: Arc<Agent>, name: &str) -> Self {
        let (told, id) = watch::channel(None);
        let doubted = Arc::new(Notify::new());
        let closed = Arc::new(watch::Sender::new(false));
        let keeping = keep(
            Arc::clone(&agent),
            format!("gateway {name}"),
            told,
            Arc::clone(&doubted),
            closed.subscribe(),
        );
        tokio::spawn(keeping);
        Self { id, agent, doubted, closed }
    }

    pub(super) fn now(&self) -> Option<SessionId> {
        self.id.borrow().clone()
    }

    /// Changes of it.
    #[cfg(test)]
    pub(super) fn changes(&self) -> watch::Receiver<Option<SessionId>> {
        self.id.clone()
    }

    /// Consul said that it does not know it.
    pub(super) fn doubt(&self) {
        self.doubted.notify_one();
    }

    /// Ends it, unless that takes too long: then its time does.
    pub(super) async fn close(&self) {
        let id = self.now();
        self.closed.send_replace(true);
        if let Some(id) = id {
            let farewell = Question::put(format!("/v1/session/destroy/{id}"), "");
            // Nobody is left whom its failure would concern.
            let _ = timeout(FAREWELL, self.agent.ask(&farewell)).await;
        }
    }
}

async fn keep(
    agent: Arc<Agent>,
    name: String,
    told: watch::Sender<Option<SessionId>>,
    doubted: Arc<Notify>,
    mut closed: watch::Receiver<bool>,
) {
    let mut retry = Retry::default();
    let mut renewed = Instant::now();
    // Said once for each change.
    let mut failing = false;
    loop {
        let held = told.borrow().clone();
        let since = Instant::now();
        let outcome = match &held {
            Some(id) => renew(&agent, id).await.map(|is_known| is_known.then(|| Arc::clone(id))),
            None => create(&agent, &name).await.map(Some),
        };
        let pause = match outcome {
            Ok(id) => {
                retry.reset();
                if std::mem::take(&mut failing) {
                    tracing::info!("Consul: gateways find each other again");
                }
                renewed = since;
                let is_lost = id.is_none();
                if is_lost {
                    tracing::warn!("Consul has ended our session: what it held is lost");
                }
                told.send_if_modified(|before| {
                    let has_changed = *before != id;
                    *before = id;
                    has_changed
                });
                if is_lost { Duration::ZERO } else { RENEWAL }
            }
            Err(fault) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!("Consul: {fault}; gateways cannot find each other");
                }
                if held.is_some() && renewed.elapsed() >= TTL {
                    told.send_replace(None);
                }
                retry.after_failure(fault == Fault::Refused)
            }
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = doubted.notified() => {}
            () = told.closed() => return,
            _ = closed.wait_for(|closed| *closed) => {
                told.send_replace(None);
                return;
            }
        }
    }
}

async fn create(agent: &Agent, name: &str) -> Result<SessionId, Fault> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Created {
        #[serde(rename = "ID")]
        id: String,
    }
    // What it held can be had by another at once.
    let wanted = json!({
        "Name": name, "TTL": format!("{}s", TTL.as_secs()), "LockDelay": "0s",
        "Behavior": "delete",
    });
    let question = Question::put("/v1/session/create", wanted.to_string());
    let body = agent.ask(&question).await?.ok()?;
    let created: Created =
        serde_json::from_slice(&body).map_err(|error| Fault::Unreadable(error.to_string()))?;
    // It is a part of a path and of keys' values from now on.
    let is_id = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
    match created.id.is_empty() || !created.id.bytes().all(is_id) {
        true => Err(Fault::Unreadable("no id of a session".to_owned())),
        false => Ok(created.id.into()),
    }
}

/// Whether Consul knows it.
async fn renew(agent: &Agent, id: &str) -> Result<bool, Fault> {
    let answer = agent.ask(&Question::put(format!("/v1/session/renew/{id}"), "")).await?;
    match answer.status {
        StatusCode::OK => Ok(true),
        StatusCode::NOT_FOUND => Ok(false),
        other => Err(Fault::Status(other.as_u16())),
    }
}
