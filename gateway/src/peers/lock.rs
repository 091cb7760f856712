// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Short exclusive work among gateways: a key that is there while somebody is at it.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::claims::{Claim, Owes};
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
    claim: Claim,
    session: SessionId,
}

impl Lock {
    /// Whether the session that has it still lives, as far as is known.
    pub(crate) fn is_ours(&self) -> bool {
        self.claim.peers.session().as_ref() == Some(&self.session)
    }

    /// Gives it to whoever waits for it.
    pub(crate) async fn release(self) {
        self.claim.give_back().await;
    }
}

impl Peers {
    /// Takes the lock of this name. One process takes it several times: keep its own order first.
    pub(crate) async fn lock(&self, key: &str, within: Duration) -> Result<Lock, Locking> {
        let until = Instant::now() + within;
        let mut claim = Claim::new(self, key);
        // Another each time: only what changes the value changes the key's index.
        let value = format!("{} {:016x}", self.name(), rand::random::<u64>());
        loop {
            let fault = match self.session() {
                // One is being made.
                None => Locking::Fault(Fault::NoSession),
                Some(session) => {
                    // From here on, whether we hear of it or not.
                    claim.owes = Owes::Maybe;
                    match self.hold(key, value.as_bytes(), &session).await {
                        Ok(true) => {
                            claim.owes = Owes::Key;
                            return Ok(Lock { claim, session });
                        }
                        Ok(false) => Locking::Taken,
                        Err(Fault::NoSession) => Locking::Fault(Fault::NoSession),
                        Err(fault) => return Err(fault.into()),
                    }
                }
            };
            claim.owes = Owes::Nothing;
            if Instant::now() >= until {
                return Err(fault);
            }
            sleep(AGAIN.mul_f64(0.5 + rand::random::<f64>())).await;
        }
    }
}
