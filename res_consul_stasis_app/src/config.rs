// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The sections of `consul.conf` that are this module's: `[general]` and `[stasis_app]`.

use asterisk::config::{KnownOption, Report, Section};

use crate::CONFIG_FILE;

/// The options of each section: what the file is read by, and what the sample file, the XML help
/// and docs/configuration.md are compared with.
pub(crate) const GENERAL: &[KnownOption] =
    &[KnownOption::new("enabled", "yes", "Whether the modules do anything at all")];
pub(crate) const STASIS_APP: &[KnownOption] = &[
    KnownOption::new("enabled", "yes", "Whether applications come from Consul's keys"),
    KnownOption::new("app_prefix", "applications/", "The prefix of the keys of applications"),
];

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Whether the keys are looked at.
    pub(crate) enabled: bool,
    /// What an application's key has before its name.
    pub(crate) prefix: String,
}

/// Reads the sections of `consul.conf`; of those of other modules nothing is said. With errors in
/// the report the settings must not be used.
pub(crate) fn parse(sections: &[Section]) -> (Settings, Report) {
    let mut report = Report::default();
    let of_general = Section::only(sections, CONFIG_FILE, "general", &mut report);
    let mut options = of_general.reader(GENERAL, &mut report);
    let modules_enabled = options.yes_no("enabled");
    options.finish();

    let ours = Section::only(sections, CONFIG_FILE, "stasis_app", &mut report);
    let mut options = ours.reader(STASIS_APP, &mut report);
    let enabled = options.yes_no("enabled") && modules_enabled;
    let prefix = options.text("app_prefix");
    match refusal(&prefix) {
        Some(reason) => options.error("app_prefix", format!("app_prefix = '{prefix}': {reason}")),
        None if !prefix.ends_with('/') => {
            let text = format!(
                "app_prefix = '{prefix}' does not end with '/', so that the key \
                 '{prefix}/demo' is the application '/demo'"
            );
            options.warn("app_prefix", text);
        }
        None => {}
    }
    options.finish();
    (Settings { enabled, prefix }, report)
}

/// Why a prefix cannot be: it is a part of a path, which Consul takes apart.
fn refusal(prefix: &str) -> Option<String> {
    if prefix.is_empty() {
        return Some("must not be empty".to_owned());
    }
    if let Some(rest) = prefix.strip_prefix('/') {
        let hint = rest.trim_start_matches('/');
        let hint = if hint.is_empty() { "applications/" } else { hint };
        return Some(format!(
            "must not begin with '/', for Consul's keys do not; did you mean '{hint}'?"
        ));
    }
    let mut segments = prefix.strip_suffix('/').unwrap_or(prefix).split('/');
    segments
        .any(|segment| matches!(segment, "" | "." | ".."))
        .then(|| "must not have an empty part, '.' or '..' between slashes".to_owned())
}

#[cfg(test)]
mod drift;
#[cfg(test)]
mod tests;
