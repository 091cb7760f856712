// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What is counted.

/// What has been counted since the load.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Requests made.
    pub requests: u64,
    /// Those without an answer that could be used.
    pub failures: u64,
    /// Those that Consul refused the token for.
    pub refusals: u64,
    /// How often Consul was found again.
    pub reconnects: u64,
    /// How often another token has come to apply.
    pub logins: u64,
    /// Answers to watches.
    pub wakeups: u64,
    /// Those with which something had changed.
    pub changes: u64,
    /// Queries of watches that were held back.
    pub limited: u64,
}

impl Counters {
    /// By name, for the CLI.
    pub(crate) fn values(&self) -> [(&'static str, u64); 8] {
        [
            ("requests", self.requests),
            ("failures", self.failures),
            ("refusals", self.refusals),
            ("reconnects", self.reconnects),
            ("changes of token", self.logins),
            ("watch wake-ups", self.wakeups),
            ("changes delivered", self.changes),
            ("limited", self.limited),
        ]
    }
}
