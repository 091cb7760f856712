// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Nodes that make channels of the same ids, since they have no `systemname` to begin them with.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::fleet::Slot;

/// Two nodes that had this id at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Clash {
    pub id: String,
    pub nodes: [Slot; 2],
}

#[derive(Debug, Default)]
pub(super) struct Clashes(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Each node of which that is known, with one that it clashes with.
    nodes: BTreeMap<Slot, Slot>,
    /// What has not been said yet: of each node once.
    news: Vec<Clash>,
}

/// Whether Asterisk made an id, and with no name of its own before it: `1732000000.5`.
fn is_bare(id: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let id = id.split_once(';').map_or(id, |(id, _)| id);
    id.split_once('.').is_some_and(|(second, count)| is_number(second) && is_number(count))
}

impl Clashes {
    /// A channel is on one node, and was known to be on another.
    pub(super) fn note(&self, id: &str, nodes: [Slot; 2]) {
        if !is_bare(id) {
            return;
        }
        let state = &mut *self.state();
        let [one, other] = nodes;
        let is_known = state.nodes.contains_key(&one) && state.nodes.contains_key(&other);
        if !is_known {
            state.nodes.entry(one).or_insert(other);
            state.nodes.entry(other).or_insert(one);
            state.news.push(Clash { id: id.to_owned(), nodes });
        }
    }

    /// The node is another process, or gone: it may have a name now.
    pub(super) fn forget(&self, slot: Slot) {
        self.state().nodes.retain(|one, other| *one != slot && *other != slot);
    }

    pub(super) fn count(&self) -> usize {
        self.state().nodes.len()
    }

    /// A node that this one clashes with.
    pub(super) fn with(&self, slot: Slot) -> Option<Slot> {
        self.state().nodes.get(&slot).copied()
    }

    pub(super) fn take_news(&self) -> Vec<Clash> {
        std::mem::take(&mut self.state().news)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_nodes_without_a_name_are_known() {
        for id in ["1732000000.5", "1732000000.5;2", "1.0"] {
            assert!(is_bare(id), "{id}");
        }
        for id in ["", ".", "1.", "1", "pbx-1732000000.5", "1732000000.5-x", "a.b"] {
            assert!(!is_bare(id), "{id}");
        }
    }

    #[test]
    fn each_node_is_told_of_once_until_it_begins_anew() {
        let (clashes, [a, b, c]) = (Clashes::default(), [Slot(1), Slot(2), Slot(3)]);
        clashes.note("named-1.5", [a, b]);
        assert_eq!((clashes.count(), clashes.take_news().len()), (0, 0));
        clashes.note("1.5", [a, b]);
        clashes.note("1.6", [b, a]);
        assert_eq!(clashes.take_news(), [Clash { id: "1.5".into(), nodes: [a, b] }]);
        clashes.note("1.6", [b, c]);
        assert_eq!((clashes.count(), clashes.take_news().len()), (3, 1));
        assert_eq!(
            [a, b, c, Slot(4)].map(|slot| clashes.with(slot)),
            [Some(b), Some(a), Some(b), None]
        );
        clashes.forget(b);
        assert_eq!(clashes.count(), 0);
        clashes.note("1.7", [a, b]);
        assert_eq!((clashes.count(), clashes.take_news().len()), (2, 1));
    }
}
