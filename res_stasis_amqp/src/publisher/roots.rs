// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What outlives a connection: threads that nobody can join, or not yet.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use lapin::Connection;
use tokio::runtime::Runtime;

use super::resolve::Resolver;
use super::threads::{Enrol, Leftover};

/// Kept for the life of the worker, at whose end all of it must be gone.
pub(super) struct Roots {
    pub(super) enrol: Enrol,
    pub(super) resolver: Resolver,
    pub(super) threads: Leftover,
    /// Connections whose thread had not ended in time.
    lingering: Vec<Connection>,
}

impl Roots {
    pub(super) fn new(enrol: Enrol) -> Self {
        Self {
            enrol,
            resolver: Resolver::new(enrol),
            threads: Leftover::default(),
            lingering: Vec::new(),
        }
    }

    /// Takes a connection whose work is `over`, or is not but should be.
    pub(super) fn keep(&mut self, connection: Connection, over: bool) {
        match over {
            true => join(connection),
            false => self.lingering.push(connection),
        }
    }

    /// Ends what is left of connections and look-ups, and tells which threads it could not end by
    /// the deadline. The runtime goes first: that ends whatever lapin still does.
    pub(super) fn end(mut self, runtime: Runtime, deadline: Instant) -> Leftover {
        drop(runtime);
        self.lingering.drain(..).for_each(join);
        self.resolver.leave(&mut self.threads);
        self.threads.wait(deadline);
        self.threads
    }
}

fn join(connection: Connection) {
    // lapin resumes its thread's panic here. That connection is over either way.
    let _ = catch_unwind(AssertUnwindSafe(|| connection.run()));
}
