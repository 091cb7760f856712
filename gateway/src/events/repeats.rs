// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What has come before: a message is delivered at least once, and passed on once.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};

/// The ids of the last so many messages.
#[derive(Debug)]
pub(super) struct Repeats {
    hasher: RandomState,
    seen: HashSet<u64>,
    order: VecDeque<u64>,
    most: usize,
}

impl Repeats {
    pub(super) fn new(most: usize) -> Self {
        Self { hasher: RandomState::new(), seen: HashSet::new(), order: VecDeque::new(), most }
    }

    /// Whether it is new; one without an id is.
    pub(super) fn is_new(&mut self, message_id: &str) -> bool {
        if message_id.is_empty() {
            return true;
        }
        // 64 bits with a key of this process: two ids in a million are the same once in an age.
        let mark = self.hasher.hash_one(message_id);
        if !self.seen.insert(mark) {
            return false;
        }
        self.order.push_back(mark);
        if self.order.len() > self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeat_is_known_among_so_many() {
        let mut repeats = Repeats::new(100);
        assert!(repeats.is_new("e/1/1") && !repeats.is_new("e/1/1"));
        assert!(repeats.is_new("e/2/1") && repeats.is_new("f/1/1"));
        assert!(repeats.is_new("") && repeats.is_new(""));
        for number in 0..1000 {
            assert!(repeats.is_new(&format!("e/3/{number}")));
        }
        assert!(!repeats.is_new("e/3/950"));
        assert!(repeats.is_new("e/1/1"));
        assert!(repeats.seen.len() <= 100 && repeats.order.len() <= 100);
    }
}
