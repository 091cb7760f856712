// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! That the sample file, the XML help and docs/configuration.md say of every option what its table
//! does.

use asterisk::config::drift;

use super::options::{CONSUL, GENERAL};
use super::{FILE, parse};

const TABLES: drift::Tables<'_> = &[("general", GENERAL), ("consul", CONSUL)];

const SAMPLE: &str = include_str!("../../consul.conf.sample");
const HELP: &str = include_str!("../../documentation.xml");
const REFERENCE: &str = include_str!("../../../docs/configuration.md");

#[test]
fn the_sample_has_every_option_with_its_default() {
    assert_eq!(drift::in_sample(TABLES, SAMPLE, &[]), [""; 0]);
}

#[test]
fn the_sample_can_be_used_as_it_is_and_says_what_applies_without_it() {
    let none = |_: &str| Err(std::io::Error::from(std::io::ErrorKind::NotFound));
    let (settings, report) = parse(&drift::sections(SAMPLE, FILE), &none, &|_| None);
    assert_eq!((report.errors, report.warnings), (vec![], vec![]));
    assert_eq!(settings, parse(&[], &none, &|_| None).0);
}

#[test]
fn the_help_has_every_option_with_its_default() {
    assert_eq!(drift::in_help(TABLES, HELP), [""; 0]);
}

#[test]
fn every_option_is_in_its_table_once_and_explained_in_one_line() {
    assert_eq!(drift::in_itself(TABLES), [""; 0]);
}

#[test]
fn the_reference_has_every_option_with_its_default() {
    assert_eq!(drift::in_reference(TABLES, REFERENCE, "## consul.conf"), [""; 0]);
}
