// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A module that watches the keys below `one/` and `two/`, and does in the watches' callbacks what
//! they must never do: with the value `panic` of a key it panics, with `hold` it waits until
//! `watcher release`. `watcher linger` is a command that takes its time. `tests/suite/boundary.rs`
//! loads it.

#![forbid(unsafe_code)]

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use asterisk::cli::{Command, Commands, Outcome, no_completion};
use asterisk::consul::{Pair, Watch};
use asterisk::module::Module;

asterisk::module!(Watcher);

/// Longest wait of a callback that holds.
const LONGEST: Duration = Duration::from_secs(30);

static RELEASED: Mutex<bool> = Mutex::new(false);
static RELEASE: Condvar = Condvar::new();

struct Watcher {
    parts: Mutex<Option<Parts>>,
}

/// Dropped in this order at unload, which waits for the callbacks: until then they can be released.
struct Parts {
    _watches: [Watch; 2],
    _commands: Commands,
}

impl Module for Watcher {
    fn load() -> Result<Self, String> {
        Ok(Self { parts: Mutex::new(None) })
    }

    fn start(&self) -> Result<(), String> {
        let watches = [watch("one/")?, watch("two/")?];
        let parts = Parts { _watches: watches, _commands: Commands::register(&COMMANDS)? };
        *self.parts.lock().unwrap_or_else(PoisonError::into_inner) = Some(parts);
        Ok(())
    }

    fn reload(&self) -> Result<(), String> {
        Ok(())
    }

    fn unload(&self) -> Result<(), String> {
        drop(self.parts.lock().unwrap_or_else(PoisonError::into_inner).take());
        Ok(())
    }

    fn shutdown(&self) {}
}

fn watch(prefix: &'static str) -> Result<Watch, String> {
    Watch::new(prefix, move |pairs| changed(prefix, pairs))
}

fn changed(prefix: &str, pairs: &[Pair<'_>]) {
    for pair in pairs {
        asterisk::notice!("{} is '{}'", pair.key, String::from_utf8_lossy(pair.value));
    }
    asterisk::notice!("{prefix} has {} keys", pairs.len());
    if pairs.iter().any(|pair| pair.value == b"panic") {
        on_purpose(prefix);
    }
    if pairs.iter().any(|pair| pair.value == b"hold") {
        hold(prefix);
    }
}

#[expect(clippy::panic, reason = "what this module is for")]
fn on_purpose(prefix: &str) {
    panic!("on purpose, in the watch of {prefix}");
}

fn hold(prefix: &str) {
    asterisk::notice!("{prefix} is held");
    let released = RELEASED.lock().unwrap_or_else(PoisonError::into_inner);
    let waited = RELEASE.wait_timeout_while(released, LONGEST, |released| !*released);
    *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
    asterisk::notice!("{prefix} is released");
}

static COMMANDS: [Command; 2] = [
    Command {
        words: "watcher release",
        summary: "Let the callback that holds return",
        usage: "Usage: watcher release\n",
        run: |_, _| {
            *RELEASED.lock().unwrap_or_else(PoisonError::into_inner) = true;
            RELEASE.notify_all();
            Outcome::Done
        },
        complete: no_completion,
    },
    Command {
        words: "watcher linger",
        summary: "Return after a second",
        usage: "Usage: watcher linger\n",
        run: |_, output| {
            asterisk::notice!("a command lingers");
            std::thread::sleep(Duration::from_secs(1));
            output.line(format_args!("lingered"));
            Outcome::Done
        },
        complete: no_completion,
    },
];
