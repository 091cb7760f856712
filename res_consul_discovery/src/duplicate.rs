// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Whether another node has our id.
//!
//! One that does is a service of our id, at another address than any of ours, that is alive and does
//! not say itself that another has its id. Such are never fought with: two nodes that overwrite each
//! other are worse than one that stands aside.
//!
//! - With a ttl or an HTTP check, the check says whether it is alive. What our own crash left behind
//!   at an address that we have no more looks like another until its check turns critical.
//! - Without a check nothing tells. Found with our own agent when we start it is taken for what a
//!   crash left, and replaced; but one that has replaced ours since is alive. With another agent it
//!   is as alive as that agent.

use std::fmt;

use crate::found::{Alive, Found};
use crate::service::Registration;

/// Another node with our id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    pub address: String,
    pub port: u16,
    /// The node of its agent; none if that is ours.
    pub node: Option<String>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, port, node } = self;
        match node {
            Some(node) => {
                write!(f, "{address} port {port}, registered with Consul's node '{node}'")
            }
            None => write!(f, "{address} port {port}, registered with the same agent"),
        }
    }
}

/// Whose the id is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Ours.
    #[default]
    Ours,
    /// Another node's too, with another agent: we register with a mark.
    Shared(Holder),
    /// Another node's, with our agent, where an id is there once: we register under one of our own.
    Aside(Holder),
}

impl Claim {
    /// The registration it lets us have.
    pub(crate) fn of(&self, wanted: &Registration) -> Registration {
        match self {
            Self::Ours => wanted.clone(),
            Self::Shared(_) => wanted.marked(),
            Self::Aside(_) => wanted.aside(),
        }
    }

    /// The other node, if there is one.
    pub(crate) fn holder(&self) -> Option<&Holder> {
        match self {
            Self::Ours => None,
            Self::Shared(holder) | Self::Aside(holder) => Some(holder),
        }
    }
}

/// What is known of an id.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known<'a> {
    pub id: &'a str,
    /// Where we are and were.
    pub ours: &'a [(String, u16)],
    /// What our agent has under the id.
    pub local: Option<&'a Found>,
    /// What all agents have under the name.
    pub catalog: &'a [Found],
    /// Whether we have not registered yet.
    pub is_start: bool,
}

/// Whose the id is.
pub(crate) fn decide(known: &Known<'_>) -> Claim {
    let is_other = |found: &Found| !known.ours.contains(&found.endpoint()) && !found.is_marked();
    if let Some(local) = known.local.filter(|found| is_other(found)) {
        let is_alive = match local.alive() {
            Alive::Yes => true,
            Alive::No => false,
            Alive::Untold => !known.is_start,
        };
        if is_alive {
            return Claim::Aside(holder(local, None));
        }
    }
    let local = known.local.map(Found::endpoint);
    let elsewhere = known.catalog.iter().find(|found| {
        found.service.id == known.id
            && is_other(found)
            && local.as_ref() != Some(&found.endpoint())
            && found.alive() != Alive::No
    });
    elsewhere.map_or(Claim::Ours, |found| {
        let node = found.node.as_ref().map(|node| node.node.clone());
        Claim::Shared(holder(found, Some(node.unwrap_or_default())))
    })
}

fn holder(found: &Found, node: Option<String>) -> Holder {
    let (address, port) = found.endpoint();
    Holder { address, port, node }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::Settings;
    use crate::found::tests::{found, told};
    use crate::health::Status::{Critical, Passing, Warning};
    use crate::service::tests::registration;

    fn at(address: &str) -> Registration {
        registration(&Settings::default(), address)
    }

    fn elsewhere(service: &Registration, status: crate::health::Status) -> Found {
        let mut told = told(service, status, None);
        told["Node"] = json!({ "Node": "n2", "Address": "10.0.0.2" });
        serde_json::from_value(told).unwrap()
    }

    fn decided(local: Option<&Found>, catalog: &[Found], is_start: bool) -> Claim {
        let ours = [("10.0.0.1".to_owned(), 5060)];
        decide(&Known { id: "eid", ours: &ours, local, catalog, is_start })
    }

    fn is_aside(claim: &Claim) -> bool {
        matches!(claim, Claim::Aside(Holder { address, port: 5060, node: None }) if address == "10.0.0.2")
    }

    #[test]
    fn what_is_at_our_address_is_ours() {
        let ours = found(&at("10.0.0.1"), Passing, None);
        assert_eq!(decided(Some(&ours), &[elsewhere(&at("10.0.0.1"), Passing)], true), Claim::Ours);
        assert_eq!(decided(None, &[], true), Claim::Ours);
    }

    #[test]
    fn another_with_our_agent_is_left_alone_while_it_is_alive() {
        for (status, alive) in [(Passing, true), (Warning, true), (Critical, false)] {
            let other = found(&at("10.0.0.2"), status, None);
            let catalog = [elsewhere(&at("10.0.0.2"), status)];
            assert_eq!(is_aside(&decided(Some(&other), &catalog, true)), alive);
        }
        let other = found(&at("10.0.0.2"), Passing, Some("maintenance is no death"));
        assert!(is_aside(&decided(Some(&other), &[], false)));
    }

    #[test]
    fn another_port_is_another_node() {
        let other = Registration { port: 5070, ..at("10.0.0.1") };
        let claim = decided(Some(&found(&other, Passing, None)), &[], true);
        assert_eq!(claim.holder().unwrap().port, 5070);
    }

    #[test]
    fn without_a_check_it_is_replaced_at_the_start_only() {
        let other = Registration { check: None, ..at("10.0.0.2") };
        let other = found(&other, Passing, None);
        assert_eq!(decided(Some(&other), &[], true), Claim::Ours);
        assert!(is_aside(&decided(Some(&other), &[], false)));
    }

    #[test]
    fn another_with_another_agent_shares_the_id_while_it_is_alive() {
        let claim = decided(None, &[elsewhere(&at("10.0.0.2"), Passing)], true);
        let holder = claim.holder().unwrap();
        assert_eq!(claim, Claim::Shared(holder.clone()));
        let told = "10.0.0.2 port 5060, registered with Consul's node 'n2'";
        assert_eq!(holder.to_string(), told);
        assert_eq!(decided(None, &[elsewhere(&at("10.0.0.2"), Critical)], true), Claim::Ours);
        let unchecked = Registration { check: None, ..at("10.0.0.2") };
        let claim = decided(None, &[elsewhere(&unchecked, Passing)], true);
        assert!(matches!(claim, Claim::Shared(_)));
        let named = Registration { id: "other".to_owned(), ..at("10.0.0.2") };
        assert_eq!(decided(None, &[elsewhere(&named, Passing)], true), Claim::Ours);
    }

    #[test]
    fn one_that_is_marked_holds_nothing() {
        let marked = at("10.0.0.2").marked();
        assert_eq!(decided(None, &[elsewhere(&marked, Warning)], false), Claim::Ours);
        assert_eq!(decided(Some(&found(&marked, Warning, None)), &[], false), Claim::Ours);
    }

    #[test]
    fn a_claim_gives_the_registration_it_allows() {
        let holder = Holder { address: "10.0.0.2".to_owned(), port: 1, node: None };
        let wanted = at("10.0.0.1");
        assert_eq!(Claim::Ours.of(&wanted), wanted);
        assert_eq!(Claim::Shared(holder.clone()).of(&wanted), wanted.marked());
        assert_eq!(Claim::Aside(holder).of(&wanted), wanted.aside());
    }
}
