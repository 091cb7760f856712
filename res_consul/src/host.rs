// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Asterisk, as this module's threads want it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use asterisk::thread::{self, Thread};

use crate::threads::{Host, Level, Started, Work};

/// The Asterisk that this module is loaded into.
pub(crate) struct Asterisk;

impl Started for Thread {
    fn join_within(&self, limit: Duration) -> bool {
        Self::join_within(self, limit)
    }

    fn is_current(&self) -> bool {
        Self::is_current(self)
    }
}

impl Host for Asterisk {
    fn spawn(&self, name: &str, work: Work) -> io::Result<Arc<dyn Started>> {
        Ok(Arc::new(thread::spawn(name, work)?))
    }

    fn log(&self, level: Level, text: &str) {
        match level {
            Level::Debug => asterisk::debug!(1, "{text}"),
            Level::Notice => asterisk::notice!("{text}"),
            Level::Warning => asterisk::warning!("{text}"),
            Level::Error => asterisk::error!("{text}"),
        }
    }
}
