// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What is wrong with a bridge that spans: a pure function of what its nodes say.

use super::span::{Span, Trunk, is_near};

/// What a node says of its part of a bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    /// It has it, with these channels.
    Has(Vec<String>),
    /// It has no such bridge.
    Lacks,
    /// Nothing listens there: its process has ended.
    Refuses,
    /// It does not answer.
    Silent,
}

/// What is to be mended.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Ailment {
    /// The bridge is not at home any more.
    HomeLost,
    /// Home takes no new calls and has no member any more: the trunks alone keep it from stopping.
    HomeIdle,
    /// A node has no member any more.
    PartIdle(String),
    /// A node has died.
    PartLost(String),
    /// A node has members, and its trunk is not there.
    PartBroken(String),
    /// It is on one node only.
    Whole,
}

/// Finds it. `is_up` and `is_drained` are what Consul says of a node: one that is only silent may be
/// slow.
pub(super) fn ailments(
    span: &Span,
    seen: impl Fn(&str) -> Seen,
    is_up: impl Fn(&str) -> bool,
    is_drained: impl Fn(&str) -> bool,
) -> Vec<Ailment> {
    let is_dead = |eid: &str, seen: &Seen| match seen {
        Seen::Refuses => true,
        Seen::Silent => !is_up(eid),
        Seen::Has(_) | Seen::Lacks => false,
    };
    let home = seen(&span.home);
    if home == Seen::Lacks || is_dead(&span.home, &home) {
        return vec![Ailment::HomeLost];
    }
    if span.parts.is_empty() {
        return vec![Ailment::Whole];
    }
    let has_member = |eid: &String| match seen(eid) {
        Seen::Has(channels) => channels.iter().any(|channel| !is_near(channel)),
        _ => false,
    };
    let is_trunk =
        |channel: &String| span.parts.values().any(|trunk| trunk.far.as_ref() == Some(channel));
    // What plays there, or records, is a channel too, and comes to its end first.
    let is_idle = matches!(&home, Seen::Has(channels) if channels.iter().all(is_trunk));
    if is_idle && is_drained(&span.home) && span.parts.keys().any(has_member) {
        return vec![Ailment::HomeIdle];
    }
    let part = |(eid, trunk): (&String, &Trunk)| {
        let is_at_home = match (&home, &trunk.far) {
            (Seen::Has(channels), Some(far)) => channels.contains(far),
            // Home is slow: nothing can be said of it.
            (_, far) => far.is_some(),
        };
        match seen(eid) {
            Seen::Has(channels) => {
                if channels.iter().all(|channel| is_near(channel)) {
                    Some(Ailment::PartIdle(eid.clone()))
                } else if !is_at_home || !channels.contains(&trunk.near()) {
                    Some(Ailment::PartBroken(eid.clone()))
                } else {
                    None
                }
            }
            Seen::Lacks => Some(Ailment::PartIdle(eid.clone())),
            other if is_dead(eid, &other) => Some(Ailment::PartLost(eid.clone())),
            _ => None,
        }
    };
    span.parts.iter().filter_map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEAR: &str = "gateway-trunk-t";

    fn of(home: Seen, part: Seen, is_up: bool) -> Vec<Ailment> {
        at(home, part, is_up, false)
    }

    fn at(home: Seen, part: Seen, is_up: bool, is_drained: bool) -> Vec<Ailment> {
        let mut span = Span::at("h");
        span.parts.insert("p".into(), Trunk { token: "t".into(), far: Some("far".into()) });
        let seen = |eid: &str| if eid == "h" { home.clone() } else { part.clone() };
        ailments(&span, seen, |_| is_up, |eid| is_drained && eid == "h")
    }

    fn has(channels: &[&str]) -> Seen {
        Seen::Has(channels.iter().map(|one| (*one).to_owned()).collect())
    }

    #[test]
    fn every_ailment_has_its_signs() {
        let (home, part) = (has(&["far"]), has(&[NEAR, "member"]));
        let p = || "p".to_owned();
        for (home, part, is_up, wanted) in [
            (home.clone(), part.clone(), true, vec![]),
            (has(&["far", "x"]), part.clone(), false, vec![]),
            (Seen::Refuses, part.clone(), true, vec![Ailment::HomeLost]),
            (Seen::Lacks, part.clone(), true, vec![Ailment::HomeLost]),
            (Seen::Silent, part.clone(), true, vec![]),
            (Seen::Silent, part.clone(), false, vec![Ailment::HomeLost]),
            (home.clone(), has(&[NEAR]), true, vec![Ailment::PartIdle(p())]),
            (home.clone(), has(&[]), true, vec![Ailment::PartIdle(p())]),
            (home.clone(), Seen::Lacks, true, vec![Ailment::PartIdle(p())]),
            (home.clone(), Seen::Refuses, true, vec![Ailment::PartLost(p())]),
            (home.clone(), Seen::Silent, true, vec![]),
            (home.clone(), Seen::Silent, false, vec![Ailment::PartLost(p())]),
            (home, has(&["member"]), true, vec![Ailment::PartBroken(p())]),
            (has(&["x"]), part, true, vec![Ailment::PartBroken(p())]),
        ] {
            assert_eq!(of(home.clone(), part.clone(), is_up), wanted, "{home:?} {part:?} {is_up}");
        }
    }

    #[test]
    fn a_drained_home_is_idle_when_only_trunks_are_left_and_somebody_is_elsewhere() {
        let (idle, part) = (has(&["far"]), has(&[NEAR, "member"]));
        assert_eq!(at(idle.clone(), part.clone(), true, true), [Ailment::HomeIdle]);
        assert_eq!(at(idle.clone(), part.clone(), true, false), []);
        assert_eq!(at(has(&["far", "x"]), part, true, true), []);
        assert_eq!(at(idle, has(&[NEAR]), true, true), [Ailment::PartIdle("p".into())]);
    }

    #[test]
    fn a_trunk_that_was_never_finished_is_broken_and_a_span_of_one_node_is_whole() {
        let mut span = Span::at("h");
        let seen = |eid: &str| if eid == "h" { has(&[]) } else { has(&[NEAR, "member"]) };
        assert_eq!(ailments(&span, seen, |_| true, |_| false), [Ailment::Whole]);
        span.parts.insert("p".into(), Trunk { token: "t".into(), far: None });
        assert_eq!(ailments(&span, seen, |_| true, |_| false), [Ailment::PartBroken("p".into())]);
    }
}
