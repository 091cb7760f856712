// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! That the sample file, the XML help and the README say of every option what the table says.

use std::collections::BTreeMap;
use std::io;

use asterisk::config::{Entry, Section};

use super::{OPTIONS, parse};

const SAMPLE: &str = include_str!("../../amqp.conf.sample");
const HELP: &str = include_str!("../../documentation.xml");
const README: &str = include_str!("../../../README.md");

/// Options whose value in the sample is an example: they have no default.
const EXAMPLES: [(&str, &str); 4] =
    [("connection", "type"), ("connection", "url"), ("stasis", "type"), ("stasis", "connection")];

/// Defaults by section type and option.
type Defaults<'a> = BTreeMap<(&'a str, &'a str), &'a str>;

fn table() -> Defaults<'static> {
    let rows = OPTIONS.iter().flat_map(|(kind, options)| {
        options.iter().map(|option| ((*kind, option.name), option.default))
    });
    rows.collect()
}

/// Section, option, value and line of each option, also of one that is commented out (`;name =`).
fn sample() -> Vec<(&'static str, &'static str, &'static str, bool, u32)> {
    let mut section = "";
    let mut options = Vec::new();
    for (line, text) in (1..).zip(SAMPLE.lines()) {
        let (text, active) = match text.strip_prefix(';') {
            Some(text) => (text, false),
            None => (text, true),
        };
        let text = text.split(';').next().unwrap_or_default();
        if let Some(name) = text.strip_prefix('[').filter(|_| active) {
            section = name.trim_end().trim_end_matches(']');
        } else if let Some((name, value)) = text.split_once('=')
            && !name.starts_with(' ')
        {
            options.push((section, name.trim(), value.trim(), active, line));
        }
    }
    options
}

#[test]
fn the_sample_has_every_option_with_its_default() {
    let options = sample();
    let shown = options.iter().map(|(section, name, value, _, _)| {
        let kind = if *section == "bunny" { "connection" } else { section };
        let example = EXAMPLES.contains(&(kind, name));
        ((kind, *name), if example { "" } else { value })
    });
    assert_eq!(shown.clone().count(), table().len(), "an option is there twice");
    assert_eq!(shown.collect::<Defaults<'_>>(), table());
}

#[test]
fn the_sample_can_be_used_as_it_is() {
    let mut sections: Vec<Section> = Vec::new();
    for (section, name, value, active, line) in sample() {
        if sections.last().is_none_or(|last| last.name != section) {
            sections.push(Section {
                name: section.to_owned(),
                file: "amqp.conf".to_owned(),
                entries: Vec::new(),
            });
        }
        if active {
            sections.last_mut().unwrap().entries.push(Entry {
                name: name.to_owned(),
                value: value.to_owned(),
                line,
            });
        }
    }
    let none = |_: &str| Err(io::Error::from(io::ErrorKind::NotFound));
    let (settings, report) = parse(&sections, &none);
    assert_eq!(report.errors, [""; 0]);
    assert_eq!(settings.stasis.unwrap().connection, settings.connections[0].name);
}

#[test]
fn the_help_has_every_option_with_its_default() {
    let mut shown = Defaults::new();
    for object in HELP.split("<configObject ").skip(1) {
        let kind = attribute(object, "name").unwrap();
        for option in object.split("<configOption ").skip(1) {
            let default = attribute(option, "default").unwrap_or_default();
            let twice = shown.insert((kind, attribute(option, "name").unwrap()), default);
            assert_eq!(twice, None);
        }
    }
    assert_eq!(shown, table());
}

/// The value of an attribute of the element that `text` begins within.
fn attribute<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (attributes, _) = text.split_once('>')?;
    let (_, after) = attributes.split_once(&format!("{name}=\""))?;
    Some(after.split_once('"')?.0)
}

#[test]
fn every_option_is_in_its_table_once_and_explained_in_one_line() {
    for (kind, options) in OPTIONS {
        for option in *options {
            let meaning = option.meaning;
            assert!(!meaning.is_empty() && !meaning.contains('\n'), "{kind} {}", option.name);
            let named = options.iter().filter(|other| other.name == option.name);
            assert_eq!(named.count(), 1, "{kind} {}", option.name);
        }
    }
}

#[test]
fn the_readme_has_every_option_with_its_default() {
    let (_, chapter) = README.split_once("## Configuration").unwrap();
    let (chapter, _) = chapter.split_once("\n## ").unwrap();
    let rows = chapter.lines().filter_map(|line| line.strip_prefix("| `"));
    let mut shown: Vec<_> = rows
        .map(|row| {
            let (name, rest) = row.split_once("` |").unwrap();
            // A default is code; words there say what applies without one.
            let default = rest.trim_start().strip_prefix('`').and_then(|rest| rest.split_once('`'));
            (name, default.map_or("", |(default, _)| default))
        })
        .collect();
    let options = OPTIONS.iter().flat_map(|(_, options)| *options);
    let mut wanted: Vec<_> = options.map(|option| (option.name, option.default)).collect();
    shown.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(shown, wanted);
}
