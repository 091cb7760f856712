// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What can be wrong with a configuration.

use std::fmt;
use std::io;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("{file}: cannot be read: {error}")]
    Unreadable { file: String, error: io::Error },
    #[error("{file}: {error}")]
    NoToml { file: String, error: Box<toml::de::Error> },
    #[error("{0}")]
    Faulty(Faults),
}

/// All that was found wrong, so that one look at it is enough.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Faults {
    file: String,
    lines: Vec<String>,
}

impl Faults {
    pub(super) fn new(file: &str) -> Self {
        Self { file: file.to_owned(), lines: Vec::new() }
    }

    /// `what` is said of one option: `is no address`.
    pub(super) fn option(&mut self, section: &str, option: &str, what: impl fmt::Display) {
        self.lines.push(format!("{}: {}: {option}: {what}", self.file, title(section)));
    }

    pub(super) fn unknown_option(&mut self, section: &str, option: &str, near: Option<&str>) {
        let near = suggestion(near);
        let section = title(section);
        self.lines.push(format!("{}: {section}: {option}: unknown option{near}", self.file));
    }

    pub(super) fn unknown_section(&mut self, section: &str, near: Option<&str>) {
        let near = suggestion(near);
        self.lines.push(format!("{}: [{section}]: unknown section{near}", self.file));
    }

    pub(super) fn unknown_variable(&mut self, name: &str) {
        self.lines.push(format!("environment: {name}: names no option"));
    }

    pub(super) fn into_result<T>(self, value: T) -> Result<T, ConfigError> {
        if self.lines.is_empty() { Ok(value) } else { Err(ConfigError::Faulty(self)) }
    }
}

/// A section of which there are several brings its own brackets.
fn title(section: &str) -> String {
    if section.starts_with('[') { section.to_owned() } else { format!("[{section}]") }
}

fn suggestion(near: Option<&str>) -> String {
    near.map_or(String::new(), |near| format!(" (did you mean {near}?)"))
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines.join("\n"))
    }
}
