// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! `amqp.conf`, parsed once into settings that later code need not doubt.

mod connection;
mod options;
mod publishing;

use asterisk::config::file::ReadFile;
use asterisk::config::{Report, Section, value};

pub(crate) use connection::ConnectionSettings;
use options::OPTIONS;
pub(crate) use publishing::{ExchangeType, PublishAmi, StasisSettings};

/// The file.
pub(crate) const FILE: &str = "amqp.conf";

/// All of `amqp.conf`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Whether anything is done at all.
    pub enabled: bool,
    /// The connections, in file order, each name once.
    pub connections: Vec<ConnectionSettings>,
    /// What is published; none: nothing.
    pub stasis: Option<StasisSettings>,
}

enum Kind {
    Connection,
    Stasis,
}

/// Reads the sections of `amqp.conf`. With errors in the report the settings must not be used; the
/// report has every fault of the file, not only the first.
pub(crate) fn parse(sections: &[Section], read_file: ReadFile<'_>) -> (Settings, Report) {
    let mut report = Report::default();
    let general = Section::only(sections, FILE, "general", &mut report);
    let mut options = general.reader(options::GENERAL, &mut report);
    let enabled = options.yes_no("enabled");
    options.finish();
    let mut settings = Settings { enabled, connections: Vec::new(), stasis: None };
    let mut publishing: Option<&Section> = None;
    for section in sections.iter().filter(|one| !one.name.eq_ignore_ascii_case("general")) {
        match kind(section, &mut report) {
            None => {}
            Some(Kind::Connection) => {
                let name = &section.name;
                if settings.connections.iter().any(|known| known.name == *name) {
                    let text = "a connection of this name is defined above already";
                    report.error(section, 0, text);
                }
                let read = connection::read(section, &mut report, read_file);
                settings.connections.push(read);
            }
            Some(Kind::Stasis) => {
                if let Some(first) = publishing {
                    let text = format!(
                        "only one section may have type 'stasis', and [{}] has it already",
                        first.name
                    );
                    report.error(section, 0, text);
                }
                publishing = Some(section);
                settings.stasis = Some(publishing::read(section, &mut report));
            }
        }
    }
    if let (Some(section), Some(stasis)) = (publishing, &settings.stasis) {
        check_connection(section, stasis, &settings.connections, &mut report);
    }
    (settings, report)
}

/// What a section is; None, with a warning, if nothing that is known.
fn kind(section: &Section, report: &mut Report) -> Option<Kind> {
    let name = &section.name;
    let kinds = OPTIONS.iter().map(|(kind, _)| *kind);
    let Some(entry) = section.entry("type") else {
        let hint = match value::nearest(name, kinds) {
            Some("general") => "did you mean [general]?".to_owned(),
            Some(kind) => format!("did you mean 'type = {kind}'?"),
            None => "known are 'type = connection' and 'type = stasis'".to_owned(),
        };
        report.warn(section, 0, format!("ignored, for it has no type; {hint}"));
        return None;
    };
    let given = &entry.value;
    if given.eq_ignore_ascii_case("connection") {
        return Some(Kind::Connection);
    }
    if given.eq_ignore_ascii_case("stasis") {
        return Some(Kind::Stasis);
    }
    let types = kinds.filter(|kind| *kind != "general");
    let hint = value::nearest(given, types).map_or_else(
        || "known are connection and stasis".to_owned(),
        |kind| format!("did you mean '{kind}'?"),
    );
    let text = format!("ignored, for its type '{given}' is unknown; {hint}");
    report.warn(section, entry.line, text);
    None
}

fn check_connection(
    section: &Section,
    stasis: &StasisSettings,
    connections: &[ConnectionSettings],
    report: &mut Report,
) {
    let wanted = &stasis.connection;
    if connections.iter().any(|known| known.name == *wanted) {
        return;
    }
    let names: Vec<&str> = connections.iter().map(|known| known.name.as_str()).collect();
    let known = match names.as_slice() {
        [] => "there is no section with 'type = connection'".to_owned(),
        _ => format!("there are {}", names.join(", ")),
    };
    let line = section.entry("connection").map_or(0, |entry| entry.line);
    let text = match wanted.as_str() {
        "" => format!("connection is missing; {known}"),
        _ => format!("connection = '{wanted}': is not defined; {known}"),
    };
    report.error(section, line, text);
}

#[cfg(test)]
mod drift;
#[cfg(test)]
mod tests;
