// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Reads a configuration file by way of the host, so that templates, `#include`, `+=` and realtime
//! work as they do for its own modules.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;

use super::{Entry, Section};
use crate::sys;
use crate::text::{bytes, c_string, lossy};

/// Reads `file` of the host's configuration folder. To be called in load and reload.
///
/// # Errors
///
/// The file is missing or cannot be opened, or the host cannot parse it (it has logged where).
pub fn load(file: &str) -> Result<Vec<Section>, String> {
    load_if_there(file)?.ok_or_else(|| format!("{file}: there is no such file"))
}

/// As [`load`]; none where the file is missing.
///
/// # Errors
///
/// The file cannot be opened, or the host cannot parse it (it has logged where).
pub fn load_if_there(file: &str) -> Result<Option<Vec<Section>>, String> {
    let name = c_string(file);
    let mut config = ptr::null_mut();
    // SAFETY: a NUL-terminated name and a place for the result, which is ours to destroy.
    match unsafe { sys::shim_config_load(name.as_ptr(), &raw mut config) } {
        sys::SHIM_CONFIG_LOADED => {}
        sys::SHIM_CONFIG_MISSING => {
            let path = folder().join(file);
            return match check_missing(&path) {
                Ok(()) => Ok(None),
                Err(reason) => {
                    Err(format!("{file}: {} cannot be opened: {reason}", path.display()))
                }
            };
        }
        _ => return Err(format!("{file}: it cannot be parsed, see the lines above")),
    }
    let sections = sections(file, config);
    // SAFETY: made above, destroyed once; `sections` has copied what it needs.
    unsafe { sys::ast_config_destroy(config) };
    Ok(Some(sections))
}

/// The host's configuration folder.
fn folder() -> PathBuf {
    // SAFETY: the host sets it before modules load and never after.
    let path = unsafe { sys::ast_config_AST_CONFIG_DIR };
    // SAFETY: NUL-terminated and the host's for as long as it runs.
    Path::new(OsStr::from_bytes(unsafe { bytes(path) })).to_owned()
}

/// The host says of a file that it cannot open what it says of none: to tell the one from the other,
/// which would be to run on defaults where an operator has written something else. A file that can
/// be opened is right too: the host may have been told to look elsewhere (`extconfig.conf`).
///
/// # Errors
///
/// Why the file that is there cannot be opened.
fn check_missing(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() => File::open(path).map(drop),
        Ok(_) => Err(io::Error::other("it is not a regular file")),
        // A link that leads nowhere is there, too.
        Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() => Ok(()),
        Err(error) => Err(error),
    }
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_that_is_not_there_is_told_from_one_that_cannot_be_opened() {
        let folder =
            std::env::temp_dir().join(format!("constellation-load-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let reason = |name: &str| check_missing(&folder.join(name)).unwrap_err().to_string();

        assert!(check_missing(&folder.join("none")).is_ok());
        fs::write(folder.join("file"), "").unwrap();
        assert!(check_missing(&folder.join("file")).is_ok());
        fs::create_dir(folder.join("folder")).unwrap();
        assert_eq!(reason("folder"), "it is not a regular file");
        symlink("round", folder.join("round")).unwrap();
        assert_eq!(reason("round"), "Too many levels of symbolic links (os error 40)");
        symlink("gone", folder.join("nowhere")).unwrap();
        assert_eq!(reason("nowhere"), "No such file or directory (os error 2)");
        assert_eq!(reason("file/below"), "Not a directory (os error 20)");

        fs::remove_dir_all(&folder).unwrap();
    }
}
