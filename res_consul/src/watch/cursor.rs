// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Where a blocking query goes on: the rules of Consul's documentation about its index.

/// The index of the last answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cursor(u64);

impl Cursor {
    /// The index to wait for a change of; none: do not wait. A query with index 0 would not wait
    /// either, and would tell no difference.
    pub(crate) fn index(self) -> Option<u64> {
        (self.0 > 0).then_some(self.0)
    }

    /// Takes the index of an answer, as its header has it. One that is missing, no number or lower
    /// than before says that Consul's state is another than the one that was followed: the next
    /// query begins anew.
    ///
    /// So does the same index in an answer that was `early`, before its time to wait was over:
    /// queries that wait while an older state is restored are ended like that, with what was
    /// before; the index that is true now would only be told to who does not wait for another.
    pub(crate) fn advance(&mut self, header: Option<&str>, early: bool) {
        let index = header.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        let is_new = index > self.0 || (index == self.0 && !early);
        self.0 = if is_new { index } else { 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_of_the_index() {
        for (before, header, after) in [
            (0, Some("7"), 7),
            (7, Some("7"), 7),
            (7, Some("9"), 9),
            (7, Some(" 9 "), 9),
            (7, Some("6"), 0),
            (7, Some("0"), 0),
            (7, None, 0),
            (7, Some(""), 0),
            (7, Some("-1"), 0),
            (7, Some("8.0"), 0),
            (7, Some("abc"), 0),
            (7, Some("18446744073709551615"), u64::MAX),
            (7, Some("18446744073709551616"), 0),
            (u64::MAX, Some("1"), 0),
        ] {
            let mut cursor = Cursor(before);
            cursor.advance(header, false);
            assert_eq!(cursor, Cursor(after), "{before} {header:?}");
        }
        for (header, after) in [("7", 0), ("8", 8), ("6", 0)] {
            let mut cursor = Cursor(7);
            cursor.advance(Some(header), true);
            assert_eq!(cursor, Cursor(after), "{header}, early");
        }
        let mut cursor = Cursor::default();
        cursor.advance(Some("7"), true);
        assert_eq!(cursor, Cursor(7), "the first answer is always early");
        assert_eq!(Cursor::default().index(), None);
        assert_eq!(Cursor(1).index(), Some(1));
    }
}
