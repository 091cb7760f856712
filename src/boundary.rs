// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The one way in from C: every function that Asterisk calls runs inside [`guard`].
//!
//! A panic that unwound into C would abort the process, and every call on it with it. So it is
//! caught here, logged with its place, and turned into the value that the host takes for failure.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};

use crate::log::{self, Level};

/// Runs `work` and returns its value, or `failure` if it panics. May be called on any thread.
///
/// The panic is logged as ERROR with file and line by the hook that [`install_hook`] sets.
/// `AssertUnwindSafe` is right because the modules' locks ignore poison on purpose: a value half
/// changed by a panic is still a valid value, and refusing it would turn one lost event into all.
pub fn guard<T>(failure: T, work: impl FnOnce() -> T) -> T {
    match panic::catch_unwind(AssertUnwindSafe(work)) {
        Ok(value) => value,
        Err(payload) => {
            discard(payload);
            failure
        }
    }
}

/// Drops what a panic carried. Its own drop may panic as well, which must not leave either.
fn discard(payload: Box<dyn Any + Send>) {
    if let Err(again) = panic::catch_unwind(AssertUnwindSafe(move || drop(payload))) {
        // A second payload that panics when dropped is no longer worth a memory leak's absence.
        Box::leak(again);
    }
}

/// Makes every panic of this module one line in Asterisk's log instead of text on stderr, which a
/// daemon does not have. Each module has its own standard library, so hooks do not clash.
pub fn install_hook() {
    panic::set_hook(Box::new(report));
}

/// Gives the default hook back. To be called before the module is unmapped, so that the boxed hook
/// is freed.
pub fn remove_hook() {
    drop(panic::take_hook());
}

fn report(info: &PanicHookInfo<'_>) {
    let message = text_of(info.payload()).unwrap_or("a panic without a message");
    let (file, line) = info.location().map_or(("unknown", 0), |place| (place.file(), place.line()));
    log::emit(
        Level::Error,
        file,
        line,
        "panic",
        format_args!("internal error, caught: {message} ({file}:{line})"),
    );
}

fn text_of(payload: &(dyn Any + Send)) -> Option<&str> {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
}
