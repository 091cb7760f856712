// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! That the sample file and the XML help say of every option what the table says.

use asterisk::config::drift;

use super::{GENERAL, STASIS_APP, parse};

const SAMPLE: &str = include_str!("../../../res_consul/consul.conf.sample");
const HELP: &str = include_str!("../../documentation.xml");

#[test]
fn the_sample_has_every_option_with_its_default() {
    let tables = [("general", GENERAL), ("stasis_app", STASIS_APP)];
    assert_eq!(drift::in_sample(&tables, SAMPLE, &[]), [""; 0]);
}

#[test]
fn the_sample_can_be_used_as_it_is() {
    let (settings, report) = parse(&drift::sections(SAMPLE, "consul.conf"));
    assert_eq!(report.errors, [""; 0]);
    assert_eq!(report.warnings, [""; 0]);
    assert_eq!((settings.enabled, settings.prefix.as_str()), (true, "applications/"));
}

#[test]
fn the_help_has_every_option_with_its_default() {
    assert_eq!(drift::in_help(&[("stasis_app", STASIS_APP)], HELP), [""; 0]);
}

#[test]
fn every_option_is_in_its_table_once_and_explained_in_one_line() {
    let tables = [("general", GENERAL), ("stasis_app", STASIS_APP)];
    assert_eq!(drift::in_itself(&tables), [""; 0]);
}
