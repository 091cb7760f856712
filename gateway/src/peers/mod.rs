// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What gateways have in common, by Consul: a session of this process, who holds a key, keys and
//! values. While Consul is silent, what was known last stays, but for what the session held.

mod claims;
mod kv;
mod lock;
mod session;
#[cfg(test)]
mod tests;
mod watch;

use std::sync::Arc;

pub(crate) use kv::Entry;
pub(crate) use lock::{Lock, Locking};

use crate::config::Consul;
use crate::consul::Agent;
use claims::Claims;
use session::{Session, SessionId};

/// This process among its peers.
#[derive(Debug, Clone)]
pub(crate) struct Peers {
    agent: Arc<Agent>,
    session: Session,
    name: Arc<str>,
    claims: Arc<Claims>,
}

impl Peers {
    /// Starts it. `name` is this process's, another for each.
    pub(crate) fn start(settings: Consul, name: &str) -> Result<Self, String> {
        let agent = Arc::new(Agent::new(settings)?);
        let session = Session::start(Arc::clone(&agent), name);
        let peers = Self { agent, session, name: name.into(), claims: Arc::default() };
        tokio::spawn(claims::give_back(peers.clone()));
        Ok(peers)
    }

    /// This process's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Ends the session, and with it all that it holds. For the end of the process.
    pub(crate) async fn close(&self) {
        self.session.close().await;
    }

    fn session(&self) -> Option<SessionId> {
        self.session.now()
    }
}
