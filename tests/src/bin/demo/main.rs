// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! `make demo`, `make up`, `make down`: see the modules work, with real servers and a real call.

mod background;
mod performance;
mod print;
mod stage;

use std::process::ExitCode;

const USAGE: &str = "\
usage: demo demo    start RabbitMQ, Consul, Asterisk 22 and a phone, show a node and one call's
                    events, end it all
       demo up      start the servers and leave them running
       demo watch   show the events of the servers that `up` started, as they come
       demo down    end the servers that `up` started";

fn main() -> ExitCode {
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
    rig::program::run("demo", background::forget, run)
}
