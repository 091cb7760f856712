// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! One connection while it is up: a channel with its exchange, a session on it, again and again.

use std::pin::pin;
use std::time::{Duration, Instant};

use asterisk::backoff::{Backoff, Exponential};
use lapin::Channel;
use lapin::options::ConfirmSelectOptions;
use tokio::time::sleep;

use super::desk::{Desk, Wish};
use super::failure::Trouble;
use super::link::{Change, Link};
use super::pace::End;
use super::session::{self, Next, Past};
use super::{PublishSettings, exchange};

/// A channel that lived this long was good: the next failure is a new one.
const GOOD: Duration = Duration::from_secs(1);

/// Why a connection is not served any more.
pub(super) enum Leave {
    /// The host wants something else, or the same on a new one.
    Orders,
    Lost(Trouble),
}

/// Keeps a channel open and publishes on it, for as long as the connection is up and wanted.
pub(super) async fn attend(desk: &Desk<'_>, link: &mut Link) -> Leave {
    let mut backoff = Backoff::new(Exponential::CONNECT);
    let mut past = Past::default();
    while !link.is_worn() {
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
        if link.blocked.is_some() {
            // Nothing can be written, so no channel can be had until it is over.
            desk.show_up(link);
            match wait(desk, link, Some(&publish), None).await {
                Some(leave) => return leave,
                None => continue,
            }
        }
        let since = Instant::now();
        let next = match desk.while_wanted(open(link, &publish)).await {
            None => return Leave::Orders,
            Some(Err(trouble)) => Next::Lost(trouble),
            Some(Ok(Err(trouble))) => Next::Closed { trouble, heard: false },
            Some(Ok(Ok(channel))) => session::run(desk, link, &channel, &publish, &mut past).await,
        };
        if matches!(next, Next::Refused(_) | Next::Closed { .. }) {
            link.closed_channels += 1;
        }
        let (trouble, heard) = match next {
            Next::Lost(trouble) => return Leave::Lost(trouble),
            // Each time the event is given up, or there are fewer that it may be.
            Next::Refused(_) => continue,
            Next::Orders(_) | Next::Closed { .. } if desk.is_stopping() => return Leave::Orders,
            Next::Orders(End::Done) => continue,
            // lapin sends a channel's close before what is queued on that channel, and the server
            // ends the connection for what comes after a close.
            Next::Orders(End::Cut) => return Leave::Orders,
            Next::Closed { trouble, heard } => (trouble, heard),
        };
        past.failed = !heard;
        if heard && since.elapsed() >= GOOD {
            // It worked, so the likely cure is to do again what was done. If that fails, then the
            // state says so.
            desk.note(&trouble);
            backoff.reset();
            continue;
        }
        let next = Instant::now() + backoff.next_delay();
        desk.fail(trouble.state(&publish.exchange), next);
        if let Some(leave) = wait(desk, link, Some(&publish), Some(next)).await {
            return leave;
        }
    }
    Leave::Orders
}

/// A channel that is ready to publish on, or what the server says against the exchange.
async fn open(
    link: &mut Link,
    publish: &PublishSettings,
) -> Result<Result<Channel, Trouble>, Trouble> {
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

/// Lets time pass on a connection on which nothing can be published now: there is nothing to
/// publish, or no exchange, or an alarm. None: it is worth another look.
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
            Wish::Change { .. } => return None,
        }
        tokio::select! {
            biased;
            () = desk.rung() => {}
            change = link.change() => match change {
                Change::Lost(trouble) => return Some(Leave::Lost(trouble)),
                Change::Blocked | Change::Unblocked if until.is_none() => {
                    desk.show_up(link);
                    return None;
                }
                _ => {}
            },
            () = &mut over => return None,
        }
    }
}
