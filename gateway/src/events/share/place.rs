// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Who of an application's sockets has a call: a function of what all gateways know, so that each
//! finds the same without asking.

use std::cmp::Reverse;
use std::sync::Arc;

use super::told::{Position, Told};

/// A socket's number at its gateway.
pub(crate) type SocketId = u64;

/// `since` of a socket that the others need not know of yet.
pub(super) const UNKNOWN: u64 = u64::MAX;

/// A socket that shares an application's calls, at whichever gateway.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub gateway: Arc<str>,
    pub socket: SocketId,
    /// Calls from then on are for it too, in milliseconds since 1970.
    pub since: u64,
    /// What its gateway has passed on, as far as is known: of one that has ended, all it was told.
    pub told: Arc<Told>,
    pub has_ended: bool,
    seed: u64,
}

/// A call, as far as it decides who has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CallKey {
    pub id: Arc<str>,
    /// When its channel was made, by its node's clock: every snapshot of it says so, to all alike.
    pub began: u64,
}

/// Who has an event of a call.
#[derive(Debug, Clone, Copy)]
pub(super) enum Owner<'a> {
    Place(&'a Place, Turn),
    /// A socket that has ended was told it.
    Told,
    Nobody,
}

/// How it comes to be the owner's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    First,
    /// Others before it have ended.
    Next,
}

/// FNV-1a: the same in every build, unlike the standard library's.
fn hash(parts: &[&[u8]]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.iter());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Spreads it: alike numbers of calls and sockets become unlike ones (the end of MurmurHash3).
fn spread(mut hash: u64) -> u64 {
    for factor in [0xff51_afd7_ed55_8ccd, 0xc4ce_b9fe_1a85_ec53] {
        hash = (hash ^ (hash >> 33)).wrapping_mul(factor);
    }
    hash ^ (hash >> 33)
}

impl Place {
    pub(super) fn new(gateway: &Arc<str>, socket: SocketId, since: u64, told: Arc<Told>) -> Self {
        let seed = spread(hash(&[gateway.as_bytes(), &socket.to_le_bytes()]));
        Self { gateway: Arc::clone(gateway), socket, since, told, has_ended: false, seed }
    }

    /// One that has ended, having been told so much.
    pub(super) fn ended(self) -> Self {
        Self { has_ended: true, ..self }
    }

    /// The greatest has the call. First those that were there when it began, by a draw that is
    /// another for each call; then those that came later, the oldest first, so that one that comes
    /// is the last to be asked.
    fn rank(&self, call: &CallKey, drawn: u64) -> (bool, u64, Reverse<(&str, SocketId)>) {
        let was_there = self.since <= call.began;
        let draw = if was_there { spread(drawn ^ self.seed) } else { UNKNOWN - self.since };
        (was_there, draw, Reverse((&self.gateway, self.socket)))
    }
}

/// Finds who has an event of a call. A socket that has ended had what it was told; what it was not
/// told has who comes after it. Of the first that is for sure. One that was next, and ended too,
/// may have ended before its gateway knew that it was its turn.
pub(super) fn owner<'a>(
    call: &CallKey,
    position: Option<&Position>,
    places: &'a [Place],
) -> Owner<'a> {
    let drawn = hash(&[call.id.as_bytes()]);
    let mut above = None;
    loop {
        let ranked = places.iter().map(|place| (place.rank(call, drawn), place));
        let below = ranked.filter(|(rank, _)| above.as_ref().is_none_or(|above| rank < above));
        let Some((rank, best)) = below.max_by(|one, other| one.0.cmp(&other.0)) else {
            return Owner::Nobody;
        };
        if !best.has_ended {
            let turn = if above.is_none() { Turn::First } else { Turn::Next };
            return Owner::Place(best, turn);
        }
        if above.is_none() && best.told.covers(position) {
            return Owner::Told;
        }
        above = Some(rank);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(gateway: &str, socket: SocketId, since: u64) -> Place {
        Place::new(&gateway.into(), socket, since, Arc::default())
    }

    fn of(number: u64, began: u64, places: &[Place]) -> (String, SocketId) {
        let call = CallKey { id: format!("call-{number}").into(), began };
        match owner(&call, None, places) {
            Owner::Place(place, _) => (place.gateway.to_string(), place.socket),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn calls_are_spread_and_stay_when_a_socket_comes() {
        let mut places = vec![place("a", 1, 10), place("b", 1, 20), place("b", 2, 20)];
        let before: Vec<_> = (0..3000).map(|number| of(number, 100, &places)).collect();
        for place in &places {
            let name = (place.gateway.to_string(), place.socket);
            let share = before.iter().filter(|one| **one == name).count();
            assert!((900..1100).contains(&share), "{name:?}: {share}");
        }
        places.insert(0, place("c", 1, 101));
        let after: Vec<_> = (0..3000).map(|number| of(number, 100, &places)).collect();
        assert_eq!(before, after);
        let new = (0..3000).filter(|number| of(*number, 101, &places).0 == "c").count();
        assert!((650..850).contains(&new), "{new}");
    }

    #[test]
    fn only_calls_of_one_that_is_gone_move() {
        let places = [place("a", 1, 1), place("b", 1, 1), place("c", 1, 1), place("d", 1, 200)];
        for number in 0..300 {
            let before = of(number, 100, &places);
            let after = of(number, 100, &places[1..]);
            assert!(before == after || before.0 == "a" && after.0 != "d", "{before:?} {after:?}");
            // All who were there are gone: who came first has it, and not who comes then.
            let late = [place("d", 1, 200), place("e", 1, 300), place("f", 1, UNKNOWN)];
            assert_eq!(of(number, 100, &late).0, "d");
            assert_eq!(of(number, 100, &late[1..]).0, "e");
        }
    }

    #[test]
    fn what_one_was_told_before_its_end_is_told_to_nobody_else() {
        let mut told = Told::default();
        told.note(&Position::of("e/1/5").unwrap());
        let gone = Place::new(&"a".into(), 1, 1, Arc::new(told)).ended();
        let call = CallKey { id: "c".into(), began: 1 };
        let mut places = [gone, place("b", 1, 2)];
        let at = |id: &str| owner(&call, Position::of(id).as_ref(), &places);
        assert!(matches!(at("e/1/5"), Owner::Told));
        assert!(matches!(at("e/1/6"), Owner::Place(place, Turn::Next) if *place.gateway == *"b"));
        assert!(matches!(at(""), Owner::Place(..)));
        assert!(matches!(owner(&call, None, &places[..1]), Owner::Nobody));
        // Whether the next was told it before its end, only its gateway knows.
        let mut further = Told::default();
        further.note(&Position::of("e/1/9").unwrap());
        places[1] = Place::new(&"b".into(), 1, 2, Arc::new(further)).ended();
        let places = [places[0].clone(), places[1].clone(), place("c", 1, 3)];
        let position = Position::of("e/1/6");
        let found = owner(&call, position.as_ref(), &places);
        assert!(matches!(found, Owner::Place(place, _) if *place.gateway == *"c"));
    }
}
