// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! `consul.conf` in, settings or complaints out.

use std::io;
use std::time::Duration;

use asterisk::config::{Entry, Report, Section};

use super::*;

fn section(name: &str, lines: &[(&str, &str)]) -> Section {
    let entries = lines.iter().zip(1..).map(|((name, value), line)| Entry {
        name: (*name).to_owned(),
        value: (*value).to_owned(),
        line,
    });
    Section { name: name.to_owned(), file: FILE.to_owned(), entries: entries.collect() }
}

fn file(path: &str) -> io::Result<String> {
    match path {
        "/token" => Ok(" from-file \nsecond line\n".to_owned()),
        "/odd" => Ok("se\u{7}cret\n".to_owned()),
        "/pem" => Ok("PEM".to_owned()),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    }
}

fn read_with(lines: &[(&str, &str)], environment: &[(&str, &str)]) -> (ConsulSettings, Report) {
    let environment = |name: &str| {
        let found = environment.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let (settings, report) = parse(&[section("consul", lines)], &file, &environment);
    (settings.consul, report)
}

fn read(lines: &[(&str, &str)]) -> (ConsulSettings, Report) {
    read_with(lines, &[])
}

/// The defaults, with other lines of `[consul]`, which must be right.
fn settings(lines: &[(&str, &str)]) -> Settings {
    let (settings, report) = parse(&[section("consul", lines)], &file, &|_| None);
    assert_eq!(report.errors, [""; 0]);
    settings
}

#[test]
fn without_a_file_the_defaults_apply() {
    let settings = settings(&[]);
    assert!(settings.enabled);
    assert_eq!(settings.consul.url(), "http://127.0.0.1:8500");
    assert_eq!(settings.consul.token_source, TokenSource::Nowhere);
    assert_eq!(settings.consul.watch_wait, Duration::from_secs(60));
}

#[test]
fn the_environment_applies_where_the_file_is_silent() {
    let address = [("CONSUL_HTTP_ADDR", "https://[fd00::1]:8501"), ("CONSUL_HTTP_TOKEN", "env")];
    let (settings, report) = read_with(&[], &address);
    assert_eq!(report, Report::default());
    assert_eq!(settings.url(), "https://[fd00::1]:8501");
    assert_eq!(settings.token_source, TokenSource::Environment);
    assert_eq!(settings.token.unwrap().reveal(), "env");

    let (settings, _) = read_with(&[("host", "other"), ("token", "own")], &address);
    assert_eq!(settings.url(), "http://other:8500");
    assert_eq!(settings.token.unwrap().reveal(), "own");

    let (settings, _) = read_with(&[("port", "1"), ("scheme", "http")], &address);
    assert_eq!(settings.url(), "http://[fd00::1]:1");
    let (settings, _) =
        read_with(&[], &[("CONSUL_HTTP_ADDR", "consul"), ("CONSUL_HTTP_TOKEN", "")]);
    assert_eq!(settings.url(), "http://consul:8500");
    assert_eq!(settings.token, None);
}

#[test]
fn a_variable_that_cannot_be_used_is_an_error_and_shows_no_login() {
    let (_, report) = read_with(&[], &[("CONSUL_HTTP_ADDR", "unix:///run/consul.sock")]);
    assert_eq!(
        report.errors,
        ["consul.conf: [consul]: CONSUL_HTTP_ADDR = 'unix:///run/consul.sock': Consul's unix \
          socket cannot be used; give host and port"]
    );
    let (_, report) = read_with(&[], &[("CONSUL_HTTP_ADDR", "http://me:hunter2@consul:8500")]);
    assert_eq!(report.errors.len(), 1);
    assert!(!report.errors[0].contains("hunter2"), "{}", report.errors[0]);
    let (_, report) = read_with(&[], &[("CONSUL_HTTP_TOKEN", "hun\nter2")]);
    assert_eq!(
        report.errors,
        ["consul.conf: [consul]: CONSUL_HTTP_TOKEN: the token has control characters"]
    );
}

#[test]
fn the_file_goes_before_the_option_and_its_first_line_is_the_token() {
    let (settings, report) = read(&[("token", "hunter2"), ("token_file", "/token")]);
    assert_eq!(settings.token.unwrap().reveal(), "from-file");
    assert_eq!(settings.token_source, TokenSource::File("/token".to_owned()));
    assert_eq!(report.errors, [""; 0]);
    assert_eq!(report.warnings.len(), 1);
    for path in ["/odd", "/missing"] {
        let (_, report) = read(&[("token_file", path)]);
        assert_eq!(report.errors.len(), 1, "{path}");
        assert!(!report.errors[0].contains("cret"), "{}", report.errors[0]);
    }
}

#[test]
fn every_bad_value_is_named() {
    let (_, report) = read(&[
        ("host", "http://consul:8500"),
        ("port", "0"),
        ("scheme", "ftp"),
        ("token", "hun\tter2"),
        ("connect_timeout", "50ms"),
        ("request_timeout", "10m"),
        ("watch_wait", "60"),
        ("cert_file", "/pem"),
        ("verify", "maybe"),
    ]);
    let named = ["host", "port", "scheme", "connect_timeout", "request_timeout", "watch_wait"];
    for name in named.into_iter().chain(["cert_file", "verify", "token"]) {
        let found = report.errors.iter().filter(|error| error.contains(&format!(": {name}")));
        assert_eq!(found.count(), 1, "{name}: {:?}", report.errors);
    }
    assert_eq!(report.errors.len(), 9);
    assert!(!format!("{report:?}").contains("ter2"));
}

#[test]
fn tls_options_without_tls_and_tls_without_proof_are_warned_of() {
    let (_, report) = read(&[("ca_file", "/pem"), ("verify", "no")]);
    assert_eq!(report.warnings.len(), 2);
    let (settings, report) = read(&[("scheme", "HTTPS"), ("verify", "no")]);
    assert_eq!(settings.scheme, Scheme::Https);
    assert!(report.warnings[0].contains("pose as Consul"), "{report:?}");
}

#[test]
fn unknown_sections_are_warned_of_and_those_of_the_other_modules_are_not() {
    let sections = ["general", "Consul", "discovery", "stasis_app", "stasis_apps", "amqp"]
        .map(|name| section(name, &[]));
    let (_, report) = parse(&sections, &file, &|_| None);
    assert_eq!(
        report.warnings,
        [
            "consul.conf: [stasis_apps]: unknown section; did you mean [stasis_app]?",
            "consul.conf: [amqp]: unknown section; known are general, consul, discovery, stasis_app",
        ]
    );
    let (_, report) = parse(&[section("consul", &[]), section("consul", &[])], &file, &|_| None);
    assert_eq!(report.errors, ["consul.conf: [consul]: the section is there twice"]);
}

#[test]
fn off_is_off() {
    let (settings, _) = parse(&[section("general", &[("enabled", "no")])], &file, &|_| None);
    assert!(!settings.enabled);
}

#[test]
fn no_token_shows_in_debug_output() {
    let (settings, _) = read(&[("token", "hunter2")]);
    assert!(!format!("{settings:?}").contains("hunter2"));
}
