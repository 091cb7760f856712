// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The fleet as it is seen: one listing after the other makes it, and says what has changed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::listed::{Listed, Listing};
use super::{Node, Slot, State};

/// The nodes at one time, by their slots.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fleet {
    pub nodes: Vec<Arc<Node>>,
    /// Where each is among them: every event is looked up by it.
    places: HashMap<String, usize>,
}

impl Fleet {
    /// The nodes are in the order of their slots.
    pub(crate) fn new(nodes: Vec<Arc<Node>>) -> Self {
        let places = nodes.iter().enumerate().map(|(place, node)| (node.eid.clone(), place));
        Self { places: places.collect(), nodes }
    }

    pub(crate) fn by_eid(&self, eid: &str) -> Option<&Arc<Node>> {
        self.nodes.get(*self.places.get(eid)?)
    }

    pub(crate) fn by_slot(&self, slot: Slot) -> Option<&Arc<Node>> {
        let place = self.nodes.binary_search_by_key(&slot, |node| node.slot).ok()?;
        self.nodes.get(place)
    }
}

/// What an operator is told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    Came(String, State),
    Turned(String, State),
    Moved(String),
    Forgotten(String),
    /// Two services claim one entity id: the second is refused.
    Duplicate {
        eid: String,
        refused: (String, String),
        kept: (String, String),
    },
    Unusable(String),
}

struct Known {
    node: Arc<Node>,
    key: (String, String),
    /// Since when Consul does not list it.
    gone: Option<Instant>,
}

/// Makes fleets of listings.
#[derive(Default)]
pub(super) struct View {
    known: BTreeMap<String, Known>,
    next: u32,
    duplicates: BTreeSet<(String, (String, String))>,
    unusable: BTreeSet<String>,
}

impl View {
    /// Takes a listing. What is told once stays untold until it has changed.
    pub(super) fn take(&mut self, listing: Listing, now: Instant) -> Vec<Change> {
        let mut changes = Vec::new();
        let unusable: BTreeSet<String> = listing.unusable.into_iter().collect();
        changes.extend(unusable.difference(&self.unusable).cloned().map(Change::Unusable));
        self.unusable = unusable;
        let mut claims: BTreeMap<String, Vec<Listed>> = BTreeMap::new();
        for node in listing.nodes {
            claims.entry(node.eid.clone()).or_default().push(node);
        }
        let mut duplicates = BTreeSet::new();
        for (eid, known) in &mut self.known {
            if !claims.contains_key(eid) && known.gone.is_none() {
                known.gone = Some(now);
                known.node = Arc::new(Node { state: State::Gone, ..Node::clone(&known.node) });
                changes.push(Change::Turned(eid.clone(), State::Gone));
            }
        }
        for (eid, mut claimants) in claims {
            claimants.sort_by(|one, other| one.key.cmp(&other.key));
            let incumbent = self.known.get(&eid).map(|known| known.key.clone());
            let place = claimants.iter().position(|node| Some(&node.key) == incumbent.as_ref());
            let kept = claimants.swap_remove(place.unwrap_or(0));
            for refused in claimants {
                let mark = (eid.clone(), refused.key.clone());
                if !self.duplicates.contains(&mark) {
                    let (eid, kept) = (eid.clone(), kept.key.clone());
                    changes.push(Change::Duplicate { eid, refused: refused.key, kept });
                }
                duplicates.insert(mark);
            }
            self.see(kept, &mut changes);
        }
        self.duplicates = duplicates;
        changes
    }

    fn see(&mut self, listed: Listed, changes: &mut Vec<Change>) {
        let known = self.known.get(&listed.eid);
        let slot = known.map_or(Slot(self.next), |known| known.node.slot);
        let node = Node {
            slot,
            eid: listed.eid.clone(),
            origin: listed.origin,
            service_port: listed.service_port,
            trunk_port: listed.trunk_port,
            version: listed.version,
            weight: listed.weight,
            state: listed.state,
        };
        match known.map(|known| &known.node) {
            None => {
                self.next += 1;
                changes.push(Change::Came(node.eid.clone(), node.state));
            }
            Some(before) => {
                let ports = |node: &Node| (node.service_port, node.trunk_port);
                if before.origin != node.origin || ports(before) != ports(&node) {
                    changes.push(Change::Moved(node.eid.clone()));
                }
                if before.state != node.state {
                    changes.push(Change::Turned(node.eid.clone(), node.state));
                }
            }
        }
        let node = match known {
            Some(known) if *known.node == node => Arc::clone(&known.node),
            _ => Arc::new(node),
        };
        self.known.insert(listed.eid, Known { node, key: listed.key, gone: None });
    }

    /// Forgets what has been gone for so long.
    pub(super) fn forget(&mut self, after: Duration, now: Instant) -> Vec<Change> {
        let is_over = |known: &Known| {
            known.gone.is_some_and(|since| now.saturating_duration_since(since) >= after)
        };
        let over: Vec<String> = self
            .known
            .iter()
            .filter(|(_, known)| is_over(known))
            .map(|(eid, _)| eid.clone())
            .collect();
        for eid in &over {
            self.known.remove(eid);
        }
        over.into_iter().map(Change::Forgotten).collect()
    }

    pub(super) fn has_gone(&self) -> bool {
        self.known.values().any(|known| known.gone.is_some())
    }

    pub(super) fn fleet(&self) -> Fleet {
        let mut nodes: Vec<Arc<Node>> =
            self.known.values().map(|known| Arc::clone(&known.node)).collect();
        nodes.sort_by_key(|node| node.slot);
        Fleet::new(nodes)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::listed::tests::service;
    use super::*;

    fn listing(services: &[&Value]) -> Listing {
        super::super::listed::read(json!(services).to_string().as_bytes()).unwrap()
    }

    fn at(host: &str, mut service: Value) -> Value {
        service["Node"]["Node"] = json!(host);
        service
    }

    #[test]
    fn a_node_comes_turns_goes_and_is_forgotten() {
        let (mut view, now) = (View::default(), Instant::now());
        let healthy = service("a", 1, &[("c", "passing")]);
        let changes = view.take(listing(&[&healthy]), now);
        assert_eq!(changes, [Change::Came("a".into(), State::Passing)]);
        assert_eq!(view.take(listing(&[&healthy]), now), []);
        let sick = service("a", 1, &[("c", "critical")]);
        let turned = |state| [Change::Turned("a".into(), state)];
        assert_eq!(view.take(listing(&[&sick]), now), turned(State::Critical));
        assert_eq!(view.take(listing(&[]), now), turned(State::Gone));
        assert_eq!(view.take(listing(&[]), now), []);
        assert_eq!(view.fleet().by_eid("a").unwrap().state, State::Gone);
        let minute = Duration::from_secs(60);
        assert_eq!(view.forget(minute, now + minute / 2), []);
        assert_eq!(view.forget(minute, now + minute), [Change::Forgotten("a".into())]);
        assert!(view.fleet().nodes.is_empty() && !view.has_gone());
    }

    #[test]
    fn a_slot_stays_while_the_node_is_known() {
        let (mut view, now) = (View::default(), Instant::now());
        let (a, b) = (service("a", 1, &[]), service("b", 2, &[]));
        view.take(listing(&[&a, &b]), now);
        view.take(listing(&[&b]), now);
        view.take(listing(&[&b, &a]), now);
        let slots: Vec<(&str, Slot)> = vec![("a", Slot(0)), ("b", Slot(1))];
        for (eid, slot) in slots {
            assert_eq!(view.fleet().by_eid(eid).unwrap().slot, slot);
            assert_eq!(view.fleet().by_slot(slot).unwrap().eid, eid);
        }
        assert!(view.fleet().by_slot(Slot(2)).is_none());
        view.take(listing(&[&b]), now);
        view.forget(Duration::ZERO, now);
        view.take(listing(&[&a, &b]), now);
        assert_eq!(view.fleet().by_eid("a").unwrap().slot, Slot(2));
    }

    #[test]
    fn a_move_is_told() {
        let (mut view, now) = (View::default(), Instant::now());
        view.take(listing(&[&service("a", 1, &[])]), now);
        let changes = view.take(listing(&[&service("a", 2, &[])]), now);
        assert_eq!(changes, [Change::Moved("a".into())]);
        assert_eq!(view.fleet().by_eid("a").unwrap().origin.port, 2);
    }

    #[test]
    fn of_two_with_one_entity_id_the_first_stays() {
        let (mut view, now) = (View::default(), Instant::now());
        let (m, z) = (at("m", service("a", 1, &[])), at("z", service("a", 2, &[])));
        let b = at("b", service("a", 3, &[]));
        view.take(listing(&[&m]), now);
        let changes = view.take(listing(&[&z, &m, &b]), now);
        let key = |host: &str| (host.to_owned(), "a".to_owned());
        let duplicate =
            |host| Change::Duplicate { eid: "a".into(), refused: key(host), kept: key("m") };
        assert_eq!(changes.len(), 2);
        assert!(changes.contains(&duplicate("z")) && changes.contains(&duplicate("b")));
        assert_eq!(view.take(listing(&[&b, &m, &z]), now), []);
        assert_eq!(view.fleet().by_eid("a").unwrap().origin.port, 1);
        // When it goes, one of the others is the node.
        view.take(listing(&[&z, &b]), now);
        assert_eq!(view.fleet().by_eid("a").unwrap().origin.port, 3);
        assert_eq!(view.fleet().nodes.len(), 1);
    }

    #[test]
    fn what_is_unusable_is_told_once() {
        let (mut view, now) = (View::default(), Instant::now());
        let mut nameless = service("a", 1, &[]);
        nameless["Service"]["Meta"] = json!({});
        let told = view.take(listing(&[&nameless]), now);
        assert!(matches!(told.as_slice(), [Change::Unusable(_)]), "{told:?}");
        assert_eq!(view.take(listing(&[&nameless]), now), []);
        view.take(listing(&[]), now);
        assert_eq!(view.take(listing(&[&nameless]), now).len(), 1);
    }
}
