// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Reads a configuration file by way of the host, so that templates, `#include`, `+=` and realtime
//! work as they do for its own modules.

use std::ptr;

use super::{Entry, Section};
use crate::sys;
use crate::text::{c_string, lossy};

/// Reads `file` of the host's configuration folder. To be called in load and reload.
///
/// # Errors
///
/// The file is missing, or the host cannot parse it (it has logged where).
pub fn load(file: &str) -> Result<Vec<Section>, String> {
    load_if_there(file)?.ok_or_else(|| format!("{file}: there is no such file"))
}

/// As [`load`]; none where the file is missing.
///
/// # Errors
///
/// The host cannot parse it (it has logged where).
pub fn load_if_there(file: &str) -> Result<Option<Vec<Section>>, String> {
    let name = c_string(file);
    let mut config = ptr::null_mut();
    // SAFETY: a NUL-terminated name and a place for the result, which is ours to destroy.
    match unsafe { sys::shim_config_load(name.as_ptr(), &raw mut config) } {
        sys::SHIM_CONFIG_LOADED => {}
        sys::SHIM_CONFIG_MISSING => return Ok(None),
        _ => return Err(format!("{file}: it cannot be parsed, see the lines above")),
    }
    let sections = sections(file, config);
    // SAFETY: made above, destroyed once; `sections` has copied what it needs.
    unsafe { sys::ast_config_destroy(config) };
    Ok(Some(sections))
}

fn sections(file: &str, config: *mut sys::ast_config) -> Vec<Section> {
    let mut sections = Vec::new();
    let mut name = ptr::null_mut();
    loop {
        // SAFETY: a live configuration; the name before it leads to the next.
        name = unsafe { sys::ast_category_browse(config, name) };
        if name.is_null() {
            return sections;
        }
        sections.push(Section {
            // SAFETY: NUL-terminated, alive with the configuration.
            name: unsafe { lossy(name) }.into_owned(),
            file: file.to_owned(),
            entries: entries(config, name),
        });
    }
}

fn entries(config: *mut sys::ast_config, section: *const std::ffi::c_char) -> Vec<Entry> {
    let mut entries = Vec::new();
    // SAFETY: a live configuration and the name of one of its sections.
    let mut next = unsafe { sys::ast_variable_browse(config, section) };
    while !next.is_null() {
        // SAFETY: a link of the configuration's list, alive with it.
        let variable = unsafe { &*next };
        entries.push(Entry {
            // SAFETY: NUL-terminated, alive with the configuration.
            name: unsafe { lossy(variable.name) }.into_owned(),
            // SAFETY: as above.
            value: unsafe { lossy(variable.value) }.into_owned(),
            line: u32::try_from(variable.lineno).unwrap_or(0),
        });
        next = variable.next;
    }
    entries
}
