// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Who is told of a bridge at home, where it acts. Asterisk tells an application of what is played to
//! a bridge, or recorded of it, while a call of it is in there; with its calls on other nodes, home has
//! none.

use std::collections::BTreeSet;

use super::node::At;
use super::span::is_near;
use crate::index::Kind;
use crate::proxy::Gateway;

impl Gateway {
    /// Has home tell the applications of these channels, which are on other nodes. It lasts as long
    /// as the bridge does.
    pub(super) async fn tell_members(&self, home: At<'_>, id: &str, channels: &[String]) {
        let app = |channel: &String| {
            let owner = self.index.owner(Kind::Channel, channel)?;
            self.index.app_name(owner.app?)
        };
        let members = channels.iter().filter(|channel| !is_near(channel));
        let apps: BTreeSet<_> = members.filter_map(app).collect();
        for app in apps {
            // The bridge works without it.
            if let Err(trouble) = home.subscribe(&app, id).await {
                tracing::warn!("application {app} is not told of bridge {id}: {trouble}");
            }
        }
    }
}
