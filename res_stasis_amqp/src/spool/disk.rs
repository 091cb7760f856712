// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! All that the spool asks of a file system, by file name; and the folder that gives it.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::process::geteuid;

/// A folder of files.
pub(super) trait Disk {
    /// The names and lengths of all files.
    fn list(&mut self) -> io::Result<Vec<(String, u64)>>;
    /// Fills `into` from `offset`, as far as the file goes.
    fn read(&mut self, name: &str, offset: u64, into: &mut [u8]) -> io::Result<usize>;
    /// Writes at `offset`; makes the file if there is none.
    fn write(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Shortens a file to `length`.
    fn cut(&mut self, name: &str, length: u64) -> io::Result<()>;
    /// Returns when a file's contents would survive a power failure.
    fn sync(&mut self, name: &str) -> io::Result<()>;
    /// Returns when the names would.
    fn sync_names(&mut self) -> io::Result<()>;
    /// Removes a file.
    fn remove(&mut self, name: &str) -> io::Result<()>;
    /// Gives a file another name.
    fn rename(&mut self, name: &str, new: &str) -> io::Result<()>;
}

/// The file whose lock says that the folder is in use.
const LOCK: &str = "lock";

/// A folder that is ours alone.
pub(super) struct Folder {
    path: PathBuf,
    /// Kept open: segments are written for a while, and read likewise.
    writing: Option<(String, File)>,
    reading: Option<(String, File)>,
    _lock: File,
}

impl Folder {
    /// Makes the folder if need be, and locks it.
    ///
    /// # Errors
    ///
    /// What is wrong with it, for an operator.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(format!("cannot be made: {error}"));
            }
            _ => {}
        }
        let metadata = path.metadata().map_err(|error| format!("cannot be used: {error}"))?;
        if !metadata.is_dir() {
            return Err("is not a directory".to_owned());
        }
        let (owner, ours) = (metadata.uid(), geteuid().as_raw());
        if owner != ours {
            return Err(format!("belongs to user {owner}, but Asterisk runs as user {ours}"));
        }
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path.join(LOCK))
            .map_err(|error| format!("cannot be written to: {error}"))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
            rustix::io::Errno::WOULDBLOCK => "is in use by another process".to_owned(),
            error => format!("cannot be locked: {error}"),
        })?;
        Ok(Self { path: path.to_owned(), writing: None, reading: None, _lock: lock })
    }

    fn writer(&mut self, name: &str) -> io::Result<&File> {
        if self.writing.as_ref().is_none_or(|(open, _)| open != name) {
            let path = self.path.join(name);
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(path)?;
            self.writing = Some((name.to_owned(), file));
        }
        self.writing.as_ref().map(|(_, file)| file).ok_or(ErrorKind::NotFound.into())
    }

    fn reader(&mut self, name: &str) -> io::Result<&File> {
        if self.reading.as_ref().is_none_or(|(open, _)| open != name) {
            let file = File::open(self.path.join(name))?;
            self.reading = Some((name.to_owned(), file));
        }
        self.reading.as_ref().map(|(_, file)| file).ok_or(ErrorKind::NotFound.into())
    }

    /// Of what has another name, or none, no file stays open: it would keep its blocks.
    fn forget(&mut self, name: &str) {
        self.writing.take_if(|(open, _)| open == name);
        self.reading.take_if(|(open, _)| open == name);
    }
}

impl Disk for Folder {
    fn list(&mut self) -> io::Result<Vec<(String, u64)>> {
        let mut files = Vec::new();
        for entry in self.path.read_dir()? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_file() {
                files.push((entry.file_name().to_string_lossy().into_owned(), metadata.len()));
            }
        }
        Ok(files)
    }

    fn read(&mut self, name: &str, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let file = self.reader(name)?;
        let mut filled = 0;
        while let Some(rest) = into.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match file.read_at(rest, offset + filled as u64) {
                Ok(0) => break,
                Ok(bytes) => filled += bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.writer(name)?.write_all_at(bytes, offset)
    }

    fn cut(&mut self, name: &str, length: u64) -> io::Result<()> {
        self.writer(name)?.set_len(length)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.writer(name)?.sync_data()
    }

    fn sync_names(&mut self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.forget(name);
        std::fs::remove_file(self.path.join(name))
    }

    fn rename(&mut self, name: &str, new: &str) -> io::Result<()> {
        self.forget(name);
        std::fs::rename(self.path.join(name), self.path.join(new))
    }
}
