// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Where a blocking query goes on: the rules of Consul's documentation about its index.

/// The index of the last answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cursor(u64);

impl Cursor {
    /// The index to wait for a change of; none: the answer comes at once.
    pub(crate) fn index(self) -> Option<u64> {
        (self.0 > 0).then_some(self.0)
    }

    /// Takes the header of an answer. An index that is missing, no number, lower than before, or
    /// the same although the answer came `early`, is of another state than the one that was
    /// followed (a snapshot was restored, the agent is new): the next query begins anew.
    pub(crate) fn advance(&mut self, header: Option<&str>, early: bool) {
        let index = header.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        let goes_on = index > self.0 || (index == self.0 && !early);
        self.0 = if goes_on { index } else { 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_of_the_index() {
        for (before, header, early, after) in [
            (0, Some("7"), true, 7),
            (7, Some("7"), false, 7),
            (7, Some("7"), true, 0),
            (7, Some("9"), true, 9),
            (7, Some("6"), false, 0),
            (7, Some("0"), false, 0),
            (7, None, false, 0),
            (7, Some("x"), false, 0),
        ] {
            let mut cursor = Cursor(before);
            cursor.advance(header, early);
            assert_eq!(cursor, Cursor(after), "{before} {header:?} {early}");
        }
        assert_eq!((Cursor(0).index(), Cursor(3).index()), (None, Some(3)));
    }
}
