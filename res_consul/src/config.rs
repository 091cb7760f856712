// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! `consul.conf`, its sections `[general]` and `[consul]`, parsed once into settings that later
//! code need not doubt.

mod address;
mod connection;
mod options;

use asterisk::config::file::ReadFile;
use asterisk::config::{Report, Section, value};

pub(crate) use connection::{ConsulSettings, Scheme, TokenSource, valid_token};

/// The file.
pub(crate) const FILE: &str = "consul.conf";

/// The sections there are, also those of the other modules.
const SECTIONS: [&str; 4] = ["general", "consul", "discovery", "stasis_app"];

/// A variable of the environment, as `std::env::var`.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What of `consul.conf` is this module's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Whether anything is done at all.
    pub enabled: bool,
    /// The connection.
    pub consul: ConsulSettings,
}

/// Reads the sections of `consul.conf`. With errors in the report the settings must not be used;
/// the report has every fault of this module's sections, and all unknown sections.
pub(crate) fn parse(
    sections: &[Section],
    read_file: ReadFile<'_>,
    environment: Environment<'_>,
) -> (Settings, Report) {
    let mut report = Report::default();
    for section in sections {
        check_name(section, &mut report);
    }
    let general = Section::only(sections, FILE, "general", &mut report);
    let consul = Section::only(sections, FILE, "consul", &mut report);
    let mut options = general.reader(options::GENERAL, &mut report);
    let enabled = options.yes_no("enabled");
    options.finish();
    let consul = connection::read(&consul, &mut report, read_file, environment);
    (Settings { enabled, consul }, report)
}

fn check_name(section: &Section, report: &mut Report) {
    let name = &section.name;
    if SECTIONS.iter().any(|known| name.eq_ignore_ascii_case(known)) {
        return;
    }
    let hint = value::nearest(name, SECTIONS).map_or_else(
        || format!("known are {}", SECTIONS.join(", ")),
        |known| format!("did you mean [{known}]?"),
    );
    report.warn(section, 0, format!("unknown section; {hint}"));
}

#[cfg(test)]
mod drift;
#[cfg(test)]
mod tests;
