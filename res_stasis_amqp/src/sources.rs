// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The topics whose events are published, whatever applications there are.

use std::sync::Arc;

use asterisk::manager::Hook;
use asterisk::stasis::{Formatter, Subscription, Topic};

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

        if !channels {
            self.channels = None;
        } else if self.channels.is_none() {
            let feed = Arc::clone(feed);
            let channels =
                Subscription::new(Topic::Channels, Formatter::Json, HIGH_WATER, move |message| {
                    feed.channel_event(message);
                });
            self.channels = Some(channels.ok_or("no memory for a subscription")?);
        }

        if ami != PublishAmi::Yes {
            self.manager = None;
        } else if self.manager.is_none() {
            let feed = Arc::clone(feed);
            let manager =
                Subscription::new(Topic::Manager, Formatter::Ami, HIGH_WATER, move |message| {
                    feed.manager_event(message);
                });
            self.manager = Some(manager.ok_or("no memory for a subscription")?);
        }

        if ami != PublishAmi::All {
            self.hook = None;
        } else if self.hook.is_none() {
            let feed = Arc::clone(feed);
            self.hook = Some(Hook::new(move |name, text| feed.hooked_event(name, text)));
        }
        Ok(())
    }
}
