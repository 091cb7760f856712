// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Configuration files as plain data, and the reading of it into typed values.
//!
//! A module reads its file once into [`Section`]s, and those once into its own settings through a
//! [`Reader`] for each section. All faults of a file are found in one pass and land in a [`Report`];
//! nothing here logs or touches Asterisk.

#[cfg(feature = "drift")]
pub mod drift;
pub mod file;
mod load;
mod reader;
pub mod tls;
pub mod value;

use std::fmt;

pub use load::{load, load_if_there};
pub use reader::Reader;

/// One `[name]` of a file, its entries in file order (so that in a section made from a template the
/// section's own entries come last).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// What stands between the brackets.
    pub name: String,
    /// The file it was read from, as messages name it: `amqp.conf`.
    pub file: String,
    /// The options as written.
    pub entries: Vec<Entry>,
}

/// One `name = value`.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// Left of the equals sign.
    pub name: String,
    /// Right of it, without surrounding blanks and without comment.
    pub value: String,
    /// Its line in the file; 0 if unknown (realtime).
    pub line: u32,
}

/// Without the value, which may be a password.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (line {})", self.name, self.line)
    }
}

/// An option a section may have: what a [`Reader`] knows it by, and what sample file, XML help and
/// docs/configuration.md are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownOption {
    /// Its name; `meta_<key>` stands for every name that begins with `meta_`.
    pub name: &'static str,
    /// What applies when the option is absent, written as in a file; empty: none.
    pub default: &'static str,
    /// One line for the operator.
    pub meaning: &'static str,
}

impl KnownOption {
    /// A row of a table of options.
    pub const fn new(name: &'static str, default: &'static str, meaning: &'static str) -> Self {
        Self { name, default, meaning }
    }
}

/// What was found wrong with a file. Every message has one of these forms, the line left out where
/// it is unknown:
///
/// - `amqp.conf: [stasis] line 12: unknown option 'exchang'; did you mean 'exchange'?`
/// - `amqp.conf: [bunny] line 5: heartbeat_seconds = '99999': must be between 1 and 3600`
/// - `amqp.conf: [stasis]: connection is missing`
///
/// The value of an option that holds a secret is shown as `***`.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Report {
    /// What is wrong and does not keep the rest from working.
    pub warnings: Vec<String>,
    /// What makes the file unusable.
    pub errors: Vec<String>,
}

impl Report {
    /// Adds a warning about `section`; `line` 0 is left out.
    pub fn warn(&mut self, section: &Section, line: u32, text: impl fmt::Display) {
        self.warnings.push(message(section, line, &text));
    }

    /// Adds an error, as [`Report::warn`].
    pub fn error(&mut self, section: &Section, line: u32, text: impl fmt::Display) {
        self.errors.push(message(section, line, &text));
    }
}

fn message(section: &Section, line: u32, text: &dyn fmt::Display) -> String {
    let Section { name, file, .. } = section;
    match line {
        0 => format!("{file}: [{name}]: {text}"),
        _ => format!("{file}: [{name}] line {line}: {text}"),
    }
}

impl Section {
    /// The section of `file` that is called `name`, in any case as in all of Asterisk's files;
    /// without entries where there is none. If there is another, that is an error: which of the two
    /// counts nobody could tell.
    pub fn only(sections: &[Self], file: &str, name: &str, report: &mut Report) -> Self {
        let mut found = sections.iter().filter(|section| section.name.eq_ignore_ascii_case(name));
        let first = found.next().cloned().unwrap_or_else(|| Self {
            name: name.to_owned(),
            file: file.to_owned(),
            entries: Vec::new(),
        });
        if found.next().is_some() {
            report.error(&first, 0, "the section is there twice");
        }
        first
    }

    /// The entry that counts for `name`, in any case as in all of Asterisk's files: the last, so that
    /// a section overrides the template it is made from.
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        let mut latest_first = self.entries.iter().rev();
        latest_first.find(|entry| entry.name.eq_ignore_ascii_case(name))
    }

    /// Reads this section by the options in `table`.
    pub fn reader<'a>(
        &'a self,
        table: &'static [KnownOption],
        report: &'a mut Report,
    ) -> Reader<'a> {
        Reader::new(self, table, report)
    }
}

#[cfg(test)]
mod tests {
    use super::{Report, Section};

    fn section(name: &str) -> Section {
        Section { name: name.to_owned(), file: "a.conf".to_owned(), entries: Vec::new() }
    }

    #[test]
    fn a_section_is_found_in_any_case_and_made_up_where_there_is_none() {
        let mut report = Report::default();
        let sections = [section("other"), section("Wanted")];
        assert_eq!(Section::only(&sections, "a.conf", "wanted", &mut report), section("Wanted"));
        assert_eq!(Section::only(&sections, "a.conf", "third", &mut report), section("third"));
        assert_eq!(report, Report::default());
    }

    #[test]
    fn a_section_that_is_there_twice_is_one_error() {
        let mut report = Report::default();
        let sections = [section("wanted"), section("other"), section("WANTED"), section("wanted")];
        Section::only(&sections, "a.conf", "wanted", &mut report);
        assert_eq!(report.errors, ["a.conf: [wanted]: the section is there twice"]);
        assert_eq!(report.warnings, [""; 0]);
    }
}
