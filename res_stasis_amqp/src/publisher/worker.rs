// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The life of a worker: connect, serve, lose, wait, connect again, until the host ends it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use asterisk::backoff::{Backoff, Exponential};
use tokio::time::sleep_until;

use super::Shared;
use super::bell::Ear;
use super::desk::Desk;
use super::failure::{Kind, Trouble};
use super::host::Host;
use super::link::Link;
use super::roots::Roots;
use super::service::{self, Leave};
use crate::config::ConnectionSettings;
use crate::endpoint::Endpoint;
use crate::status::ConnectionState;

/// A connection that lived this long was good: the next failure is a new one.
const GOOD: Duration = Duration::from_secs(10);

/// The least wait after a refused login: trying faster only fills the server's log, or has the
/// account locked.
const REFUSED: Duration = Duration::from_secs(3);

pub(super) struct Crew<'a> {
    host: Host<'a>,
    pub(super) roots: Roots,
}

impl<'a> Crew<'a> {
    pub(super) fn new(shared: &'a Shared, ear: Ear) -> Self {
        Self { host: Host { shared, ear }, roots: Roots::new(shared.enrol) }
    }

    pub(super) async fn work(&mut self) {
        let mut backoff = Backoff::new(Exponential::CONNECT);
        let mut last = None;
        while self.host.orders().stopping().is_none() {
            let Some(wanted) = self.host.orders().wanted() else {
                self.host.refuse_tests();
                self.host.ear.rung().await;
                continue;
            };
            let settings = wanted.connection;
            if last.replace(settings.clone()).is_none_or(|last| !Arc::ptr_eq(&last, &settings)) {
                backoff.reset();
                let url = urls(&settings);
                self.host.shared.enter(ConnectionState::Connecting { url });
            }
            let (trouble, lost) = match self.connect(&settings).await {
                None => continue,
                Some(Err(trouble)) => (trouble, None),
                Some(Ok((mut link, endpoint))) => {
                    let since = Instant::now();
                    self.host.shared.logged_in(&link);
                    let desk = Desk::new(&self.host, &settings, &endpoint);
                    let leave = service::attend(&desk, &mut link).await;
                    if since.elapsed() >= GOOD {
                        backoff.reset();
                    }
                    match leave {
                        Leave::Lost(trouble) => (trouble, Some(link)),
                        Leave::Orders => {
                            link.close(&mut self.roots).await;
                            continue;
                        }
                    }
                }
            };
            let next = Instant::now() + least_wait(&trouble) + backoff.next_delay();
            // Told before the goodbye, which takes its time.
            self.host.shared.fail(trouble.state(""), next);
            if let Some(link) = lost {
                link.close(&mut self.roots).await;
            }
            self.host.unless_replaced(&settings, sleep_until(next.into())).await;
        }
        self.host.refuse_tests();
        self.host.shared.enter(ConnectionState::Stopped);
    }

    /// Tries every endpoint in turn. None: the host wants something else.
    async fn connect(
        &mut self,
        settings: &Arc<ConnectionSettings>,
    ) -> Option<Result<(Link, Endpoint), Trouble>> {
        let name = self.host.shared.connection_name();
        let mut troubles = Vec::new();
        for endpoint in &settings.endpoints {
            let open = Link::open(&mut self.roots, endpoint, settings, &name);
            match self.host.unless_replaced(settings, open).await? {
                Ok(link) => return Some(Ok((link, endpoint.clone()))),
                Err(trouble) => {
                    troubles.push((format!("{}:{}", endpoint.host, endpoint.port), trouble));
                }
            }
        }
        Some(Err(Trouble::together(troubles)))
    }
}

fn least_wait(trouble: &Trouble) -> Duration {
    match trouble.kind {
        Kind::LoginRefused | Kind::VhostRefused => REFUSED,
        _ => Duration::ZERO,
    }
}

fn urls(settings: &ConnectionSettings) -> String {
    settings.endpoints.iter().map(Endpoint::to_string).collect::<Vec<_>>().join(", ")
}
