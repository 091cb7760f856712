// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Calls and bridges that no node has any more, though nothing has told of their end: that was lost,
//! or it is still on its way. Which of both is seen by how far their node's events have come.

/// More than the clocks of gateways and nodes differ, in milliseconds.
const APART: u64 = 1000;

/// Since when it is known that no node has it, by this gateway's clock, in milliseconds since 1970.
#[derive(Debug, Default)]
pub(super) struct Missing(Option<u64>);

impl Missing {
    /// Looks again. Whether its end has been lost: the last event that was `heard` of its node was
    /// published when it was missing already, and the end must have come before.
    pub(super) fn is_over(&mut self, is_there: bool, clock: u64, heard: Option<u64>) -> bool {
        if is_there {
            self.0 = None;
            return false;
        }
        let since = *self.0.get_or_insert(clock);
        heard.is_some_and(|heard| heard > since + APART)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_that_is_on_its_way_is_waited_for() {
        let mut missing = Missing::default();
        assert!(!missing.is_over(false, 10_000, Some(9_000)));
        assert!(!missing.is_over(false, 500_000, Some(9_500)), "its node's events are behind");
        assert!(!missing.is_over(false, 500_000, Some(10_900)), "a clock may be");
        assert!(!missing.is_over(false, 500_000, None));
        assert!(missing.is_over(false, 500_000, Some(11_001)));
        // It was there after all, and is missing from then on.
        assert!(!missing.is_over(true, 500_000, Some(600_000)));
        assert!(!missing.is_over(false, 700_000, Some(600_000)));
    }
}
