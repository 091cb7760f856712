// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Reads the options of one section, and knows which there are.

use std::fmt::Display;
use std::ops::RangeBounds;
use std::time::Duration;

use super::{Entry, KnownOption, Report, Section, value};
use crate::secret::Secret;

/// Gives the values of one section's options, typed, each checked. A bad value is reported and the
/// default taken, so that one pass finds every fault.
///
/// Names and defaults come from the table the reader is made with, and from nowhere else. An option
/// that is read but not in the table, or in the table but not read, is reported as an error: the
/// first test that parses a file finds the slip, so table and code cannot drift apart.
#[derive(Debug)]
#[must_use = "unknown options are reported by finish()"]
pub struct Reader<'a> {
    section: &'a Section,
    table: &'static [KnownOption],
    report: &'a mut Report,
    read: Vec<&'static str>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        section: &'a Section,
        table: &'static [KnownOption],
        report: &'a mut Report,
    ) -> Self {
        Self { section, table, report, read: Vec::new() }
    }

    /// The text of an option as it stands; an empty one is a value too.
    pub fn text(&mut self, name: &'static str) -> String {
        let default = self.default_of(name);
        self.section.entry(name).map_or_else(|| default.to_owned(), |entry| entry.value.clone())
    }

    /// A text that is hidden from here on; none when absent or empty.
    pub fn secret(&mut self, name: &'static str) -> Option<Secret> {
        let text = self.text(name);
        (!text.is_empty()).then(|| Secret::new(text))
    }

    /// A comma separated list; see [`value::list`].
    pub fn list(&mut self, name: &'static str) -> Vec<String> {
        value::list(&self.text(name))
    }

    /// Yes or no; see [`value::yes_no`].
    pub fn yes_no(&mut self, name: &'static str) -> bool {
        self.parsed(name, value::yes_no).unwrap_or_default()
    }

    /// A whole number within `range`.
    pub fn integer(&mut self, name: &'static str, range: impl RangeBounds<u64>) -> u64 {
        let parse = |text: &str| value::within(value::integer(text)?, &range, u64::to_string);
        self.parsed(name, parse).unwrap_or_default()
    }

    /// A number of bytes within `range`; see [`value::size`].
    pub fn size(&mut self, name: &'static str, range: impl RangeBounds<u64>) -> u64 {
        let parse = |text: &str| value::within(value::size(text)?, &range, value::show_size);
        self.parsed(name, parse).unwrap_or_default()
    }

    /// A duration within `range`; see [`value::duration`].
    pub fn duration(&mut self, name: &'static str, range: impl RangeBounds<Duration>) -> Duration {
        let parse =
            |text: &str| value::within(value::duration(text)?, &range, value::show_duration);
        self.parsed(name, parse).unwrap_or_default()
    }

    /// One of some words, in any case. None only if the table's default is none of them.
    pub fn choice<T: Copy>(&mut self, name: &'static str, words: &[(&str, T)]) -> Option<T> {
        self.parsed(name, |text| {
            let chosen = words.iter().find(|(word, _)| text.eq_ignore_ascii_case(word));
            let (_, value) = chosen.ok_or_else(|| {
                let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                format!("must be one of {}", known.join(", "))
            })?;
            Ok(*value)
        })
    }

    /// A value of any kind. An empty one counts as absent; absent, the default is parsed likewise.
    /// `parse` gives the reason for a refusal, to follow "name = 'value': ".
    pub fn parsed<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let default = self.default_of(name);
        let given = self.section.entry(name);
        if let Some(entry) = given.filter(|entry| !entry.value.is_empty()) {
            match parse(&entry.value) {
                Ok(value) => return Some(value),
                Err(reason) => self.refuse(entry, &reason),
            }
        }
        parse(default)
            .inspect_err(|reason| {
                let text = format!("default of {name}, '{default}': {reason}");
                self.report.error(self.section, 0, text);
            })
            .ok()
    }

    /// Every option whose name begins with `prefix`, the prefix cut off. The table has it as
    /// `prefix<…>`.
    pub fn prefixed(&mut self, prefix: &str) -> Vec<(String, String)> {
        let row = self.table.iter().find(|row| open(row) == Some(prefix));
        match row {
            Some(row) => self.read.push(row.name),
            None => self.untold(prefix),
        }
        let entries = self.section.entries.iter();
        entries
            .filter_map(|entry| Some((after(&entry.name, prefix)?.to_owned(), entry.value.clone())))
            .collect()
    }

    /// Whether the file has this option with a value.
    pub fn is_given(&self, name: &str) -> bool {
        self.section.entry(name).is_some_and(|entry| !entry.value.is_empty())
    }

    /// Warns of an option, with its line if the file has it. `text` names the option.
    pub fn warn(&mut self, name: &str, text: impl Display) {
        self.report.warn(self.section, self.line(name), text);
    }

    /// As [`Reader::warn`], an error.
    pub fn error(&mut self, name: &str, text: impl Display) {
        self.report.error(self.section, self.line(name), text);
    }

    /// Ends the reading: what the section has beyond the table is reported, with the nearest name.
    pub fn finish(self) {
        let Self { section, table, report, read } = self;
        for entry in &section.entries {
            if table.iter().any(|row| is_named(row, &entry.name)) {
                continue;
            }
            let names = table.iter().map(|row| row.name);
            let hint = value::nearest(&entry.name, names)
                .map(|name| format!("; did you mean '{name}'?"))
                .unwrap_or_default();
            let text = format!("unknown option '{}'{hint}", entry.name);
            report.warn(section, entry.line, text);
        }
        for row in table.iter().filter(|row| !read.contains(&row.name)) {
            report.error(section, 0, format!("option '{}' is never read", row.name));
        }
    }

    fn refuse(&mut self, entry: &Entry, reason: &str) {
        let Entry { name, value, line } = entry;
        self.report.error(self.section, *line, format!("{name} = '{value}': {reason}"));
    }

    fn default_of(&mut self, name: &'static str) -> &'static str {
        self.read.push(name);
        if let Some(row) = self.table.iter().find(|row| row.name == name) {
            return row.default;
        }
        self.untold(name);
        ""
    }

    fn untold(&mut self, name: &str) {
        let text = format!("option '{name}' is in no table");
        self.report.error(self.section, 0, text);
    }

    fn line(&self, name: &str) -> u32 {
        self.section.entry(name).map_or(0, |entry| entry.line)
    }
}

/// The fixed beginning of a row such as `meta_<key>`.
fn open(row: &KnownOption) -> Option<&'static str> {
    row.name.split_once('<').map(|(prefix, _)| prefix)
}

fn is_named(row: &KnownOption, name: &str) -> bool {
    open(row)
        .map_or_else(|| row.name.eq_ignore_ascii_case(name), |prefix| after(name, prefix).is_some())
}

fn after<'a>(name: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = name.split_at_checked(prefix.len())?;
    (start.eq_ignore_ascii_case(prefix) && !rest.is_empty()).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[KnownOption] = &[
        KnownOption::new("host", "127.0.0.1", "where to connect"),
        KnownOption::new("port", "8500", "the port"),
        KnownOption::new("timeout", "5s", "how long to wait"),
        KnownOption::new("room", "16m", "how much to keep"),
        KnownOption::new("mode", "fast", "fast or slow"),
        KnownOption::new("check", "yes", "whether to check"),
        KnownOption::new("token", "", "the secret"),
        KnownOption::new("meta_<key>", "", "anything"),
    ];

    type Values =
        (String, u64, Duration, u64, Option<u8>, bool, Option<Secret>, Vec<(String, String)>);

    fn read(lines: &[(&str, &str)]) -> (Values, Report) {
        let section = section(lines);
        let mut report = Report::default();
        let mut options = section.reader(TABLE, &mut report);
        let values = (
            options.text("host"),
            options.integer("port", 1..=65535),
            options.duration("timeout", Duration::from_millis(100)..=Duration::from_secs(300)),
            options.size("room", 65_536..),
            options.choice("mode", &[("fast", 1), ("slow", 2)]),
            options.yes_no("check"),
            options.secret("token"),
            options.prefixed("meta_"),
        );
        options.finish();
        (values, report)
    }

    fn section(lines: &[(&str, &str)]) -> Section {
        let entries = lines.iter().zip(1..).map(|((name, value), line)| Entry {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
            line,
        });
        Section { name: "consul".into(), file: "consul.conf".into(), entries: entries.collect() }
    }

    #[test]
    fn absent_and_empty_options_have_the_defaults_of_the_table() {
        let expected: Values = (
            "127.0.0.1".into(),
            8500,
            Duration::from_secs(5),
            16 << 20,
            Some(1),
            true,
            None,
            vec![],
        );
        assert_eq!(read(&[]), (expected.clone(), Report::default()));
        let empty = [("port", ""), ("timeout", ""), ("check", ""), ("token", "")];
        assert_eq!(read(&empty), (expected, Report::default()));
        assert_eq!(read(&[("host", "")]).0.0, "");
    }

    #[test]
    fn given_options_are_taken_in_any_case_and_the_last_wins() {
        let (values, report) = read(&[
            ("HOST", "template"),
            ("Host", "own"),
            ("port", "1"),
            ("mode", "SLOW"),
            ("check", "off"),
            ("token", "hunter2"),
            ("Meta_a", "1"),
            ("meta_b", ""),
        ]);
        assert_eq!(report, Report::default());
        assert_eq!((values.0.as_str(), values.1), ("own", 1));
        assert_eq!((values.4, values.5), (Some(2), false));
        assert_eq!(values.6, Some(Secret::new("hunter2")));
        let meta = [("a", "1"), ("b", "")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(values.7, meta);
    }

    #[test]
    fn all_faults_are_found_in_one_pass() {
        let (values, report) = read(&[
            ("port", "99999"),
            ("timeout", "5"),
            ("room", "1k"),
            ("mode", "medium"),
            ("check", "maybe"),
            ("hots", "x"),
            ("datacentre", "x"),
            ("meta_", "x"),
        ]);
        assert_eq!(values.1, 8500);
        assert_eq!(
            report.errors,
            [
                "consul.conf: [consul] line 1: port = '99999': must be between 1 and 65535",
                "consul.conf: [consul] line 2: timeout = '5': must be a number with a unit, such \
                 as 250ms, 5s, 2m or 1h",
                "consul.conf: [consul] line 3: room = '1k': must be at least 64k",
                "consul.conf: [consul] line 4: mode = 'medium': must be one of fast, slow",
                "consul.conf: [consul] line 5: check = 'maybe': must be yes or no",
            ]
        );
        assert_eq!(
            report.warnings,
            [
                "consul.conf: [consul] line 6: unknown option 'hots'; did you mean 'host'?",
                "consul.conf: [consul] line 7: unknown option 'datacentre'",
                "consul.conf: [consul] line 8: unknown option 'meta_'",
            ]
        );
    }

    #[test]
    fn an_unknown_line_is_left_out() {
        let mut section = section(&[("prot", "1")]);
        section.entries[0].line = 0;
        let mut report = Report::default();
        section.reader(&[], &mut report).finish();
        assert_eq!(report.warnings, ["consul.conf: [consul]: unknown option 'prot'"]);
    }

    #[test]
    fn code_and_table_that_drift_apart_are_errors() {
        let section = section(&[]);
        let mut report = Report::default();
        let mut options = section.reader(&TABLE[..2], &mut report);
        options.text("host");
        options.text("hots");
        options.finish();
        assert_eq!(
            report.errors,
            [
                "consul.conf: [consul]: option 'hots' is in no table",
                "consul.conf: [consul]: option 'port' is never read",
            ]
        );
        const BAD: &[KnownOption] = &[KnownOption::new("port", "many", "")];
        let mut report = Report::default();
        let mut options = section.reader(BAD, &mut report);
        assert_eq!(options.integer("port", 1..=2), 0);
        options.finish();
        assert_eq!(
            report.errors,
            ["consul.conf: [consul]: default of port, 'many': must be a whole number"]
        );
    }

    #[test]
    fn no_value_shows_in_debug_output() {
        let section = section(&[("token", "hunter2")]);
        let mut report = Report::default();
        let options = section.reader(TABLE, &mut report);
        assert!(!format!("{options:?} {section:?}").contains("hunter2"));
    }
}
