// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The forms of single values: durations, sizes, names that are nearly right.

use std::time::Duration;

/// `250ms`, `5s`, `2m`, `1h`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|character: char| !character.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_secs(number.checked_mul(60)?)),
        "h" => Some(Duration::from_secs(number.checked_mul(3600)?)),
        _ => None,
    }
}

/// Bytes, or `64k`, `16m`, `1g`.
pub(super) fn size(text: &str) -> Option<u64> {
    let (number, factor) = match text.as_bytes().last()? {
        b'k' => (text.get(..text.len() - 1)?, 1 << 10),
        b'm' => (text.get(..text.len() - 1)?, 1 << 20),
        b'g' => (text.get(..text.len() - 1)?, 1 << 30),
        _ => (text, 1),
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// Whether a name is this one, or begins like one that ends in `*`.
pub(crate) fn fits(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == pattern,
    }
}

/// The known name that `name` was probably meant to be.
pub(crate) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let near = known.iter().map(|known| (distance(name, known), *known)).min()?;
    let allowed = name.len().max(near.1.len()) / 3;
    (near.0 <= allowed.max(1)).then_some(near.1)
}

/// Levenshtein's.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, left) in one.chars().enumerate() {
        let mut diagonal = line;
        let mut before = line + 1;
        for (right, cell) in other.iter().zip(row.iter_mut().skip(1)) {
            let changed = diagonal + usize::from(left != *right);
            diagonal = *cell;
            before = changed.min(before + 1).min(*cell + 1);
            *cell = before;
        }
        if let Some(first) = row.first_mut() {
            *first = line + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes() {
        assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(duration("2m"), Some(Duration::from_secs(120)));
        for wrong in ["", "5", "s", "5 s", "-1s", "5d", "99999999999999999999s", "1.5s"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
        assert_eq!((size("7"), size("64k"), size("1g")), (Some(7), Some(65536), Some(1 << 30)));
        for wrong in ["", "k", "1t", "-1", "99999999999999999999g", "1.5m"] {
            assert_eq!(size(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn distances_are_levenshteins() {
        for (one, other, wanted) in [("kitten", "sitting", 3), ("", "abc", 3), ("abc", "abc", 0)] {
            assert_eq!(distance(one, other), wanted);
        }
    }

    #[test]
    fn only_what_is_near_is_suggested() {
        let known = ["listen", "tls_cert_file", "tls_key_file"];
        assert_eq!(nearest("lisen", &known), Some("listen"));
        assert_eq!(nearest("tls_keyfile", &known), Some("tls_key_file"));
        assert_eq!(nearest("frobnicate", &known), None);
        assert_eq!(nearest("x", &[]), None);
    }
}
