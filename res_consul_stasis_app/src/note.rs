// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What pure code has to log.

use asterisk::on_one_line;

/// A line for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    Error(String),
    Warning(String),
    Notice(String),
}

impl Note {
    pub(crate) fn log(self) {
        match self {
            Self::Error(text) => asterisk::error!("{}", on_one_line(&text)),
            Self::Warning(text) => asterisk::warning!("{}", on_one_line(&text)),
            Self::Notice(text) => asterisk::notice!("{}", on_one_line(&text)),
        }
    }
}

/// A text of Consul's, cut where it is long.
pub(crate) fn shortened(text: &str) -> String {
    const LONGEST: usize = 80;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::shortened;

    #[test]
    fn what_is_long_is_cut() {
        assert_eq!(shortened("ü b"), "ü b");
        assert_eq!(shortened(&"ü".repeat(80)), "ü".repeat(80));
        assert_eq!(shortened(&"ü".repeat(81)), format!("{}…", "ü".repeat(80)));
    }
}
