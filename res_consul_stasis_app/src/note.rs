// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What pure code has to log.

/// A line for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    Error(String),
    Warning(String),
    Notice(String),
}

impl Note {
    pub(crate) fn log(self) {
        match self {
            Self::Error(text) => asterisk::error!("{text}"),
            Self::Warning(text) => asterisk::warning!("{text}"),
            Self::Notice(text) => asterisk::notice!("{text}"),
        }
    }
}
