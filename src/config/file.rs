// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Files that an option names: certificates, keys, passwords, tokens.

use std::io;

use super::Reader;
use crate::secret::Secret;

/// The text of a file, as `std::fs::read_to_string`. Passed in, so that tests need no disk.
pub type ReadFile<'a> = &'a dyn Fn(&str) -> io::Result<String>;

/// The text of the file at `path`, which option `name` gives. None, with an error in the report, if
/// it cannot be read.
pub fn text(
    options: &mut Reader<'_>,
    name: &'static str,
    path: &str,
    read_file: ReadFile<'_>,
) -> Option<String> {
    read_file(path)
        .inspect_err(|error| {
            options.error(name, format!("{name} = '{path}': cannot be read: {error}"));
        })
        .ok()
}

/// The first line of the file at `path`, hidden. None, with an error in the report, if it cannot be
/// read or is empty.
pub fn first_line(
    options: &mut Reader<'_>,
    name: &'static str,
    path: &str,
    read_file: ReadFile<'_>,
) -> Option<Secret> {
    let text = text(options, name, path, read_file)?;
    let first_line = text.lines().next().unwrap_or_default();
    if first_line.is_empty() {
        options.error(name, format!("{name} = '{path}': its first line is empty"));
        return None;
    }
    Some(Secret::new(first_line))
}
