// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The topics whose events are published, whatever applications there are.

use std::sync::Arc;

use asterisk::manager::Hook;
use asterisk::stasis::{Formatter, Message, Subscription, Topic};

use crate::config::{PublishAmi, StasisSettings};
use crate::feed::Feed;

/// Messages that may wait for us before Asterisk warns. Its own 500 makes `res_pjsip` refuse calls
/// in any burst of variables; ours are worked off within a second or two.
const HIGH_WATER: u32 = 50_000;

/// Dropping one ends it; no callback runs afterwards.
#[derive(Default)]
pub(crate) struct Sources {
    channels: Option<Subscription>,
    manager: Option<Subscription>,
    hook: Option<Hook>,
}

impl Sources {
    /// Begins what `wanted` asks for and is not there, ends what it does not ask for.
    pub(crate) fn apply(
        &mut self,
        wanted: Option<&StasisSettings>,
        feed: &Arc<Feed>,
    ) -> Result<(), String> {
        let channels = wanted.is_some_and(|wanted| wanted.publish_channel_events);
        let ami = wanted.map_or(PublishAmi::No, |wanted| wanted.publish_ami);

        keep(&mut self.channels, channels, || {
            subscribe(Topic::Channels, Formatter::Json, feed, Feed::channel_event)
        })?;
        keep(&mut self.manager, ami == PublishAmi::Yes, || {
            subscribe(Topic::Manager, Formatter::Ami, feed, Feed::manager_event)
        })?;
        keep(&mut self.hook, ami == PublishAmi::All, || {
            let feed = Arc::clone(feed);
            Ok(Hook::new(move |name, text| feed.hooked_event(name, text)))
        })
    }
}

fn keep<T>(
    place: &mut Option<T>,
    wanted: bool,
    begin: impl FnOnce() -> Result<T, String>,
) -> Result<(), String> {
    if !wanted {
        *place = None;
    } else if place.is_none() {
        *place = Some(begin()?);
    }
    Ok(())
}

fn subscribe(
    topic: Topic,
    formatter: Formatter,
    feed: &Arc<Feed>,
    receive: fn(&Feed, &Message<'_>),
) -> Result<Subscription, String> {
    let feed = Arc::clone(feed);
    Subscription::new(topic, formatter, HIGH_WATER, move |message| receive(&feed, message))
        .ok_or_else(|| "no memory for a subscription".to_owned())
}
