// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Whether sample file, XML help and reference say of every option what its table says (feature
//! `drift`, for the modules' tests).
//!
//! Each function gives the differences in words; none is what a test wants:
//! `assert_eq!(drift::in_sample(TABLES, SAMPLE, &[]), [""; 0])`. What a document has of other
//! sections is not looked at, so that several modules can share one.

use std::collections::BTreeMap;

use super::{Entry, KnownOption, Section};

/// Sections by the name that the document in question gives them, with their options.
pub type Tables<'a> = &'a [(&'a str, &'static [KnownOption])];

/// Defaults by section and option.
type Defaults = BTreeMap<(String, String), String>;

/// An option in the sample file, also one that is commented out (`;name = value`).
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shown {
    section: String,
    name: String,
    value: String,
    is_active: bool,
    line: u32,
}

/// Compares the tables with a sample file. `examples` are options whose value there is only an
/// example: they have no default.
#[must_use]
pub fn in_sample(tables: Tables<'_>, sample: &str, examples: &[(&str, &str)]) -> Vec<String> {
    let shown = options_of(sample).into_iter().map(|shown| {
        let is_example = examples.contains(&(shown.section.as_str(), shown.name.as_str()));
        let value = if is_example { String::new() } else { shown.value };
        (shown.section, shown.name, value)
    });
    compare("the sample", tables, shown)
}

/// Compares the tables with the `configObject`s of an XML help text.
#[must_use]
pub fn in_help(tables: Tables<'_>, help: &str) -> Vec<String> {
    let mut shown = Vec::new();
    for object in help.split("<configObject ").skip(1) {
        let section = attribute(object, "name").unwrap_or_default();
        let object = object.split("</configObject>").next().unwrap_or_default();
        for option in object.split("<configOption ").skip(1) {
            let name = attribute(option, "name").unwrap_or_default();
            let default = attribute(option, "default").unwrap_or_default();
            shown.push((section.clone(), name, default));
        }
    }
    compare("the help", tables, shown)
}

/// Compares the tables with the chapter of a page that `heading` begins, such as
/// `### consul.conf`. There a table belongs to the section that the text before it names, as
/// `` `[general]` `` or `` `type = stasis` ``. A default is code; words in its place say what
/// applies without one.
#[must_use]
pub fn in_reference(tables: Tables<'_>, reference: &str, heading: &str) -> Vec<String> {
    let Some(chapter) = chapter(reference, heading) else {
        return vec![format!("the reference has no chapter '{heading}'")];
    };
    let mut section = String::new();
    let mut shown = Vec::new();
    for line in chapter {
        if let Some(row) = line.strip_prefix("| `") {
            let Some((name, rest)) = row.split_once("` |") else {
                continue;
            };
            let code = rest.trim_start().strip_prefix('`').and_then(|rest| rest.split_once('`'));
            let default = code.map_or("", |(default, _)| default);
            shown.push((section.clone(), name.to_owned(), default.to_owned()));
        } else if !line.starts_with('|')
            && let Some(name) = between(line, "`[", "]`").or(between(line, "`type = ", "`"))
        {
            name.clone_into(&mut section);
        }
    }
    compare("the reference", tables, shown)
}

/// That every option is in its table once, and explained in one line.
#[must_use]
pub fn in_itself(tables: Tables<'_>) -> Vec<String> {
    let mut differences = Vec::new();
    for (section, options) in tables {
        for option in *options {
            if option.meaning.is_empty() || option.meaning.contains('\n') {
                differences.push(format!("[{section}] {}: not one line of meaning", option.name));
            }
            if options.iter().filter(|other| other.name == option.name).count() > 1 {
                differences.push(format!("[{section}] {}: is there twice", option.name));
            }
        }
    }
    differences
}

/// The sample file as it is parsed when it is used unchanged.
#[must_use]
pub fn sections(sample: &str, file: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for shown in options_of(sample) {
        if sections.last().is_none_or(|last| last.name != shown.section) {
            sections.push(Section {
                name: shown.section.clone(),
                file: file.to_owned(),
                entries: Vec::new(),
            });
        }
        if let Some(section) = sections.last_mut().filter(|_| shown.is_active) {
            let Shown { name, value, line, .. } = shown;
            section.entries.push(Entry { name, value, line });
        }
    }
    sections
}

fn options_of(sample: &str) -> Vec<Shown> {
    let mut section = String::new();
    let mut options = Vec::new();
    for (line, text) in (1..).zip(sample.lines()) {
        let (text, is_active) = match text.strip_prefix(';') {
            Some(text) => (text, false),
            None => (text, true),
        };
        let text = text.split(';').next().unwrap_or_default();
        if let Some(name) = text.strip_prefix('[').filter(|_| is_active) {
            name.trim_end().trim_end_matches(']').clone_into(&mut section);
        } else if let Some((name, value)) = text.split_once('=')
            && !name.starts_with(' ')
        {
            options.push(Shown {
                section: section.clone(),
                name: name.trim().to_owned(),
                value: value.trim().to_owned(),
                is_active,
                line,
            });
        }
    }
    options
}

fn compare(
    document: &str,
    tables: Tables<'_>,
    shown: impl IntoIterator<Item = (String, String, String)>,
) -> Vec<String> {
    let mut differences = Vec::new();
    let mut left = Defaults::new();
    for (section, name, default) in shown {
        if !tables.iter().any(|(known, _)| *known == section) {
            continue;
        }
        let key = (section, name);
        if left.contains_key(&key) {
            differences.push(format!("{document} has [{}] {} twice", key.0, key.1));
        }
        left.insert(key, default);
    }
    for (section, options) in tables {
        for option in *options {
            let key = ((*section).to_owned(), option.name.to_owned());
            match left.remove(&key) {
                None => differences.push(format!("{document} lacks [{section}] {}", option.name)),
                Some(default) if default != option.default => differences.push(format!(
                    "{document} has [{section}] {} = '{default}', the table '{}'",
                    option.name, option.default
                )),
                Some(_) => {}
            }
        }
    }
    let unknown = left.into_keys();
    differences.extend(
        unknown.map(|(section, name)| format!("{document} has [{section}] {name}, no table has")),
    );
    differences
}

/// The lines below `heading` up to the next heading of its rank or above.
fn chapter<'a>(reference: &'a str, heading: &str) -> Option<impl Iterator<Item = &'a str>> {
    let rank = heading.bytes().take_while(|byte| *byte == b'#').count();
    let mut lines = reference.lines();
    lines.find(|line| *line == heading)?;
    Some(lines.take_while(move |line| {
        let of_line = line.bytes().take_while(|byte| *byte == b'#').count();
        of_line == 0 || of_line > rank
    }))
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, after) = text.split_once(start)?;
    Some(after.split_once(end)?.0)
}

/// The value of an attribute of the element that `text` begins within.
fn attribute(text: &str, name: &str) -> Option<String> {
    let (attributes, _) = text.split_once('>')?;
    let value = between(attributes, &format!("{name}=\""), "\"")?;
    let plain = value.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
    Some(plain.replace("&amp;", "&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[KnownOption] = &[
        KnownOption::new("port", "8500", "the port"),
        KnownOption::new("token", "", "the token"),
        KnownOption::new("meta_<key>", "", "anything"),
    ];
    const TABLES: Tables<'_> = &[("consul", TABLE)];

    const SAMPLE: &str = "\
; a remark = no option
[consul]
port = 8500                ; The port
                           ; more = of it
;token =                   ; The token
;meta_<key> =              ; Anything
[other]
port = 1
";
    const HELP: &str = "\
<configObject name=\"consul\"><configOption name=\"port\" default=\"8500\"/>
<configOption name=\"token\"/><configOption name=\"meta_&lt;key&gt;\"></configObject>
<configObject name=\"other\"><configOption name=\"port\"></configObject>";
    const REFERENCE: &str = "\
## Configuration
### consul.conf
`[consul]`, the connection:

| option | default | meaning |
|---|---|---|
| `port` | `8500` | `[x]` |
| `token` | none | |
| `meta_<key>` | | |

The rest, `type = other`
| `port` | `1` | |
### amqp.conf
| `port` | `2` | |
";

    #[test]
    fn documents_that_agree_differ_in_nothing() {
        assert_eq!(in_sample(TABLES, SAMPLE, &[]), [""; 0]);
        assert_eq!(in_help(TABLES, HELP), [""; 0]);
        assert_eq!(in_reference(TABLES, REFERENCE, "### consul.conf"), [""; 0]);
        assert_eq!(in_itself(TABLES), [""; 0]);
    }

    #[test]
    fn every_kind_of_difference_is_found() {
        let sample = SAMPLE.replace(";token", ";tokn").replace("[other]", ";port = 1");
        assert_eq!(
            in_sample(TABLES, &sample, &[("consul", "port")]),
            [
                "the sample has [consul] port twice",
                "the sample has [consul] port twice",
                "the sample has [consul] port = '', the table '8500'",
                "the sample lacks [consul] token",
                "the sample has [consul] tokn, no table has",
            ]
        );
        let help = HELP.replace("default=\"8500\"", "default=\"85\"");
        assert_eq!(in_help(TABLES, &help), ["the help has [consul] port = '85', the table '8500'"]);
        let reference = REFERENCE.replace("| `token` | none | |\n", "");
        assert_eq!(
            in_reference(TABLES, &reference, "### consul.conf"),
            ["the reference lacks [consul] token"]
        );
        assert_eq!(
            in_reference(TABLES, REFERENCE, "### nothing"),
            ["the reference has no chapter '### nothing'"]
        );
        const TWICE: &[KnownOption] =
            &[KnownOption::new("a", "", ""), KnownOption::new("a", "", "x")];
        assert_eq!(in_itself(&[("s", TWICE)]).len(), 3);
    }

    #[test]
    fn the_sample_is_parsed_as_the_host_does() {
        let sections = sections(SAMPLE, "consul.conf");
        assert_eq!(sections.len(), 2);
        let entries = &sections.first().unwrap().entries;
        assert_eq!(entries.len(), 1);
        let port = entries.first().unwrap();
        assert_eq!((port.name.as_str(), port.value.as_str(), port.line), ("port", "8500", 3));
    }
}
