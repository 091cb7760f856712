// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What this module wants of its host: threads, and a log. Passed in, so that everything but
//! `host.rs` can be tested without Asterisk.

use std::io;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use asterisk::log::Level;

/// What a thread does.
pub(crate) type Work = Box<dyn FnOnce() + Send>;

/// A thread that was started. Dropping the last of it waits for its end.
pub(crate) trait Started: Send + Sync {
    /// Waits up to `limit` for its end; `false` if it still runs.
    fn join_within(&self, limit: Duration) -> bool;

    /// Whether this is called on the thread itself.
    fn is_current(&self) -> bool;
}

/// The host.
pub(crate) trait Host: Send + Sync + 'static {
    /// Starts a thread. Any thread may ask.
    fn spawn(&self, name: &str, work: Work) -> io::Result<Arc<dyn Started>>;

    /// Writes one line to the log.
    fn log(&self, level: Level, text: &str);
}
