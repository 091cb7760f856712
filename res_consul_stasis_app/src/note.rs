// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What pure code has to log.

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

/// A text of Consul's (a key may have any character) as one line of log or console.
pub(crate) fn on_one_line(text: &str) -> String {
    let visible = |character: char| if character.is_control() { '\u{fffd}' } else { character };
    text.chars().map(visible).collect()
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
    use super::{on_one_line, shortened};

    #[test]
    fn what_comes_from_consul_stays_on_its_line() {
        assert_eq!(on_one_line("a\nb\x1b[31mü"), "a\u{fffd}b\u{fffd}[31mü");
        assert_eq!(shortened("ü b"), "ü b");
        assert_eq!(shortened(&"ü".repeat(80)), "ü".repeat(80));
        assert_eq!(shortened(&"ü".repeat(81)), format!("{}…", "ü".repeat(80)));
    }
}
