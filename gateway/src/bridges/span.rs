// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A bridge that spans nodes, as it is written in Consul.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The ids of the trunk's channels that we make begin so. Clients do not get to see any.
pub(super) const NEAR: &str = "gateway-trunk-";

/// Whether a channel is one of those.
pub(super) fn is_near(channel: &str) -> bool {
    channel.starts_with(NEAR)
}

/// Its nodes, by their entity ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Span {
    /// Where it is at home: where it acts.
    pub home: String,
    /// The others that have members.
    pub parts: BTreeMap<String, Trunk>,
}

/// The call between a part and home.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Trunk {
    /// The extension that is called, once.
    pub token: String,
    /// The channel at home, once it is known. The other is [`Trunk::near`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub far: Option<String>,
}

impl Trunk {
    pub(super) fn new() -> Self {
        Self { token: format!("{:032x}", rand::random::<u128>()), far: None }
    }

    /// The channel at the part.
    pub(super) fn near(&self) -> String {
        format!("{NEAR}{}", self.token)
    }
}

impl Span {
    pub(super) fn at(home: &str) -> Self {
        Self { home: home.to_owned(), parts: BTreeMap::new() }
    }

    /// All nodes that have the bridge, home first.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.home.as_str()).chain(self.parts.keys().map(String::as_str))
    }

    /// The trunks' channels, as far as they are known.
    pub(super) fn legs(&self) -> impl Iterator<Item = String> {
        self.parts.values().flat_map(|trunk| [Some(trunk.near()), trunk.far.clone()]).flatten()
    }

    /// The home among these nodes, each with the number of its members: where most are.
    pub(super) fn elect(members: &BTreeMap<String, usize>) -> Option<&str> {
        let most = members.values().max().filter(|most| **most > 0)?;
        let first = members.iter().find(|(_, count)| *count == most);
        first.map(|(eid, _)| eid.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_home_is_where_most_members_are() {
        let elect = |of: &[(&str, usize)]| {
            let members = of.iter().map(|(eid, count)| ((*eid).to_owned(), *count)).collect();
            Span::elect(&members).map(str::to_owned)
        };
        assert_eq!(elect(&[("a", 1), ("b", 3), ("c", 3)]).as_deref(), Some("b"));
        assert_eq!(elect(&[("a", 0), ("b", 1)]).as_deref(), Some("b"));
        assert_eq!(elect(&[("a", 0)]), None);
        assert_eq!(elect(&[]), None);
    }

    #[test]
    fn what_is_written_is_read() {
        let mut span = Span::at("a");
        span.parts.insert("b".into(), Trunk::new());
        let mut done = Trunk::new();
        done.far = Some("1.5".into());
        span.parts.insert("c".into(), done.clone());
        let text = serde_json::to_vec(&span).unwrap();
        assert_eq!(serde_json::from_slice::<Span>(&text).unwrap(), span);
        assert_eq!(span.nodes().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(span.legs().count(), 3);
        assert!(span.legs().any(|leg| leg == "1.5") && span.legs().any(|leg| leg == done.near()));
    }
}
