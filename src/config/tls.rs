// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The options `ca_file`, `cert_file`, `key_file` and `verify`, which every section of a TLS client
//! has alike.

use super::Reader;
use super::file::{self, ReadFile};
use crate::secret::Secret;

/// The names of the options.
pub const NAMES: [&str; 4] = ["ca_file", "cert_file", "key_file", "verify"];

/// What TLS connections are made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// Certificates to trust; none: the system's.
    pub ca_file: Option<Pem>,
    /// The certificate to show; there is a key too then.
    pub cert_file: Option<Pem>,
    /// Its key.
    pub key_file: Option<Pem>,
    /// Whether the server must prove who it is.
    pub verify: bool,
}

/// A file of certificates or a key, with its contents, so that a reload notices a renewed one and a
/// connection needs no disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pem {
    /// Where it was read.
    pub path: String,
    /// What is in it; hidden, since it may be a key.
    pub text: Secret,
}

impl TlsSettings {
    /// Reads the options, and the files they name. Whether TLS is used at all is for the caller to
    /// see.
    pub fn read(options: &mut Reader<'_>, read_file: ReadFile<'_>) -> Self {
        let settings = Self {
            ca_file: pem(options, "ca_file", read_file),
            cert_file: pem(options, "cert_file", read_file),
            key_file: pem(options, "key_file", read_file),
            verify: options.yes_no("verify"),
        };
        for (one, other) in [("cert_file", "key_file"), ("key_file", "cert_file")] {
            if options.is_given(one) && !options.is_given(other) {
                options.error(one, format!("{one} is given without {other}"));
            }
        }
        settings
    }
}

fn pem(options: &mut Reader<'_>, name: &'static str, read_file: ReadFile<'_>) -> Option<Pem> {
    let path = options.text(name);
    if path.is_empty() {
        return None;
    }
    let text = file::text(options, name, &path, read_file)?;
    if text.trim().is_empty() {
        options.error(name, format!("{name} = '{path}': is empty"));
        return None;
    }
    Some(Pem { path, text: Secret::new(text) })
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::config::{Entry, KnownOption, Report, Section};

    const TABLE: &[KnownOption] = &[
        KnownOption::new("ca_file", "", "trust"),
        KnownOption::new("cert_file", "", "show"),
        KnownOption::new("key_file", "", "its key"),
        KnownOption::new("verify", "yes", "whether"),
    ];

    fn read(lines: &[(&str, &str)]) -> (TlsSettings, Report) {
        let entries = lines.iter().map(|(name, value)| Entry {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
            line: 0,
        });
        let section =
            Section { name: "s".into(), file: "f.conf".into(), entries: entries.collect() };
        let mut report = Report::default();
        let mut options = section.reader(TABLE, &mut report);
        let settings = TlsSettings::read(&mut options, &|path| match path {
            "/there" => Ok("PEM".to_owned()),
            "/empty" => Ok(" \n".to_owned()),
            _ => Err(io::Error::from(io::ErrorKind::NotFound)),
        });
        options.finish();
        (settings, report)
    }

    #[test]
    fn files_are_read_and_what_is_wrong_with_them_is_said() {
        let (settings, report) = read(&[("cert_file", "/there"), ("key_file", "/there")]);
        assert_eq!(report, Report::default());
        assert!(settings.verify && settings.ca_file.is_none());
        assert_eq!(settings.key_file.unwrap().text.reveal(), "PEM");
        let (_, report) = read(&[("ca_file", "/gone"), ("key_file", "/empty"), ("verify", "no")]);
        assert_eq!(
            report.errors,
            [
                "f.conf: [s]: ca_file = '/gone': cannot be read: entity not found",
                "f.conf: [s]: key_file = '/empty': is empty",
                "f.conf: [s]: key_file is given without cert_file",
            ]
        );
    }
}
