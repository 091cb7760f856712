// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Asks whether Consul is there when nobody else does.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use asterisk::consul::provide::State;

use crate::bell::Bell;
use crate::berth::Berth;
use crate::connection::{Connection, Kind, News, User};
use crate::http::{Cutter, Method, Reply, Request, Wire};
use crate::status::Verdict;
use crate::threads::Level;
use crate::watch::{Class, Retry};

/// Silence after which Consul is asked.
const QUIET: Duration = Duration::from_secs(15);

/// A leader's address is short.
const MOST_BYTES: usize = 4096;

/// The thread that asks, there while the configuration has a connection.
pub(crate) struct Pulse(Arc<Shared>);

struct Shared {
    connection: Arc<Connection>,
    cutter: Arc<Cutter>,
    bell: Bell,
    berth: Berth,
}

impl Pulse {
    pub(crate) fn new(connection: &Arc<Connection>) -> Self {
        let shared = Arc::new(Shared {
            connection: Arc::clone(connection),
            cutter: Arc::default(),
            bell: Bell::default(),
            berth: Berth::default(),
        });
        let user: Weak<Shared> = Arc::downgrade(&shared);
        connection.add(user);
        Self(shared)
    }

    /// Begins, if the configuration has a connection.
    ///
    /// # Errors
    ///
    /// There is no thread.
    pub(crate) fn start(&self) -> Result<(), String> {
        self.0.start()
    }

    /// Waits up to `limit` for the thread to end, once the connection is ending; `false` if it
    /// still runs.
    pub(crate) fn join_within(&self, limit: Duration) -> bool {
        self.0.berth.join_within(limit)
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.0.cutter.end();
        self.0.bell.ring();
        drop(self.0.berth.close()); // waits for the thread, which has been cut
    }
}

impl User for Shared {
    fn hear(self: Arc<Self>, news: News) {
        match news {
            News::Settings => {
                self.cutter.cut();
                self.bell.ring();
                if let Err(reason) = self.start() {
                    self.connection.host().log(Level::Error, &reason);
                }
            }
            News::Away => self.bell.ring(),
            News::Back(_) => {}
        }
    }

    fn kind(&self) -> Kind {
        Kind::Own
    }

    fn cutter(&self) -> &Arc<Cutter> {
        &self.cutter
    }
}

impl Shared {
    fn start(self: &Arc<Self>) -> Result<(), String> {
        if self.is_over() {
            return Ok(());
        }
        let spawn = || {
            let working = Arc::clone(self);
            self.connection.host().spawn("consul-pulse", Box::new(move || working.run()))
        };
        self.berth.start(spawn).map_err(|error| format!("Consul's pulse has no thread: {error}"))
    }

    fn is_over(&self) -> bool {
        self.cutter.has_ended() || self.connection.setup().is_err()
    }

    fn run(&self) {
        let mut slot = None;
        let mut retry = Retry::default();
        // When it may be asked again after it was not well; at first, now.
        let mut next = Instant::now();
        let mut was_well = false;
        while !self.berth.leave_if(|| self.is_over()) {
            let due = match self.connection.state() {
                (State::Reachable | State::Refused, Some(heard)) => heard + QUIET,
                // It is another request that fails, whose next try will tell. Who asks meanwhile
                // only adds to what overloads Consul.
                (State::Failing, Some(heard)) if was_well => heard + QUIET,
                _ => next,
            };
            let rest = due.saturating_duration_since(Instant::now());
            if !rest.is_zero() {
                self.bell.rest(rest);
                self.connection.look();
                continue;
            }
            // A panic is in the log, and takes the time of a failure.
            let ask = AssertUnwindSafe(|| self.is_well(&mut slot));
            was_well = catch_unwind(ask).unwrap_or(false);
            if was_well {
                retry.reset();
            }
            next = Instant::now() + retry.after(Class::Failing);
        }
    }

    fn is_well(&self, slot: &mut Option<Wire>) -> bool {
        let request = Request {
            method: Method::Get,
            path: "/v1/status/leader".to_owned(),
            body: None,
            wait: Duration::ZERO,
            limit: MOST_BYTES,
        };
        let Ok(wire) = self.connection.wire(&self.cutter, slot, Connection::setup) else {
            return false;
        };
        self.connection.ask(&self.cutter, wire, &request, read).is_ok_and(|is_well| is_well)
    }
}

/// Whether there is a leader.
fn read(reply: Reply) -> Result<bool, Verdict> {
    if !reply.is_success() {
        return Ok(false);
    }
    match serde_json::from_slice::<String>(&reply.body) {
        Ok(leader) if leader.is_empty() => Err(Verdict::Failing("it has no leader".to_owned())),
        Ok(_) => Ok(true),
        Err(_) => Err(Verdict::Unreadable("it names no leader".to_owned())),
    }
}

#[cfg(test)]
mod tests;
