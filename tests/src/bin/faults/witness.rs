// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What Asterisk published, as a subscriber of its own wrote it down (`witness.c`).

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use rig::c_module::compile;
use rig::folder::Folder;
use rig::{Asterisk, Version};

pub(crate) const WITNESS: &str = "res_witness";

/// The module's file.
pub(crate) fn module(version: Version, folder: &Folder) -> PathBuf {
    compile(version, folder, WITNESS, include_str!("witness.c"))
}

/// FNV-1a, as `witness.c` computes it.
pub(crate) fn hash(text: &[u8]) -> u64 {
    let step = |value: u64, byte: &u8| (value ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    text.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// What has been written down so far.
pub(crate) struct Testimony {
    text: String,
}

impl Testimony {
    pub(crate) fn of(asterisk: &Asterisk) -> Self {
        let file = asterisk.folder().join("log/witness");
        let text = fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        Self { text: String::from_utf8_lossy(&text).into_owned() }
    }

    /// How long it is, for [`Testimony::until`].
    pub(crate) fn mark(&self) -> usize {
        self.text.len()
    }

    /// What was written before a mark: lines that are complete.
    pub(crate) fn until(mut self, mark: usize) -> Self {
        self.text.truncate(mark);
        let end = self.text.rfind('\n').map_or(0, |at| at + 1);
        self.text.truncate(end);
        self
    }

    /// The events: hash and the rest of the line.
    fn events(&self) -> impl Iterator<Item = (u64, &str)> {
        self.text.lines().filter_map(|line| {
            let (hash, rest) = line.split_once(' ')?;
            Some((u64::from_str_radix(hash, 16).ok()?, rest))
        })
    }

    pub(crate) fn count(&self) -> u64 {
        self.events().count() as u64
    }

    /// The events that are not among the `received`, by their hashes, and how many of the received
    /// are not among these.
    pub(crate) fn without(&self, received: &[u64]) -> (Vec<&str>, u64) {
        let mut left: HashMap<u64, u32> = HashMap::new();
        for hash in received {
            *left.entry(*hash).or_default() += 1;
        }
        let mut missing = Vec::new();
        for (hash, rest) in self.events() {
            match left.get_mut(&hash) {
                Some(count @ 1..) => *count -= 1,
                _ => missing.push(rest),
            }
        }
        (missing, left.into_values().map(u64::from).sum())
    }
}
