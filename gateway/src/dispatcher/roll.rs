// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The list's text, from the fleet as it is and as it was.
//!
//! A node that is passing or warning takes new calls, and no other. Nodes that leave Consul one by one
//! take none from then on. That all of them leave at once says something of Consul and nothing of them
//! (an agent that was wiped, a service that was renamed): then the list stays, however long that lasts;
//! and when the first come back, those that are still missing keep their places until they come back
//! too, or are forgotten. A list without destinations is written only when Consul says of nodes it
//! knows that none takes calls.
//!
//! Calls live on a node that has left, so it is known until it is forgotten (`[consul] forget_after`);
//! one that an earlier process has known, as long from the first look at the fleet.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::shares::{PLACES, shares};
use crate::config::Transport;
use crate::fleet::{Fleet, Node, State};

const HEAD: &str = "\
    # Kamailio's destinations, kept by `gateway dispatcher` as Consul has the nodes: what is changed\n\
    # here is lost. Set 1 takes new calls; of each hundred, a node gets as many as its rweight says.\n\
    # Set 2 is all nodes: requests within the calls they have still go to them.\n";
const KNOWN: &str = "2 ";

/// What comes of a look at the fleet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// The list; `None`: as it is.
    pub text: Option<String>,
    /// What is new and an operator is to know of.
    pub told: Vec<String>,
}

/// What it remembers from one look to the next.
pub(super) struct Roll {
    transport: Transport,
    /// The nodes that were listed, before all of them left.
    last: BTreeMap<String, Arc<Node>>,
    /// Those of them that are still missing.
    held: BTreeMap<String, Arc<Node>>,
    inherited: BTreeSet<String>,
    /// How long those are kept, from the first fleet.
    forget_after: Duration,
    first: Option<Instant>,
    told: Option<String>,
}

impl Roll {
    /// `before` is the list as it was found.
    pub(super) fn new(transport: Transport, before: &str, forget_after: Duration) -> Self {
        let known = before.lines().filter_map(|line| line.strip_prefix(KNOWN));
        Self {
            transport,
            last: BTreeMap::new(),
            held: BTreeMap::new(),
            inherited: known.map(str::to_owned).collect(),
            forget_after,
            first: None,
            told: None,
        }
    }

    pub(super) fn take(&mut self, fleet: &Fleet, now: Instant) -> Outcome {
        let is_there = |node: &&Arc<Node>| node.state != State::Gone;
        let there = fleet.nodes.iter().filter(is_there);
        let there: BTreeMap<String, Arc<Node>> =
            there.map(|node| (node.eid.clone(), Arc::clone(node))).collect();
        if there.is_empty() {
            self.held.append(&mut self.last);
            let word = "Consul has no node at all; the list stays as it is".to_owned();
            return Outcome { text: None, told: self.tell(Some(word)) };
        }
        self.held.retain(|eid, _| fleet.by_eid(eid).is_some_and(|node| node.state == State::Gone));
        if now.duration_since(*self.first.get_or_insert(now)) >= self.forget_after {
            self.inherited.clear();
        }
        self.last.clone_from(&there);
        let every = fleet.nodes.iter().map(|node| (node.eid.clone(), Arc::clone(node)));
        let mut nodes: BTreeMap<String, Arc<Node>> = every.collect();
        nodes.extend(self.held.iter().map(|(eid, node)| (eid.clone(), Arc::clone(node))));
        let mut taking: Vec<&Node> = nodes.values().map(Arc::as_ref).filter(takes_calls).collect();
        let count = taking.len();
        if count > PLACES as usize {
            // The heaviest can do most for those that are left out. Equals stay in their order.
            taking.sort_by_key(|node| std::cmp::Reverse(node.weight));
            taking.truncate(PLACES as usize);
            taking.sort_by(|one, other| one.eid.cmp(&other.eid));
        }
        let word = match count {
            0 => Some("no node takes new calls: the list has no destination".to_owned()),
            _ if count > taking.len() => Some(format!(
                "of {count} nodes, {PLACES} get new calls: Kamailio knows no more shares"
            )),
            _ => None,
        };
        Outcome { text: Some(self.text(&nodes, &taking)), told: self.tell(word) }
    }

    fn text(&self, nodes: &BTreeMap<String, Arc<Node>>, taking: &[&Node]) -> String {
        let mut text = HEAD.to_owned();
        let weights: Vec<u32> = taking.iter().map(|node| node.weight).collect();
        for (node, share) in taking.iter().zip(shares(&weights)) {
            // Flag 8 has it asked by OPTIONS. Writing to a text does not fail.
            let _ = writeln!(text, "1 {} 8 0 rweight={share}", self.address(node));
        }
        let mut known = BTreeSet::new();
        for node in nodes.values() {
            let address = self.address(node);
            let _ = writeln!(text, "# {} {}\n{KNOWN}{address}", node.eid, node.state.word());
            known.insert(address);
        }
        for address in self.inherited.difference(&known) {
            let _ = writeln!(text, "# known before\n{KNOWN}{address}");
        }
        text
    }

    fn address(&self, node: &Node) -> String {
        let host = &node.origin.host;
        let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
        let transport = match self.transport {
            Transport::Udp => "",
            Transport::Tcp => ";transport=tcp",
            Transport::Tls => ";transport=tls",
        };
        format!("sip:{open}{host}{close}:{}{transport}", node.service_port)
    }

    /// Once each time it becomes so.
    fn tell(&mut self, word: Option<String>) -> Vec<String> {
        if self.told == word {
            return Vec::new();
        }
        self.told.clone_from(&word);
        word.into_iter().collect()
    }
}

fn takes_calls(node: &&Node) -> bool {
    node.state.takes_new() && node.weight > 0
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::config::Origin;
    use crate::fleet::Slot;

    fn node(eid: &str, state: State, weight: u32) -> Arc<Node> {
        let origin = Origin { is_https: false, host: format!("{eid}.example"), port: 8088 };
        let (slot, version, eid) = (Slot(0), String::new(), eid.to_owned());
        Arc::new(Node {
            slot,
            eid,
            origin,
            service_port: 5060,
            trunk_port: 5060,
            version,
            weight,
            state,
        })
    }

    fn fleet(nodes: &[(&str, State)]) -> Fleet {
        Fleet::new(nodes.iter().map(|(eid, state)| node(eid, *state, 1)).collect())
    }

    /// Nodes that take calls.
    pub(in super::super) fn fleet_of(nodes: &[&str]) -> Arc<Fleet> {
        Arc::new(fleet(&nodes.iter().map(|eid| (*eid, Passing)).collect::<Vec<_>>()))
    }

    /// The destinations of set 1, without their shares.
    fn taking(text: &str) -> Vec<&str> {
        let of_set = text.lines().filter_map(|line| line.strip_prefix("1 sip:"));
        of_set.map(|line| line.split('.').next().unwrap()).collect()
    }

    fn known(text: &str) -> usize {
        text.lines().filter(|line| line.starts_with("2 ")).count()
    }

    const MINUTE: Duration = Duration::from_secs(60);

    fn roll() -> Roll {
        Roll::new(Transport::Udp, "", MINUTE)
    }

    impl Roll {
        fn see(&mut self, fleet: &Fleet) -> Outcome {
            self.take(fleet, Instant::now())
        }
    }

    use State::{Critical, Gone, Maintenance, Passing, Warning};

    #[test]
    fn a_list_has_who_takes_calls_by_weight_and_who_is_known() {
        let nodes = [
            node("d", Critical, 9),
            node("a", Passing, 3),
            node("b", Warning, 1),
            node("c", Maintenance, 9),
            node("e", Warning, 0),
        ];
        let fleet = Fleet::new(nodes.to_vec());
        let text = roll().see(&fleet).text.unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            lines,
            [
                "1 sip:a.example:5060 8 0 rweight=75",
                "1 sip:b.example:5060 8 0 rweight=25",
                "2 sip:a.example:5060",
                "2 sip:b.example:5060",
                "2 sip:c.example:5060",
                "2 sip:d.example:5060",
                "2 sip:e.example:5060",
            ]
        );
        assert!(text.contains("\n# c maintenance\n"), "{text}");
    }

    #[test]
    fn addresses_are_those_of_sip() {
        let mut six = Node::clone(&node("a", Passing, 1));
        "2001:db8::7".clone_into(&mut six.origin.host);
        six.service_port = 5062;
        let fleet = Fleet::new(vec![Arc::new(six)]);
        let of = |transport| Roll::new(transport, "", MINUTE).see(&fleet).text.unwrap();
        assert!(of(Transport::Udp).contains("\n1 sip:[2001:db8::7]:5062 8 0 rweight=100\n"));
        assert!(of(Transport::Tls).contains("\n2 sip:[2001:db8::7]:5062;transport=tls\n"));
    }

    #[test]
    fn a_node_that_leaves_alone_takes_no_calls_and_is_known_until_it_is_forgotten() {
        let mut roll = roll();
        roll.see(&fleet(&[("a", Passing), ("b", Passing)]));
        let text = roll.see(&fleet(&[("a", Passing), ("b", Gone)])).text.unwrap();
        assert_eq!((taking(&text), known(&text)), (vec!["a"], 2));
        let text = roll.see(&fleet(&[("a", Passing)])).text.unwrap();
        assert_eq!((taking(&text), known(&text)), (vec!["a"], 1));
    }

    #[test]
    fn whom_an_earlier_process_knew_is_known_for_a_time() {
        let before = roll().see(&fleet(&[("a", Passing), ("b", Passing)])).text.unwrap();
        let mut roll = Roll::new(Transport::Udp, &before, MINUTE);
        let now = Instant::now();
        assert_eq!(roll.take(&Fleet::default(), now).text, None);
        let one = fleet(&[("a", Passing)]);
        let later = now + MINUTE;
        for (when, wanted) in [(later, 2), (later + MINUTE / 2, 2), (later + MINUTE, 1)] {
            let text = roll.take(&one, when).text.unwrap();
            assert_eq!((taking(&text), known(&text)), (vec!["a"], wanted));
        }
    }

    #[test]
    fn when_all_leave_at_once_the_list_stays_and_they_come_back_one_by_one() {
        let mut roll = roll();
        let whole = fleet(&[("a", Passing), ("b", Passing), ("c", Maintenance)]);
        let before = roll.see(&whole).text;
        let wiped = roll.see(&fleet(&[("a", Gone), ("b", Gone), ("c", Gone)]));
        assert_eq!(wiped.text, None);
        assert_eq!(wiped.told, ["Consul has no node at all; the list stays as it is"]);
        // Forgotten: it stays for as long as that lasts, and is told once.
        assert_eq!(roll.see(&Fleet::default()), Outcome { text: None, told: Vec::new() });
        let wiped = fleet(&[("a", Gone), ("b", Gone), ("c", Gone)]);
        assert_eq!(roll.see(&wiped).text, None);

        let one = roll.see(&fleet(&[("a", Passing), ("b", Gone), ("c", Gone)])).text.unwrap();
        assert_eq!((taking(&one), known(&one)), (vec!["a", "b"], 3));
        // What a node says when it is back counts, and c is forgotten.
        let two = roll.see(&fleet(&[("a", Passing), ("b", Critical)])).text.unwrap();
        assert_eq!((taking(&two), known(&two)), (vec!["a"], 2), "c is forgotten");
        assert_eq!(roll.see(&whole).text, before);
        // Held once is not held for ever.
        let text = roll.see(&fleet(&[("a", Passing), ("b", Gone), ("c", Gone)])).text.unwrap();
        assert_eq!((taking(&text), known(&text)), (vec!["a"], 3));
    }

    #[test]
    fn an_empty_consul_at_the_start_says_nothing() {
        assert_eq!(roll().see(&Fleet::default()).text, None);
    }

    #[test]
    fn a_list_without_destinations_is_what_consul_says_of_its_nodes() {
        let mut roll = roll();
        let none = fleet(&[("a", Maintenance), ("b", Critical)]);
        let outcome = roll.see(&none);
        let text = outcome.text.unwrap();
        assert_eq!((taking(&text), known(&text)), (vec![], 2));
        assert_eq!(outcome.told, ["no node takes new calls: the list has no destination"]);
        assert_eq!(roll.see(&none).told, [""; 0]);
        roll.see(&fleet(&[("a", Passing)]));
        assert_eq!(roll.see(&none).told.len(), 1, "anew when it has changed");
    }

    #[test]
    fn of_more_than_a_hundred_the_heaviest_get_calls() {
        let mut nodes: Vec<Arc<Node>> =
            (0..120).map(|number| node(&format!("n{number:03}"), Passing, 1)).collect();
        nodes.push(node("heavy", Passing, 2));
        let outcome = roll().see(&Fleet::new(nodes));
        assert!(outcome.told[0].starts_with("of 121 nodes, 100 get new calls"), "{outcome:?}");
        let text = outcome.text.unwrap();
        assert_eq!((taking(&text).len(), known(&text)), (100, 121));
        assert!(taking(&text).contains(&"heavy") && !taking(&text).contains(&"n119"), "{text}");
    }

    #[test]
    fn the_same_fleet_is_the_same_text() {
        let (one, other) = ([("a", Passing), ("b", Warning)], [("b", Warning), ("a", Passing)]);
        assert_eq!(roll().see(&fleet(&one)), roll().see(&fleet(&other)));
    }
}
