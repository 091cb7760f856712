// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Short exclusive work among gateways: a key that is there while somebody is at it.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use super::{Peers, SessionId};
use crate::consul::Fault;

/// Between two tries for a lock that another has.
const AGAIN: Duration = Duration::from_millis(60);

/// Why there is no lock.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Locking {
    #[error("another gateway is at it")]
    Taken,
    #[error("Consul: {0}")]
    Fault(#[from] Fault),
}

/// The lock, until it is released or dropped, or the session is lost.
#[derive(Debug)]
pub(crate) struct Lock {
    of: Option<(Peers, String, SessionId)>,
}

impl Lock {
    /// Whether the session that has it still lives, as far as is known.
    pub(crate) fn is_ours(&self) -> bool {
        self.of
            .as_ref()
            .is_some_and(|(peers, _, session)| peers.session().as_ref() == Some(session))
    }

    /// Gives it to whoever waits for it.
    pub(crate) async fn release(mut self) {
        if let Some((peers, key, session)) = self.of.take() {
            // Should it fail, it ends with the session.
            let _ = peers.delete_held(&key, &session).await;
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let (Some((peers, key, session)), Ok(runtime)) = (self.of.take(), Handle::try_current())
        {
            runtime.spawn(async move {
                let _ = peers.delete_held(&key, &session).await;
            });
        }
    }
}

impl Peers {
    /// Takes the lock of this name. One process takes it several times: keep its own order first.
    pub(crate) async fn lock(&self, key: &str, within: Duration) -> Result<Lock, Locking> {
        let until = Instant::now() + within;
        loop {
            let session = self.session();
            let tried = self.put_held(key, self.name().as_bytes()).await;
            let fault = match (tried, session) {
                (Ok(true), Some(session)) => {
                    return Ok(Lock { of: Some((self.clone(), key.to_owned(), session)) });
                }
                (Ok(_), _) => Locking::Taken,
                // One is being made.
                (Err(Fault::NoSession), _) => Locking::Fault(Fault::NoSession),
                (Err(fault), _) => return Err(fault.into()),
            };
            if Instant::now() >= until {
                return Err(fault);
            }
            sleep(AGAIN.mul_f64(0.5 + rand::random::<f64>())).await;
        }
    }
}
