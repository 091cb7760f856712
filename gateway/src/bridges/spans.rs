// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! All bridges that span nodes, as Consul's keys tell.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::sync::watch;

use super::FOLDER;
use super::span::{Span, is_near};
use crate::peers::Entry;

/// Them at one time.
#[derive(Debug, Default)]
pub(crate) struct Spans {
    /// With the index of the key.
    bridges: HashMap<String, (u64, Span)>,
    legs: HashSet<String>,
    /// Whether Consul's keys have been read.
    pub is_read: bool,
}

impl Spans {
    pub(super) fn of(entries: &[Entry]) -> Self {
        let read = |entry: &Entry| {
            let id = entry.key.strip_prefix(FOLDER).filter(|id| !id.is_empty())?;
            let span: Span = serde_json::from_slice(&entry.value).ok()?;
            Some((id.to_owned(), (entry.index, span)))
        };
        let bridges: HashMap<String, (u64, Span)> = entries.iter().filter_map(read).collect();
        let legs = bridges.values().flat_map(|(_, span)| span.legs()).collect();
        Self { bridges, legs, is_read: true }
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Span> {
        self.bridges.get(id).map(|(_, span)| span)
    }

    /// The index of its key; 0: there is none.
    pub(super) fn index(&self, id: &str) -> u64 {
        self.bridges.get(id).map_or(0, |(index, _)| *index)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Span)> {
        self.bridges.iter().map(|(id, (_, span))| (id.as_str(), span))
    }

    pub(crate) fn count(&self) -> usize {
        self.bridges.len()
    }

    /// Whether this channel is a trunk's.
    pub(crate) fn is_leg(&self, channel: &str) -> bool {
        is_near(channel) || self.legs.contains(channel)
    }

    /// Whether what this node has by this id is not the bridge, but a part of it.
    pub(crate) fn is_part(&self, id: &str, eid: &str) -> bool {
        self.get(id).is_some_and(|span| span.home != eid)
    }
}

/// Reads the keys each time they change.
pub(super) async fn follow(
    mut keys: watch::Receiver<Option<Arc<[Entry]>>>,
    told: watch::Sender<Arc<Spans>>,
) {
    while keys.changed().await.is_ok() {
        let spans = keys.borrow_and_update().as_deref().map(Spans::of);
        if told.send(Arc::new(spans.unwrap_or_default())).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::span::Trunk;
    use super::*;

    #[test]
    fn keys_become_spans_and_what_is_none_is_left_out() {
        let mut span = Span::at("a");
        span.parts.insert("b".into(), Trunk { token: "t".into(), far: Some("7.1".into()) });
        let entry = |key: &str, value: &[u8]| Entry {
            key: key.into(),
            value: value.into(),
            index: 5,
            session: None,
        };
        let text = serde_json::to_vec(&span).unwrap();
        let spans = Spans::of(&[
            entry("bridges/", &text),
            entry("bridges/x/y", &text),
            entry("bridges/others", b"{}"),
            entry("bridges/none", b"\xff"),
        ]);
        assert_eq!((spans.count(), spans.index("x/y"), spans.index("z")), (1, 5, 0));
        assert_eq!(spans.get("x/y"), Some(&span));
        for leg in ["7.1", "gateway-trunk-t", "gateway-trunk-of-another"] {
            assert!(spans.is_leg(leg), "{leg}");
        }
        assert!(!spans.is_leg("7.2"));
        assert!(
            spans.is_part("x/y", "b") && !spans.is_part("x/y", "a") && !spans.is_part("z", "b")
        );
    }
}
