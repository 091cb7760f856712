// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A server that a test stops and starts again: its process, which comes and goes.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::process::{Process, Signal, tail};
use crate::root::Inside;

/// The server of one name; what it prints goes to one file over all its lives.
#[derive(Debug)]
pub(crate) struct Server {
    name: &'static str,
    printed: PathBuf,
    process: Mutex<Option<Arc<Process>>>,
}

impl Server {
    /// One that has not been started yet.
    pub(crate) fn new(name: &'static str, printed: PathBuf) -> Self {
        Self { name, printed, process: Mutex::new(None) }
    }

    /// Starts it and returns at once; panics when it runs.
    #[track_caller]
    pub(crate) fn start(&self, program: Inside) {
        let mut process = self.last();
        let runs = process.as_ref().is_some_and(|process| process.ended().is_none());
        assert!(!runs, "{} runs", self.name);
        *process = Some(Arc::new(program.spawn(self.name, &self.printed)));
    }

    /// Panics when it has ended, with the end of `log`: for a wait until it serves.
    #[track_caller]
    pub(crate) fn assert_runs(&self, log: impl Fn() -> String) {
        if let Some(status) = self.last().as_ref().and_then(|process| process.ended()) {
            panic!("{} ended while starting ({status}):\n{}", self.name, tail(&log(), 30));
        }
    }

    /// Its process, while it runs.
    pub(crate) fn running(&self) -> Option<Arc<Process>> {
        self.last().clone().filter(|process| process.ended().is_none())
    }

    /// Its process; panics when it was never started. It may have ended.
    #[track_caller]
    pub(crate) fn process(&self) -> Arc<Process> {
        self.last().clone().unwrap_or_else(|| panic!("{} was never started", self.name))
    }

    /// What it has printed, in all its lives.
    pub(crate) fn printed(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.printed).unwrap_or_default()).into_owned()
    }

    /// Sends it a signal; nothing happens when it does not run.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(process) = self.running() {
            process.signal(signal);
        }
    }

    /// Stops it in order (SIGTERM) and waits for the end; panics when that does not come `within`.
    #[track_caller]
    pub(crate) fn stop(&self, within: Duration) {
        if let Some(process) = self.running() {
            process.signal(Signal::TERM);
            process.wait(within);
        }
    }

    /// Waits for the end that it was told to come to in another way.
    #[track_caller]
    pub(crate) fn wait(&self, within: Duration) {
        if let Some(process) = self.running() {
            process.wait(within);
        }
    }

    /// Kills it (SIGKILL) and waits.
    pub(crate) fn kill(&self) {
        if let Some(process) = self.running() {
            process.kill();
        }
    }

    fn last(&self) -> MutexGuard<'_, Option<Arc<Process>>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A test may hold its process still.
        self.kill();
    }
}
