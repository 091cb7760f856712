// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Which runs of a node's publisher are of the process that lives. A run is named by when it began,
//! in milliseconds by the node's own clock, and so is Asterisk's start: a run that began before
//! Asterisk did is of a process that is over.

use std::collections::HashMap;

#[derive(Debug, Default)]
struct Fence {
    /// Runs before this are over.
    from: u64,
    newest: u64,
    /// The node is dead: nothing of it is believed until it has been read anew.
    is_shut: bool,
}

#[derive(Debug, Default)]
pub(super) struct Fences(HashMap<String, Fence>);

impl Fences {
    pub(super) fn admits(&self, eid: &str, run: u64) -> bool {
        // A run that began after the last one of the dead is of another process.
        self.0
            .get(eid)
            .is_none_or(|fence| if fence.is_shut { run > fence.newest } else { run >= fence.from })
    }

    pub(super) fn is_new(&mut self, eid: &str, run: u64) -> bool {
        match self.0.get_mut(eid) {
            Some(fence) if run <= fence.newest => false,
            Some(fence) => {
                let is_first = fence.newest == 0;
                fence.newest = run;
                fence.is_shut = false;
                !is_first
            }
            None => {
                self.0.insert(eid.to_owned(), Fence { newest: run, ..Fence::default() });
                false
            }
        }
    }

    pub(super) fn shut(&mut self, eid: &str) {
        self.0.entry(eid.to_owned()).or_default().is_shut = true;
    }

    /// It has been read, and this process began then.
    pub(super) fn open(&mut self, eid: &str, began: Option<u64>) {
        let fence = self.0.entry(eid.to_owned()).or_default();
        fence.is_shut = false;
        if let Some(began) = began {
            fence.from = began;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_events_of_the_dead_are_dropped() {
        let mut fences = Fences::default();
        assert!(fences.admits("e", 100) && !fences.is_new("e", 100));
        fences.shut("e");
        assert!(!fences.admits("e", 100) && !fences.admits("e", 99));
        // Its next process is not of the dead.
        assert!(fences.admits("e", 500) && fences.is_new("e", 500));
        fences.open("e", Some(450));
        assert!(fences.admits("e", 500) && !fences.admits("e", 100));
        assert!(fences.admits("other", 1));
    }

    #[test]
    fn a_node_that_only_could_not_be_reached_is_believed_again() {
        let mut fences = Fences::default();
        assert!(!fences.is_new("e", 100));
        fences.shut("e");
        fences.open("e", Some(50));
        assert!(fences.admits("e", 100));
        // A module that was loaded anew is no other process.
        assert!(fences.is_new("e", 120) && fences.admits("e", 100));
    }
}
