// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What tests need of the world: a host of threads, servers, time.

mod server;

use std::io;
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, ThreadId};
use std::time::{Duration, Instant};

use asterisk::config::{Entry, Section};

use crate::config::{self, Settings};
use crate::threads::{Host, Level, Started, Work};

pub(crate) use server::{Say, Server, answer, ok};

/// Long enough for anything that is going to happen.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// Waits until `condition` holds.
#[track_caller]
pub(crate) fn until(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !condition() {
        assert!(Instant::now() < deadline, "it did not come");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Settings of `[consul]` beside the defaults; `enabled` is of `[general]`.
pub(crate) fn settings(lines: &[(&str, &str)]) -> Settings {
    let section = |name: &str, general: bool| {
        let lines = lines.iter().filter(|(name, _)| (*name == "enabled") == general);
        let entries = lines.map(|(name, value)| Entry {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
            line: 0,
        });
        Section { name: name.into(), file: config::FILE.into(), entries: entries.collect() }
    };
    let sections = [section("general", true), section("consul", false)];
    let read = |path: &str| std::fs::read_to_string(path);
    let (settings, report) = config::parse(&sections, &read, &|_| None);
    assert_eq!((report.errors, report.warnings), (vec![], vec![]));
    settings
}

/// Keeps what is logged.
#[derive(Default)]
pub(crate) struct TestHost(pub(crate) Mutex<Vec<(Level, String)>>);

struct TestThread {
    id: ThreadId,
    handle: Mutex<Option<JoinHandle<()>>>,
}

impl Host for TestHost {
    fn spawn(&self, name: &str, work: Work) -> io::Result<Arc<dyn Started>> {
        let handle = std::thread::Builder::new().name(name.to_owned()).spawn(work)?;
        Ok(Arc::new(TestThread { id: handle.thread().id(), handle: Mutex::new(Some(handle)) }))
    }

    fn log(&self, level: Level, text: &str) {
        self.0.lock().unwrap().push((level, text.to_owned()));
    }
}

impl Started for TestThread {
    fn join_within(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut handle = self.handle.lock().unwrap();
        while handle.as_ref().is_some_and(|handle| !handle.is_finished()) {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        if let Some(handle) = handle.take() {
            handle.join().unwrap();
        }
        true
    }

    fn is_current(&self) -> bool {
        std::thread::current().id() == self.id
    }
}

impl Drop for TestThread {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.lock().unwrap().take() {
            handle.join().unwrap();
        }
    }
}

impl TestHost {
    /// The lines logged so far, with their levels.
    pub(crate) fn lines(&self) -> Vec<(Level, String)> {
        self.0.lock().unwrap().clone()
    }
}
