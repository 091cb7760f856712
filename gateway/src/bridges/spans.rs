// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! All bridges that span nodes, as Consul's keys tell.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::FOLDER;
use super::span::{Span, is_near};
use crate::peers::Entry;

/// How long events of a part can come after its end: with a node's death, what a health check takes.
const LATE: Duration = Duration::from_secs(60);

/// Them at one time.
#[derive(Debug, Default)]
pub(crate) struct Spans {
    /// With the index of the key.
    bridges: HashMap<String, (u64, Span)>,
    legs: HashSet<String>,
    /// Bridge and node of what was a part, or home, and when that ended.
    over: HashMap<(String, String), Instant>,
    /// Whether Consul's keys have been read.
    pub is_read: bool,
}

impl Spans {
    pub(super) fn of(entries: &[Entry], before: &Self, now: Instant) -> Self {
        let read = |entry: &Entry| {
            let id = entry.key.strip_prefix(FOLDER).filter(|id| !id.is_empty())?;
            let span: Span = serde_json::from_slice(&entry.value).ok()?;
            Some((id.to_owned(), (entry.index, span)))
        };
        let bridges: HashMap<String, (u64, Span)> = entries.iter().filter_map(read).collect();
        let legs = bridges.values().flat_map(|(_, span)| span.legs()).collect();
        let has = |id: &str, eid: &str| {
            let span = bridges.get(id).map(|(_, span): &(u64, Span)| span);
            span.is_some_and(|span| span.nodes().any(|node| node == eid))
        };
        let mut over = before.over.clone();
        for (id, span) in before.iter() {
            // Without a span, home has the bridge for itself.
            let is_moved = bridges.contains_key(id);
            let left = span.nodes().filter(|eid| is_moved || *eid != span.home);
            over.extend(left.map(|eid| ((id.to_owned(), eid.to_owned()), now)));
        }
        over.retain(|(id, eid), since| now.duration_since(*since) < LATE && !has(id, eid));
        Self { bridges, legs, over, is_read: true }
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

    /// The same, or it was so a moment ago.
    pub(super) fn was_part(&self, id: &str, eid: &str) -> bool {
        self.is_part(id, eid) || self.over.contains_key(&(id.to_owned(), eid.to_owned()))
    }

    /// Whether the bridge outlives a node that had it.
    pub(super) fn outlives(&self, id: &str, eid: &str) -> bool {
        let span = self.get(id);
        self.was_part(id, eid) || span.is_some_and(|span| span.nodes().any(|node| node != eid))
    }
}

/// Reads the keys each time they change.
pub(super) async fn follow(
    mut keys: watch::Receiver<Option<Arc<[Entry]>>>,
    told: watch::Sender<Arc<Spans>>,
) {
    while keys.changed().await.is_ok() {
        let read = keys.borrow_and_update().clone();
        let Some(read) = read else { continue };
        let spans = Spans::of(&read, &told.borrow(), Instant::now());
        if told.send(Arc::new(spans)).is_err() {
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
        let entries = [
            entry("bridges/", &text),
            entry("bridges/x/y", &text),
            entry("bridges/others", b"{}"),
            entry("bridges/none", b"\xff"),
        ];
        let spans = Spans::of(&entries, &Spans::default(), Instant::now());
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

    #[test]
    fn what_was_a_part_is_known_for_a_while() {
        let now = Instant::now();
        let spans = |home: &str, part: Option<&str>, before: &Spans, now| {
            let mut span = Span::at(home);
            span.parts.extend(part.map(|part| (part.to_owned(), Trunk::new())));
            let value = serde_json::to_vec(&span).unwrap();
            let entry = Entry { key: "bridges/x".into(), value, index: 5, session: None };
            Spans::of(&[entry], before, now)
        };
        let first = spans("a", Some("b"), &Spans::default(), now);
        assert!(first.was_part("x", "b") && !first.was_part("x", "a"));
        assert!(first.outlives("x", "a") && !first.outlives("y", "a"));
        // The home moves: what was one is none, and what was a part is home.
        let moved = spans("b", None, &first, now);
        assert!(moved.was_part("x", "a") && !moved.was_part("x", "b"));
        assert!(moved.outlives("x", "a") && !moved.outlives("x", "b"));
        let ended = Spans::of(&[], &first, now);
        assert!(ended.was_part("x", "b") && !ended.was_part("x", "a"));
        let later = Spans::of(&[], &ended, now + LATE);
        assert!(!later.was_part("x", "b"));
    }
}
