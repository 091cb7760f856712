// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! That the sample file, the XML help and docs/configuration.md say of every option what its table
//! does.

use std::io;

use asterisk::config::drift;

use super::options::{CONNECTION, GENERAL, OPTIONS, STASIS};
use super::parse;

const SAMPLE: &str = include_str!("../../amqp.conf.sample");
const HELP: &str = include_str!("../../documentation.xml");
const REFERENCE: &str = include_str!("../../../docs/configuration.md");

#[test]
fn the_sample_has_every_option_with_its_default() {
    let tables = [("general", GENERAL), ("bunny", CONNECTION), ("stasis", STASIS)];
    // Their value in the sample is an example: they have no default.
    let examples =
        [("bunny", "type"), ("bunny", "url"), ("stasis", "type"), ("stasis", "connection")];
    assert_eq!(drift::in_sample(&tables, SAMPLE, &examples), [""; 0]);
}

#[test]
fn the_sample_can_be_used_as_it_is() {
    let none = |_: &str| Err(io::Error::from(io::ErrorKind::NotFound));
    let (settings, report) = parse(&drift::sections(SAMPLE, "amqp.conf"), &none);
    assert_eq!(report.errors, [""; 0]);
    assert_eq!(settings.stasis.unwrap().connection, settings.connections[0].name);
}

#[test]
fn the_help_has_every_option_with_its_default() {
    assert_eq!(drift::in_help(OPTIONS, HELP), [""; 0]);
}

#[test]
fn every_option_is_in_its_table_once_and_explained_in_one_line() {
    assert_eq!(drift::in_itself(OPTIONS), [""; 0]);
}

#[test]
fn the_reference_has_every_option_with_its_default() {
    assert_eq!(drift::in_reference(OPTIONS, REFERENCE, "## amqp.conf"), [""; 0]);
}
