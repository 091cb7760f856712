// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A folder of a server, removed with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

static NEXT: AtomicU32 = AtomicU32::new(1);
static SWEEP: Once = Once::new();

/// A fresh folder, removed on drop. `RIG_KEEP=1` in the environment keeps it, to look into.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// A folder whose name begins with `kind`.
    ///
    /// # Panics
    ///
    /// When it can't be made.
    pub fn new(kind: &str) -> Self {
        SWEEP.call_once(sweep);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = own().join(format!("{kind}-{number}"));
        fs::create_dir_all(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A subfolder, made if need be.
    ///
    /// # Panics
    ///
    /// When it can't be made.
    pub fn sub(&self, name: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path
    }

    /// Writes a file in it and gives its path.
    ///
    /// # Panics
    ///
    /// When it can't be written.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

/// Removes all folders of this process.
pub(crate) fn remove_all() {
    remove(&own());
}

// Short: the path of a Unix socket in it must fit into 108 bytes.
fn base() -> PathBuf {
    std::env::temp_dir().join("constellation-rig")
}

fn own() -> PathBuf {
    base().join(std::process::id().to_string())
}

fn remove(path: &Path) {
    if std::env::var_os("RIG_KEEP").is_none() {
        // What is left behind is swept by the next run.
        let _ = fs::remove_dir_all(path);
    }
}

/// Removes what processes that are gone have left (they were killed, or never dropped a server
/// that is shared by all tests).
fn sweep() {
    let Ok(entries) = fs::read_dir(base()) else { return };
    for entry in entries.flatten() {
        if !Path::new("/proc").join(entry.file_name()).exists() {
            remove(&entry.path());
        }
    }
}
