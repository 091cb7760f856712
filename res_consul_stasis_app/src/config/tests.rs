// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

use asterisk::config::{Entry, Report, Section};

use super::{Settings, parse};

fn section(name: &str, entries: &[(&str, &str)]) -> Section {
    let entries = (1..).zip(entries).map(|(line, (name, value))| Entry {
        name: (*name).to_owned(),
        value: (*value).to_owned(),
        line,
    });
    Section { name: name.to_owned(), file: "consul.conf".to_owned(), entries: entries.collect() }
}

fn with_prefix(prefix: &str) -> (Settings, Report) {
    parse(&[section("stasis_app", &[("app_prefix", prefix)])])
}

#[test]
fn without_a_section_the_defaults_apply() {
    let (settings, report) = parse(&[]);
    assert_eq!(settings, Settings { enabled: true, prefix: "applications/".to_owned() });
    assert_eq!(report, Report::default());
}

#[test]
fn either_section_turns_the_module_off() {
    let off = [("enabled", "no")];
    assert!(!parse(&[section("general", &off)]).0.enabled);
    assert!(!parse(&[section("Stasis_App", &off)]).0.enabled);
    assert!(!parse(&[section("general", &off), section("stasis_app", &[])]).0.enabled);
}

#[test]
fn a_section_that_is_there_twice_is_refused() {
    for name in ["general", "stasis_app"] {
        let sections = [section(name, &[("enabled", "no")]), section(name, &[])];
        let (_, report) = parse(&sections);
        assert_eq!(report.errors, [format!("consul.conf: [{name}]: the section is there twice")]);
    }
}

#[test]
fn sections_of_other_modules_are_theirs() {
    let (_, report) = parse(&[section("consul", &[("token", "x")]), section("nonsense", &[])]);
    assert_eq!(report, Report::default());
}

#[test]
fn prefixes_that_cannot_be_are_refused_with_the_reason() {
    for (prefix, reason) in [
        ("", "must not be empty"),
        ("/apps/", "must not begin with '/', for Consul's keys do not; did you mean 'apps/'?"),
        ("//", "must not begin with '/', for Consul's keys do not; did you mean 'applications/'?"),
        ("a//", "must not have an empty part, '.' or '..' between slashes"),
        ("a//b/", "must not have an empty part, '.' or '..' between slashes"),
        ("./", "must not have an empty part, '.' or '..' between slashes"),
        ("a/../b/", "must not have an empty part, '.' or '..' between slashes"),
        ("a/.", "must not have an empty part, '.' or '..' between slashes"),
    ] {
        let (_, report) = with_prefix(prefix);
        let wanted = format!("consul.conf: [stasis_app] line 1: app_prefix = '{prefix}': {reason}");
        assert_eq!(report.errors, [wanted]);
    }
}

#[test]
fn prefixes_of_any_other_kind_are_taken() {
    for prefix in ["a/", "site 1/äpps?#%/", "a.b/..c/", "-/"] {
        let (settings, report) = with_prefix(prefix);
        assert_eq!(report, Report::default(), "{prefix}");
        assert_eq!(settings.prefix, prefix);
    }
}

#[test]
fn a_prefix_without_a_slash_at_its_end_is_warned_of() {
    let (settings, report) = with_prefix("app-");
    assert_eq!(settings.prefix, "app-");
    assert_eq!(report.errors, [""; 0]);
    assert_eq!(
        report.warnings,
        ["consul.conf: [stasis_app] line 1: app_prefix = 'app-' does not end with '/', so that \
          the key 'app-/demo' is the application '/demo'"]
    );
}

#[test]
fn an_unknown_option_is_warned_of() {
    let (settings, report) = parse(&[section("stasis_app", &[("app_prefx", "x/")])]);
    assert_eq!(settings.prefix, "applications/");
    assert_eq!(
        report.warnings,
        [
            "consul.conf: [stasis_app] line 1: unknown option 'app_prefx'; did you mean 'app_prefix'?"
        ]
    );
}
