// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! `make demo`, `make up`, `make down`: see the modules work, with real servers and a real call.

mod background;
mod performance;
mod print;
mod stage;

use std::process::{ExitCode, exit};
use std::sync::atomic::{AtomicBool, Ordering};

const USAGE: &str = "\
usage: demo demo    start RabbitMQ, Consul, Asterisk 22 and a phone, show a node and one call's
                    events, end it all
       demo up      start the servers and leave them running
       demo watch   show the events of the servers that `up` started, as they come
       demo down    end the servers that `up` started";

/// Set when a signal ends us.
static ENDING: AtomicBool = AtomicBool::new(false);

fn main() -> ExitCode {
    // The rig fails by panics that say it all in a sentence.
    std::panic::set_hook(Box::new(|panic| {
        while ENDING.load(Ordering::Relaxed) {
            // The servers are being killed: what fails by that is no news, and exit is near.
            std::thread::park();
        }
        let payload = panic.payload();
        let message = payload.downcast_ref::<String>().map(String::as_str);
        let message = message.or(payload.downcast_ref::<&str>().copied()).unwrap_or("failed");
        // The reader of a pipe has enough: no news either.
        if !message.starts_with("failed printing to stdout") {
            eprintln!("demo: {message}");
        }
    }));
    let run: fn() -> bool = match std::env::args().nth(1).as_deref() {
        Some("demo") => performance::run,
        Some("up") => background::up,
        Some("serve") => background::serve,
        Some("watch") => background::watch,
        Some("down") => background::down,
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    end_with_servers_on_signal();
    match std::panic::catch_unwind(run) {
        Ok(true) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn end_with_servers_on_signal() {
    ctrlc::set_handler(|| {
        ENDING.store(true, Ordering::Relaxed);
        rig::process::end_all();
        background::forget();
        eprintln!("\ndemo: interrupted; all servers have ended");
        exit(130);
    })
    .unwrap_or_else(|error| panic!("no handler for signals: {error}"));
}
