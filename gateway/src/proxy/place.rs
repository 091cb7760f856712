// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Which node something new goes to.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::config::Placement;
use crate::fleet::Slot;

/// A node that may be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate<'a> {
    pub slot: Slot,
    pub eid: &'a str,
    pub weight: u32,
    /// The channels it has, and those that are on their way to it.
    pub channels: usize,
}

/// Chooses. `turn` is another each time. One of weight 0 is chosen when there is no other.
pub(super) fn place(
    policy: Placement,
    candidates: &[Candidate<'_>],
    app: Option<&str>,
    turn: u64,
) -> Option<Slot> {
    let weighty: Vec<&Candidate<'_>> =
        candidates.iter().filter(|candidate| candidate.weight > 0).collect();
    if weighty.is_empty() {
        return pick(candidates, turn).map(|candidate| candidate.slot);
    }
    match (policy, app) {
        (Placement::LeastLoaded, _) => least_loaded(&weighty, turn),
        (Placement::ByApp, Some(app)) => by_app(&weighty, app),
        (Placement::RoundRobin | Placement::ByApp, _) => in_turn(&weighty, turn),
    }
}

fn pick<T>(from: &[T], turn: u64) -> Option<&T> {
    let count = u64::try_from(from.len()).ok().filter(|count| *count > 0)?;
    from.get(usize::try_from(turn % count).ok()?)
}

fn least_loaded(candidates: &[&Candidate<'_>], turn: u64) -> Option<Slot> {
    // With the one that would come; a fraction, compared without a division.
    let load = |candidate: &Candidate<'_>| {
        (u64::try_from(candidate.channels).unwrap_or(u64::MAX >> 17) + 1, candidate.weight)
    };
    let is_less = |one: (u64, u32), other: (u64, u32)| {
        u128::from(one.0) * u128::from(other.1) < u128::from(other.0) * u128::from(one.1)
    };
    let mut least: Vec<&Candidate<'_>> = Vec::new();
    for candidate in candidates {
        match least.first() {
            Some(best) if is_less(load(best), load(candidate)) => {}
            Some(best) if is_less(load(candidate), load(best)) => least = vec![candidate],
            _ => least.push(candidate),
        }
    }
    pick(&least, turn).map(|candidate| candidate.slot)
}

fn in_turn(candidates: &[&Candidate<'_>], turn: u64) -> Option<Slot> {
    let sum: u64 = candidates.iter().map(|candidate| u64::from(candidate.weight)).sum();
    let mut left = turn.checked_rem(sum)?;
    for candidate in candidates {
        match left.checked_sub(u64::from(candidate.weight)) {
            Some(rest) => left = rest,
            None => return Some(candidate.slot),
        }
    }
    None
}

/// Rendezvous hashing: when a node goes, only what was its own goes elsewhere.
fn by_app(candidates: &[&Candidate<'_>], app: &str) -> Option<Slot> {
    let score = |candidate: &Candidate<'_>| {
        let mut hasher = DefaultHasher::new();
        (app, candidate.eid).hash(&mut hasher);
        // Between 0 and 1, neither of them.
        let share = (hasher.finish() >> 12) as f64 / (1_u64 << 52) as f64 + f64::EPSILON;
        -f64::from(candidate.weight) / share.ln()
    };
    let best = candidates.iter().max_by(|one, other| score(one).total_cmp(&score(other)));
    best.map(|candidate| candidate.slot)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(of: &[(&'static str, u32, usize)]) -> Vec<Candidate<'static>> {
        let candidate =
            |(number, (eid, weight, channels)): (usize, &(&'static str, u32, usize))| Candidate {
                slot: Slot(u32::try_from(number).unwrap()),
                eid,
                weight: *weight,
                channels: *channels,
            };
        of.iter().enumerate().map(candidate).collect()
    }

    fn spread(policy: Placement, of: &[(&'static str, u32, usize)], count: u64) -> Vec<usize> {
        let candidates = candidates(of);
        let mut spread = vec![0; of.len()];
        for turn in 0..count {
            let app = format!("app-{turn}");
            let slot = place(policy, &candidates, Some(&app), turn).unwrap();
            spread[slot.0 as usize] += 1;
        }
        spread
    }

    #[test]
    fn the_least_loaded_for_its_weight_is_chosen_and_equals_in_turn() {
        use Placement::LeastLoaded;
        assert_eq!(spread(LeastLoaded, &[("a", 1, 5), ("b", 1, 4), ("c", 1, 9)], 10), [0, 10, 0]);
        assert_eq!(spread(LeastLoaded, &[("a", 1, 5), ("b", 4, 15)], 10), [0, 10]);
        assert_eq!(spread(LeastLoaded, &[("a", 1, 0), ("b", 1, 0), ("c", 1, 0)], 9), [3, 3, 3]);
        assert_eq!(spread(LeastLoaded, &[("a", 0, 0), ("b", 1, 99)], 4), [0, 4]);
        assert_eq!(spread(LeastLoaded, &[("a", 0, 0), ("b", 0, 99)], 4), [2, 2]);
        assert_eq!(place(LeastLoaded, &[], None, 0), None);
    }

    #[test]
    fn turns_follow_the_weights() {
        assert_eq!(spread(Placement::RoundRobin, &[("a", 3, 0), ("b", 1, 9)], 8), [6, 2]);
    }

    #[test]
    fn an_application_stays_on_its_node() {
        let all = candidates(&[("a", 1, 0), ("b", 1, 0), ("c", 1, 0)]);
        let without_b: Vec<_> = all.iter().filter(|one| one.eid != "b").cloned().collect();
        for number in 0..200 {
            let app = format!("app-{number}");
            let app = Some(app.as_str());
            let chosen = place(Placement::ByApp, &all, app, number);
            assert_eq!(chosen, place(Placement::ByApp, &all, app, number + 7));
            let after = place(Placement::ByApp, &without_b, app, 0);
            assert!(chosen == Some(Slot(1)) || chosen == after);
        }
        let shares = spread(Placement::ByApp, &[("a", 3, 0), ("b", 1, 0)], 4000);
        assert!((2700..3300).contains(&shares[0]), "{shares:?}");
    }
}
