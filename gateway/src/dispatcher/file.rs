// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The list as a file: always whole, whoever reads it when.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Kamailio, another user, reads it; there is nothing secret in it.
const MODE: u32 = 0o644;

/// The list as it is. Where there is none an empty one is made, without which Kamailio does not
/// start. Fails where none could be written later.
pub(super) fn ensure(path: &Path) -> Result<String, String> {
    let probe = beside(path);
    let found = open(&probe).and_then(|file| {
        drop(file);
        fs::remove_file(&probe)?;
        if !path.try_exists()? {
            replace(path, "# Nothing is known of the nodes yet.\n")?;
        }
        fs::read_to_string(path)
    });
    found.map_err(|error| fault(path, &error))
}

/// Replaces the list, unless it says the same already.
pub(super) fn write(path: &Path, text: &str) -> Result<(), String> {
    if fs::read_to_string(path).is_ok_and(|before| before == text) {
        return Ok(());
    }
    replace(path, text).map_err(|error| fault(path, &error))
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let whole = beside(path);
    let mut file = open(&whole)?;
    file.write_all(text.as_bytes())?;
    // After a power failure the name must not stand for an empty file.
    file.sync_all()?;
    fs::rename(&whole, path)
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(path)
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

fn fault(path: &Path, error: &io::Error) -> String {
    format!("[dispatcher]: list: {} cannot be written: {error}", path.display())
}

#[cfg(test)]
pub(super) mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    pub(in crate::dispatcher) fn folder(name: &str) -> PathBuf {
        let name = format!("constellation-dispatcher-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn a_list_is_made_kept_and_replaced() {
        let folder = folder("file");
        let path = folder.join("list");
        ensure(&path).unwrap();
        assert!(fs::read_to_string(&path).unwrap().starts_with('#'));
        write(&path, "one\n").unwrap();
        assert_eq!(ensure(&path).unwrap(), "one\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\n");
        let before = fs::metadata(&path).unwrap();
        assert_eq!(before.permissions().mode() & 0o777, MODE);
        write(&path, "one\n").unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().ino(),
            before.ino(),
            "the same text, the same file"
        );
        // Whoever has it open reads the old one to its end.
        write(&path, "two\n").unwrap();
        assert_ne!(fs::metadata(&path).unwrap().ino(), before.ino());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing is left beside it");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn where_none_can_be_written_that_is_told() {
        let told = ensure(Path::new("/nowhere/list")).unwrap_err();
        assert!(
            told.starts_with("[dispatcher]: list: /nowhere/list cannot be written: "),
            "{told}"
        );
        assert!(write(Path::new("/nowhere/list"), "x").is_err());
    }
}
