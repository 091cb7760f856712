// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Numbers that name requests and new resources.

/// A random UUID, version 4.
pub(crate) fn uuid() -> String {
    let random: u128 = rand::random();
    let bits = random & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let digits = format!("{bits:032x}");
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    let (a, b, c) = (part(0, 8), part(8, 12), part(12, 16));
    format!("{a}-{b}-{c}-{}-{}", part(16, 20), part(20, 32))
}

/// The client's number of its request, when it can be one.
pub(super) fn sane(given: Option<&str>) -> Option<&str> {
    let is_sane = |text: &&str| {
        (1..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
    };
    given.filter(is_sane)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_of_version_4_and_differ() {
        let id = uuid();
        assert_eq!((id.len(), id.as_bytes()[14]), (36, b'4'), "{id}");
        assert!(b"89ab".contains(&id.as_bytes()[19]), "{id}");
        assert_ne!(id, uuid());
    }

    #[test]
    fn only_sane_numbers_are_taken() {
        assert_eq!(sane(Some("req-1.2:x_")), Some("req-1.2:x_"));
        for wrong in ["", "a b", "a\"b", "é", &"x".repeat(65)] {
            assert_eq!(sane(Some(wrong)), None);
        }
        assert_eq!(sane(None), None);
    }
}
