// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Which nodes are to be read, which are being read, and what the last read found.

use std::collections::{HashMap, VecDeque};

use super::anew::Asked;
use super::read::{Before, Done};
use crate::fleet::{Fleet, Slot, State};
use crate::node::{Member, Roster};

/// Where a node stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Turn {
    /// There is nothing to do.
    #[default]
    Rests,
    /// It is to be read.
    Waits,
    /// It is being read.
    Reads,
    /// It is being read, and has changed since that began: once more.
    ReadsAndWaits,
}

/// One node.
#[derive(Debug, Default)]
struct Seen {
    /// Asterisk's start, as the last read had it.
    boot: Option<String>,
    /// What Consul said of it when it was looked at.
    state: Option<State>,
    was_whole: bool,
    has_been_tried: bool,
    turn: Turn,
}

#[derive(Debug, Default)]
pub(super) struct Desk {
    seen: HashMap<Slot, Seen>,
    /// First come, first read.
    waiting: VecDeque<Slot>,
}

impl Desk {
    /// Looks who is to be read: a node that came, whose state has turned (it may have been started
    /// again), that could not be read, or whose turn it is.
    pub(super) fn look(&mut self, roster: &Roster, is_due: bool, asked: &Asked) {
        for member in roster.members() {
            let (slot, state) = (member.node.slot, member.node.state);
            let seen = self.seen.entry(slot).or_default();
            let is_asked = asked.has(&member.node.eid);
            let (is_due, has_turned) = (is_due || is_asked, seen.state != Some(state));
            seen.state = Some(state);
            let came = has_turned || !seen.was_whole;
            let is_wanted = state.is_up() && (is_due || came)
                || is_due && state != State::Gone && !member.client.is_suspect();
            if !is_wanted {
                continue;
            }
            match seen.turn {
                Turn::Rests => {
                    seen.turn = Turn::Waits;
                    self.waiting.push_back(slot);
                }
                Turn::Reads if has_turned || is_asked => seen.turn = Turn::ReadsAndWaits,
                Turn::Waits | Turn::Reads | Turn::ReadsAndWaits => {}
            }
        }
    }

    /// The next one to be read.
    pub(super) fn next(&mut self, roster: &Roster) -> Option<(Member, Before)> {
        while let Some(slot) = self.waiting.pop_front() {
            if let (Some(seen), Some(member)) = (self.seen.get_mut(&slot), roster.member(slot)) {
                seen.turn = Turn::Reads;
                let before = Before { boot: seen.boot.clone(), was_whole: seen.was_whole };
                return Some((member.clone(), before));
            }
        }
        None
    }

    /// Notes what came of a read; `false` when the node is not known any more.
    pub(super) fn settle(&mut self, done: Done) -> bool {
        let Some(seen) = self.seen.get_mut(&done.slot) else { return false };
        seen.boot = done.boot;
        seen.was_whole = done.is_whole;
        seen.has_been_tried = true;
        if seen.turn == Turn::ReadsAndWaits {
            seen.turn = Turn::Waits;
            self.waiting.push_back(done.slot);
        } else {
            seen.turn = Turn::Rests;
        }
        true
    }

    /// Whether each node that is up has been read, or could not be.
    pub(super) fn has_tried_all(&self, roster: &Roster) -> bool {
        let mut up = roster.members().filter(|member| member.node.state.is_up());
        up.all(|member| self.seen.get(&member.node.slot).is_some_and(|seen| seen.has_been_tried))
    }

    /// Forgets who is not in the fleet: those.
    pub(super) fn forget_all_but(&mut self, fleet: &Fleet) -> Vec<Slot> {
        let left = self.seen.extract_if(|slot, _| fleet.by_slot(*slot).is_none());
        left.map(|(slot, _)| slot).collect()
    }
}
