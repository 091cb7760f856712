// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Keeps lapin's thread from getting in the way of the worker's, and the other way round.
//!
//! lapin wakes its thread at each message. Running beside us then, that thread takes the first few,
//! writes them, and fights with us for lapin's locks and the allocator's over the rest. So while
//! a batch is handed over it waits at the gate; and it runs on the processor that we handed over on,
//! where what we have made is in the cache.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::thread::{CpuSet, Pid, gettid, sched_getaffinity, sched_getcpu, sched_setaffinity};

#[derive(Default)]
struct Shared {
    shut: Mutex<()>,
    /// Who passes it.
    thread: OnceLock<Pid>,
}

#[derive(Clone, Default)]
pub(super) struct Gate(Arc<Shared>);

impl Gate {
    /// Shuts it, for as long as a batch is being handed over.
    pub(super) fn shut(&self) -> MutexGuard<'_, ()> {
        self.0.shut.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it is open. Called on lapin's thread.
    pub(super) fn pass(&self) {
        self.0.thread.get_or_init(gettid);
        drop(self.shut());
    }
}

/// Where lapin's thread may run.
pub(super) struct Company {
    gate: Gate,
    /// The processor it is kept on.
    kept: Option<usize>,
}

impl Company {
    pub(super) fn new(gate: Gate) -> Self {
        Self { gate, kept: None }
    }

    /// Brings lapin's thread to the processor that the calling one is on. The scheduler moves that
    /// one as it likes, so both are wherever there is time for them.
    pub(super) fn come(&mut self) {
        let here = sched_getcpu();
        if self.kept == Some(here) || here >= CpuSet::MAX_CPU {
            return;
        }
        let mut only = CpuSet::new();
        only.set(here);
        self.kept = self.allow(&only).then_some(here);
    }

    /// False where the system does not let us, which costs time and nothing else.
    fn allow(&self, processors: &CpuSet) -> bool {
        let thread = self.gate.0.thread.get();
        thread.is_some_and(|thread| sched_setaffinity(Some(*thread), processors).is_ok())
    }
}

impl Drop for Company {
    /// Lets it run wherever the calling thread may.
    fn drop(&mut self) {
        if self.kept.is_some()
            && let Ok(all) = sched_getaffinity(None)
        {
            self.allow(&all);
        }
    }
}
