// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A disk in memory, which can be full, refuse, lose power, and be tampered with.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::disk::Disk;

#[derive(Clone, Default)]
struct Inner {
    files: BTreeMap<String, Vec<u8>>,
    /// What a power failure leaves.
    synced: BTreeMap<String, Vec<u8>>,
    /// What all files may have together.
    room: Option<usize>,
    fails: Option<ErrorKind>,
    fails_to_read: Option<ErrorKind>,
    fails_to_cut: bool,
    is_open: bool,
    syncs: usize,
}

/// The same disk for all clones; one of them is open at a time.
#[derive(Clone, Default)]
pub(super) struct Memory {
    inner: Arc<Mutex<Inner>>,
    is_handle: bool,
}

impl Memory {
    pub(super) fn open(&self) -> Result<Self, String> {
        let mut inner = self.inner();
        if let Some(kind) = inner.fails {
            return Err(format!("cannot be used: {kind}"));
        }
        assert!(!inner.is_open, "opened twice");
        inner.is_open = true;
        Ok(Self { inner: Arc::clone(&self.inner), is_handle: true })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_room(&self, room: Option<usize>) {
        self.inner().room = room;
    }

    pub(super) fn fail(&self, fails: Option<ErrorKind>) {
        self.inner().fails = fails;
    }

    pub(super) fn fail_to_read(&self, fails: Option<ErrorKind>) {
        self.inner().fails_to_read = fails;
    }

    pub(super) fn fail_to_cut(&self, fails: bool) {
        self.inner().fails_to_cut = fails;
    }

    pub(super) fn syncs(&self) -> usize {
        self.inner().syncs
    }

    /// The machine goes off: what was not synced is gone, or half of it.
    pub(super) fn lose_power(&self, half: bool) {
        let mut inner = self.inner();
        let written = std::mem::take(&mut inner.files);
        inner.files = inner.synced.clone();
        if half {
            for (name, bytes) in written {
                let synced = inner.files.get(&name).map_or(0, Vec::len);
                let left = synced + bytes.len().saturating_sub(synced) / 2;
                if let Some(left) = bytes.get(..left.min(bytes.len())) {
                    inner.files.insert(name, left.to_vec());
                }
            }
        }
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.inner().files.keys().cloned().collect()
    }

    pub(super) fn segments(&self) -> Vec<String> {
        self.names().into_iter().filter(|name| name.ends_with(".spool")).collect()
    }

    pub(super) fn file(&self, name: &str) -> Vec<u8> {
        self.inner().files.get(name).cloned().unwrap_or_default()
    }

    pub(super) fn put(&self, name: &str, bytes: Vec<u8>) {
        self.inner().files.insert(name.to_owned(), bytes);
    }

    pub(super) fn spool_bytes(&self) -> u64 {
        let inner = self.inner();
        let ours = inner.files.iter().filter(|(name, _)| *name != "cursor");
        ours.map(|(_, bytes)| bytes.len() as u64).sum()
    }

    fn may(&self) -> io::Result<MutexGuard<'_, Inner>> {
        let inner = self.inner();
        match inner.fails {
            Some(kind) => Err(kind.into()),
            None => Ok(inner),
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if self.is_handle {
            self.inner().is_open = false;
        }
    }
}

impl Disk for Memory {
    fn list(&mut self) -> io::Result<Vec<(String, u64)>> {
        let inner = self.may()?;
        Ok(inner.files.iter().map(|(name, bytes)| (name.clone(), bytes.len() as u64)).collect())
    }

    fn read(&mut self, name: &str, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let inner = self.inner();
        if let Some(kind) = inner.fails_to_read {
            return Err(kind.into());
        }
        let file = inner.files.get(name).ok_or(ErrorKind::NotFound)?;
        let rest = file.get(usize::try_from(offset).unwrap()..).unwrap_or_default();
        let bytes = rest.len().min(into.len());
        into[..bytes].copy_from_slice(&rest[..bytes]);
        Ok(bytes)
    }

    fn write(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut inner = self.may()?;
        let all: usize = inner.files.values().map(Vec::len).sum();
        let room = inner.room.map_or(usize::MAX, |room| room.saturating_sub(all));
        let file = inner.files.entry(name.to_owned()).or_default();
        let offset = usize::try_from(offset).unwrap();
        let grows = (offset + bytes.len()).saturating_sub(file.len());
        // A full disk takes what it has room for.
        let taken = bytes.len() - grows.saturating_sub(room);
        file.resize(file.len().max(offset + taken), 0);
        file[offset..offset + taken].copy_from_slice(&bytes[..taken]);
        match taken < bytes.len() {
            true => Err(ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }

    fn cut(&mut self, name: &str, length: u64) -> io::Result<()> {
        let mut inner = self.inner();
        if inner.fails_to_cut {
            return Err(ErrorKind::PermissionDenied.into());
        }
        let file = inner.files.get_mut(name).ok_or(ErrorKind::NotFound)?;
        file.truncate(usize::try_from(length).unwrap());
        Ok(())
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        let mut inner = self.may()?;
        let file = inner.files.get(name).cloned().ok_or(ErrorKind::NotFound)?;
        inner.synced.insert(name.to_owned(), file);
        inner.syncs += 1;
        Ok(())
    }

    fn sync_names(&mut self) -> io::Result<()> {
        let mut inner = self.may()?;
        let files: Vec<String> = inner.files.keys().cloned().collect();
        for name in files {
            inner.synced.entry(name).or_default();
        }
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        let mut inner = self.may()?;
        inner.synced.remove(name);
        inner.files.remove(name).map(drop).ok_or(ErrorKind::NotFound.into())
    }

    fn rename(&mut self, name: &str, new: &str) -> io::Result<()> {
        let mut inner = self.may()?;
        let file = inner.files.remove(name).ok_or(ErrorKind::NotFound)?;
        inner.files.insert(new.to_owned(), file);
        if let Some(synced) = inner.synced.remove(name) {
            inner.synced.insert(new.to_owned(), synced);
        }
        Ok(())
    }
}
