// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A text that must not be shown: a password or a token.

use std::fmt;

/// Shows as `***` in `Display` and `Debug`, so that no log line, error or dump of a settings struct
/// can carry it by accident. [`Secret::reveal`] is the one way to its text, easy to search for.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the peer that asks for it and for nobody else.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing to hide.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_masked_however_it_is_formatted() {
        let nested = Some(Secret::new("hunter2"));
        assert_eq!(
            format!("{} {:?} {nested:#?}", Secret::new("hunter2"), Secret::new("")),
            "*** *** Some(\n    ***,\n)"
        );
        assert_eq!(Secret::new("hunter2").reveal(), "hunter2");
    }
}
