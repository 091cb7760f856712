// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! That the sample file, the XML help and docs/configuration.md say of every option what its table
//! does.

use asterisk::config::drift;

use super::options::{DISCOVERY, GENERAL};
use super::{Settings, parse};

const SAMPLE: &str = include_str!("../../../res_consul/consul.conf.sample");
const HELP: &str = include_str!("../../documentation.xml");
const REFERENCE: &str = include_str!("../../../docs/configuration.md");

#[test]
fn the_sample_has_every_option_with_its_default() {
    let tables = [("general", GENERAL), ("discovery", DISCOVERY)];
    assert_eq!(drift::in_sample(&tables, SAMPLE, &[]), [""; 0]);
}

#[test]
fn the_sample_as_it_is_says_what_applies_without_it() {
    let (settings, report) = parse(&drift::sections(SAMPLE, "consul.conf"));
    assert_eq!(report.errors, [""; 0]);
    assert_eq!(report.warnings, [""; 0]);
    assert_eq!(settings, Settings::default());
}

#[test]
fn the_help_has_every_option_with_its_default() {
    assert_eq!(drift::in_help(&[("discovery", DISCOVERY)], HELP), [""; 0]);
}

#[test]
fn every_option_is_in_its_table_once_and_explained_in_one_line() {
    assert_eq!(drift::in_itself(&[("general", GENERAL), ("discovery", DISCOVERY)]), [""; 0]);
}

#[test]
fn the_reference_has_every_option_with_its_default() {
    let tables = [("discovery", DISCOVERY)];
    assert_eq!(drift::in_reference(&tables, REFERENCE, "## consul.conf"), [""; 0]);
}
