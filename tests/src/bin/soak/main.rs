// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! `make soak MINUTES=n`: Asterisk with the four modules under events, calls and a fault a minute,
//! and what that does to its memory, threads and files in the long run.

mod fault;
mod figures;
mod load;
mod run;
mod servers;
mod slope;

use std::process::ExitCode;

const USAGE: &str = "usage: soak MINUTES [EVENTS A SECOND]";

fn main() -> ExitCode {
    match plan() {
        Some(_) => rig::program::run("soak", || (), || plan().is_some_and(run::run)),
        None => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// What was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// How long; a fault is injected in each minute but the first.
    pub(crate) minutes: usize,
    /// Events a second.
    pub(crate) rate: u32,
}

fn plan() -> Option<Plan> {
    let mut words = std::env::args().skip(1);
    let minutes = words.next()?.parse().ok().filter(|minutes| *minutes > 0)?;
    let rate = words.next().map_or(Some(500), |word| word.parse().ok());
    Some(Plan { minutes, rate: rate.filter(|rate| *rate > 0)? })
}
