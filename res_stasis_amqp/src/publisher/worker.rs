// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The life of a worker: connect, serve, lose, wait, connect again, until the host ends it.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use asterisk::backoff::{Backoff, Exponential};
use lapin::options::ConfirmSelectOptions;
use tokio::time::{sleep, sleep_until};

use super::bell::Ear;
use super::desk::{Desk, Wish};
use super::failure::{Kind, Trouble};
use super::link::{Change, Link, Roots};
use super::session::{self, Next};
use super::{PublishSettings, Shared, exchange};
use crate::config::ConnectionSettings;
use crate::endpoint::Endpoint;
use crate::status::ConnectionState;

/// A connection, or a channel, that lived this long was good: the next failure is a new one.
const GOOD: Duration = Duration::from_secs(10);

/// The least wait after a refused login: trying faster only fills the server's log, or has the
/// account locked.
const REFUSED: Duration = Duration::from_secs(3);

pub(super) struct Crew<'a> {
    shared: &'a Shared,
    ear: Ear,
    pub(super) roots: Roots,
}

/// Why a connection is not served any more.
enum Leave {
    Orders,
    Lost(Trouble),
}

impl<'a> Crew<'a> {
    pub(super) fn new(shared: &'a Shared, ear: Ear) -> Self {
        Self { shared, ear, roots: Roots::default() }
    }

    pub(super) async fn work(&mut self) {
        let mut backoff = Backoff::new(Exponential::CONNECT);
        let mut last = None;
        while self.shared.orders.stopping().is_none() {
            let Some(wanted) = self.shared.orders.wanted() else {
                self.refuse_tests();
                self.ear.rung().await;
                continue;
            };
            let settings = wanted.connection;
            if last.replace(settings.clone()).is_none_or(|last| !Arc::ptr_eq(&last, &settings)) {
                backoff.reset();
                let url = self.shared.urls(&settings);
                self.shared.enter(ConnectionState::Connecting { url });
            }
            let (trouble, lost) = match self.connect(&settings).await {
                None => continue,
                Some(Err(trouble)) => (trouble, None),
                Some(Ok((mut link, endpoint))) => {
                    let since = Instant::now();
                    self.shared.logged_in(&link);
                    let desk = Desk::new(self.shared, &self.ear, &settings, &endpoint);
                    let leave = attend(&desk, &mut link).await;
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
            self.shared.fail(trouble.state(""), next);
            if let Some(link) = lost {
                link.close(&mut self.roots).await;
            }
            self.unless_replaced(&settings, sleep_until(next.into())).await;
        }
        self.refuse_tests();
        self.shared.enter(ConnectionState::Stopped);
    }

    /// Tries every endpoint in turn. None: the host wants something else.
    async fn connect(
        &mut self,
        settings: &Arc<ConnectionSettings>,
    ) -> Option<Result<(Link, Endpoint), Trouble>> {
        let name = format!("asterisk {} {}", self.shared.eid, self.shared.name);
        let mut troubles = Vec::new();
        for endpoint in &settings.endpoints {
            let mut roots = std::mem::take(&mut self.roots);
            let open = Link::open(&mut roots, endpoint, settings, &name);
            let opened = self.unless_replaced(settings, open).await;
            self.roots = roots;
            match opened? {
                Ok(link) => return Some(Ok((link, endpoint.clone()))),
                Err(trouble) => {
                    troubles.push((format!("{}:{}", endpoint.host, endpoint.port), trouble));
                }
            }
        }
        Some(Err(Trouble::together(troubles)))
    }

    /// Runs `work` to its end, unless the host wants another connection, or none.
    async fn unless_replaced<T>(
        &self,
        settings: &Arc<ConnectionSettings>,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let mut work = pin!(work);
        loop {
            self.refuse_tests();
            let orders = &self.shared.orders;
            if orders.stopping().is_some() || orders.moved_on(settings) {
                return None;
            }
            tokio::select! {
                biased;
                () = self.ear.rung() => {}
                done = &mut work => return Some(done),
            }
        }
    }

    fn refuse_tests(&self) {
        while let Some(send) = self.shared.orders.next_send() {
            send.answer.give(Err(self.shared.status.report().state.to_string()));
        }
    }
}

/// Keeps a channel open and publishes on it, for as long as the connection is up and wanted.
async fn attend(desk: &Desk<'_>, link: &mut Link) -> Leave {
    let mut backoff = Backoff::new(Exponential::CONNECT);
    loop {
        let Some(publish) = desk.publishes().filter(|_| !desk.is_replaced()) else {
            if desk.is_replaced() || desk.is_stopping() {
                return Leave::Orders;
            }
            desk.show_up(link);
            match wait(desk, link, None, None).await {
                Some(leave) => return leave,
                None => continue,
            }
        };
        let since = Instant::now();
        let next = match open(link, &publish).await {
            Err(trouble) => Next::Lost(trouble),
            Ok(Err(trouble)) => Next::Closed(trouble),
            Ok(Ok(channel)) => {
                desk.show_up(link);
                session::run(desk, link, &channel, &publish).await
            }
        };
        let trouble = match next {
            Next::Lost(trouble) => return Leave::Lost(trouble),
            Next::Orders | Next::Closed(_) if desk.is_stopping() => return Leave::Orders,
            Next::Orders => continue,
            Next::Closed(trouble) => trouble,
        };
        if since.elapsed() >= GOOD {
            backoff.reset();
        }
        let next = Instant::now() + backoff.next_delay();
        desk.fail(trouble.state(&publish.exchange), next);
        if let Some(leave) = wait(desk, link, Some(&publish), Some(next)).await {
            return leave;
        }
    }
}

/// A channel that is ready to publish on, or what the server says against the exchange.
async fn open(
    link: &mut Link,
    publish: &PublishSettings,
) -> Result<Result<lapin::Channel, Trouble>, Trouble> {
    let opened = link
        .channel(async |channel| {
            exchange::ensure(channel, publish).await?;
            match publish.confirms {
                true => channel.confirm_select(ConfirmSelectOptions::default()).await,
                false => Ok(()),
            }
        })
        .await?;
    Ok(opened.map_err(|error| Trouble::of_channel(&error)))
}

/// Lets time pass on a connection on which nothing can be published now, because there is nothing
/// to publish or no exchange to publish it to. None: it is worth another look.
async fn wait(
    desk: &Desk<'_>,
    link: &mut Link,
    publish: Option<&PublishSettings>,
    until: Option<Instant>,
) -> Option<Leave> {
    let time = until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()));
    let mut over = pin!(sleep(time));
    loop {
        match desk.heed(link, publish) {
            Wish::Nothing => {}
            Wish::Stop(_) => return Some(Leave::Orders),
            Wish::Change => return None,
        }
        tokio::select! {
            biased;
            () = desk.rung() => {}
            change = link.change() => match change {
                Change::Lost(trouble) => return Some(Leave::Lost(trouble)),
                Change::Blocked | Change::Unblocked if publish.is_none() => desk.show_up(link),
                _ => {}
            },
            () = &mut over => return None,
        }
    }
}

fn least_wait(trouble: &Trouble) -> Duration {
    match trouble.kind {
        Kind::LoginRefused | Kind::VhostRefused => REFUSED,
        _ => Duration::ZERO,
    }
}
