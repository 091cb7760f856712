// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! `make bench` and `make bench-quick`: what publishing an event costs Asterisk, side by side with a C
//! module that does it as the field does. `docs/performance/README.md` says how it is measured.

mod address;
mod apps;
mod bars;
mod bench;
mod calls;
mod climb;
mod cores;
mod kit;
mod latency;
mod listener;
mod load;
mod machine;
mod measure;
mod mode;
mod node;
mod picture;
mod plan;
mod plots;
mod report;
mod results;
mod rounds;
mod sample;
mod sink;
mod spread;
mod tables;
mod wire;

use std::process::ExitCode;
use std::time::Instant;

use rig::Broker;

use crate::bench::Bench;
use crate::kit::Kit;
use crate::machine::Machine;
use crate::plan::Plan;

const USAGE: &str = "\
usage: bench [--quick]

    --quick   fewer rounds, in four minutes instead of twenty";

fn main() -> ExitCode {
    match plan() {
        Some(_) => rig::program::run("bench", || (), || plan().is_some_and(run)),
        None => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn plan() -> Option<&'static Plan> {
    match std::env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => Some(&plan::FULL),
        [quick] if quick == "--quick" => Some(&plan::QUICK),
        _ => None,
    }
}

/// Whether it was measured; what the figures are is another matter, and is said beside them.
fn run(plan: &'static Plan) -> bool {
    let began = Instant::now();
    let machine = Machine::here();
    println!("==> {}: {}", plan.name, machine.line());
    let kit = Kit::make();
    let broker = Broker::own();
    let tenant = broker.tenant();
    let mut bench = Bench::set(plan, &kit, &tenant);
    rounds::run(&mut bench);
    apps::run(&mut bench);
    calls::run(&mut bench);
    let Bench { samples, .. } = bench;
    let took = began.elapsed();
    let summary = report::publish(plan, &machine, samples, took);
    let (took, limit) = (took.as_secs(), plan.limit.as_secs());
    println!("==> {} min {} s; {}", took / 60, took % 60, summary.display());
    if took > limit {
        eprintln!("bench: it took longer than its {} minutes: is the machine busy?", limit / 60);
    }
    true
}
