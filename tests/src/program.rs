// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Programs that hold servers: a failure is one sentence, and a signal ends the servers too.

use std::panic::catch_unwind;
use std::process::{ExitCode, exit};
use std::sync::atomic::{AtomicBool, Ordering};

/// Set when a signal ends us.
static ENDING: AtomicBool = AtomicBool::new(false);

/// Runs `work` as the program `name`. What it panics with is printed as the reason of its failure.
/// At a signal all servers are ended, then `at_end` is called.
///
/// # Panics
///
/// When signals cannot be caught.
pub fn run(name: &'static str, at_end: fn(), work: fn() -> bool) -> ExitCode {
    std::panic::set_hook(Box::new(move |panic| {
        while ENDING.load(Ordering::Relaxed) {
            // The servers are being killed: what fails by that is no news, and exit is near.
            std::thread::park();
        }
        let payload = panic.payload();
        let message = payload.downcast_ref::<String>().map(String::as_str);
        let message = message.or(payload.downcast_ref::<&str>().copied()).unwrap_or("failed");
        // The reader of a pipe has enough: no news either.
        if !message.starts_with("failed printing to stdout") {
            eprintln!("{name}: {message}");
        }
    }));
    ctrlc::set_handler(move || {
        ENDING.store(true, Ordering::Relaxed);
        crate::process::end_all();
        at_end();
        eprintln!("\n{name}: interrupted; all that it started has ended");
        exit(130);
    })
    .unwrap_or_else(|error| panic!("no handler for signals: {error}"));
    let worked = catch_unwind(work);
    // What it held has gone with it; the folder that all of it was in is left.
    crate::process::end_all();
    match worked {
        Ok(true) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
