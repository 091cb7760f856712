// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Names with wildcards, as lists in the configuration have them.

/// A name in which each `*` stands for any text, also none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern(String);

impl Pattern {
    /// Every text is a pattern.
    pub(crate) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Whether all of `name` fits.
    pub(crate) fn fits(&self, name: &str) -> bool {
        self.fits_by(name, |one, other| one == other)
    }

    /// As [`Pattern::fits`], whatever the case of ASCII letters.
    pub(crate) fn fits_any_case(&self, name: &str) -> bool {
        self.fits_by(name, |one, other| one.eq_ignore_ascii_case(other))
    }

    /// No allocation and, without recursion, no name that makes it slow: this runs on Asterisk's
    /// threads, for every event. At a mismatch only the last `*` takes one byte more.
    fn fits_by(&self, name: &str, same: impl Fn(&u8, &u8) -> bool) -> bool {
        let (mut pattern, mut name) = (self.0.as_bytes(), name.as_bytes());
        let mut last_star = None;
        loop {
            match (pattern.split_first(), name.split_first()) {
                (Some((b'*', after)), _) => {
                    last_star = Some((after, name));
                    pattern = after;
                    continue;
                }
                (Some((one, after)), Some((other, rest))) if same(one, other) => {
                    (pattern, name) = (after, rest);
                    continue;
                }
                (None, None) => return true,
                _ => {}
            }
            let Some((after, [_, rest @ ..])) = last_star else {
                return false;
            };
            last_star = Some((after, rest));
            (pattern, name) = (after, rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        let fits = |pattern: &str, name: &str| Pattern::new(pattern).fits(name);
        for (pattern, name) in [
            ("Dial", "Dial"),
            ("*", ""),
            ("*", "Dial"),
            ("Channel*", "Channel"),
            ("Channel*", "ChannelVarset"),
            ("*Set", "VarSet"),
            ("*a*b*", "xxaxxbxx"),
            ("a*b*c", "abbc"),
            ("**x", "x"),
            ("", ""),
            ("Éa*", "Éab"),
        ] {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("Dial", "DialBegin"),
            ("Dial", "dial"),
            ("Dial*", "XDial"),
            ("*Set", "VarSets"),
            ("a*b*c", "acb"),
            ("", "x"),
            ("x", ""),
            ("**x", ""),
        ] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
        assert!(Pattern::new("dial*").fits_any_case("DIALBegin"));
        assert!(!Pattern::new("dial").fits_any_case("dials"));
    }

    #[test]
    fn no_pattern_is_slow() {
        let started = std::time::Instant::now();
        assert!(!Pattern::new(&"a*".repeat(50)).fits(&format!("{}b", "a".repeat(40))));
        assert!(!Pattern::new(&format!("{}b", "a*".repeat(30))).fits(&"a".repeat(20_000)));
        assert!(started.elapsed().as_secs() < 5);
    }
}
