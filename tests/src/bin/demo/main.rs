// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! `make demo`, `make up`, `make call`, `make watch`, `make down`: the whole system on one machine.

mod background;
mod call;
mod cast;
mod leaflet;
mod places;
mod print;
mod stage;
mod story;

use std::process::ExitCode;

const USAGE: &str = "\
usage: demo demo         the whole system, people who call, a drain, a kill; end it all
       demo up           start the system and leave it running: NODES, from 1 to 8, in the environment
       demo call         call what `up` started: NUMBER, TONE, SECONDS in the environment
       demo watch        show the events of what `up` started, as they come
       demo down         end what `up` started";

fn main() -> ExitCode {
    let nothing: fn() = || ();
    let (run, at_end): (fn() -> bool, fn()) = match std::env::args().nth(1).as_deref() {
        Some("demo") => (story::run, nothing),
        Some("up") => (background::up, nothing),
        Some("serve") => (background::serve, background::forget),
        Some("call") => (call::run, call::hang_up),
        Some("watch") => (background::watch, nothing),
        Some("down") => (background::down, nothing),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    rig::program::run("demo", at_end, run)
}
