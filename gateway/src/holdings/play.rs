// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Playbacks. No list of a node tells of them, so one whose end was not heard of ends with what it
//! is played to.

use std::time::{Duration, Instant};

use serde::Deserialize;

use super::Holdings;
use crate::index::Kind;

/// What only a playback has.
#[derive(Debug, Clone)]
pub(super) struct Play {
    /// What it is played to.
    target: Option<(Kind, Box<str>)>,
    noted: Instant,
}

impl Play {
    /// Of ARI's object of a playback.
    pub(super) fn of(snapshot: &str) -> Self {
        #[derive(Deserialize)]
        struct Playback<'a> {
            #[serde(borrow)]
            target_uri: std::borrow::Cow<'a, str>,
        }
        let playback: Option<Playback<'_>> = serde_json::from_str(snapshot).ok();
        let target = playback.and_then(|playback| match playback.target_uri.split_once(':')? {
            ("channel", id) => Some((Kind::Channel, id.into())),
            ("bridge", id) => Some((Kind::Bridge, id.into())),
            _ => None,
        });
        Self { target, noted: Instant::now() }
    }

    /// Whether that may be, by what is said of its target.
    pub(super) fn can_be(&self, is_there: impl Fn(Kind, &str) -> bool) -> bool {
        self.target.as_ref().is_none_or(|(kind, id)| is_there(*kind, id))
    }
}

impl Holdings {
    /// Forgets playbacks that began so long ago: the end of some was not heard of.
    pub(crate) fn forget_plays(&self, after: Duration) {
        for node in self.all().nodes.values_mut() {
            node.plays.retain(|_, held| {
                held.play.as_ref().is_none_or(|play| play.noted.elapsed() < after)
            });
        }
    }
}
