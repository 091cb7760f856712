// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! `make bench` and `make bench-quick`: what publishing an event costs Asterisk, side by side with a C
//! module that does it as the field does; and `make bench-gateway`, the gateway side by side with nginx.
//! `docs/performance/README.md` says how it is measured.

mod address;
mod apps;
mod bars;
mod bench;
mod calls;
mod climb;
mod cores;
mod fleet;
mod gateway;
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
mod section;
mod sink;
mod spread;
mod tables;
mod threads;
mod turns;
mod wire;

use std::process::ExitCode;
use std::time::Instant;

use rig::Broker;

use crate::bench::Bench;
use crate::kit::Kit;
use crate::machine::Machine;
use crate::plan::Plan;
use crate::section::Section;

const USAGE: &str = "\
usage: bench [--quick] [--only SECTION,…]
       bench --gateway [--quick]

    --gateway   the gateway beside nginx, instead of the modules; two minutes
    --quick     fewer rounds: the modules in four minutes instead of nineteen
    --only      of the modules, only these: bursts, rates, sizes, highest, apps, calls";

/// What is asked for.
enum Work {
    Modules(&'static Plan, Vec<Section>),
    Gateway(&'static gateway::Plan),
    /// Of the gateway's work the part that wants a process of its own.
    Index,
}

fn main() -> ExitCode {
    match work() {
        Some(Work::Index) => {
            gateway::print_owners();
            ExitCode::SUCCESS
        }
        Some(_) => rig::program::run(
            "bench",
            || (),
            || match work() {
                Some(Work::Modules(plan, sections)) => run(plan, &sections),
                Some(Work::Gateway(plan)) => gateway::run(plan),
                _ => false,
            },
        ),
        None => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn work() -> Option<Work> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => Some(Work::Modules(&plan::FULL, Section::ALL.into())),
        ["--quick"] => Some(Work::Modules(&plan::QUICK, Section::ALL.into())),
        ["--only", names] => Some(Work::Modules(&plan::FULL, Section::listed(names)?)),
        ["--quick", "--only", names] => Some(Work::Modules(&plan::QUICK, Section::listed(names)?)),
        ["--gateway"] => Some(Work::Gateway(&gateway::FULL)),
        ["--gateway", "--quick"] => Some(Work::Gateway(&gateway::QUICK)),
        ["--index"] => Some(Work::Index),
        _ => None,
    }
}

/// Whether it was measured; what the figures are is another matter, and is said beside them.
fn run(plan: &'static Plan, sections: &[Section]) -> bool {
    let began = Instant::now();
    let machine = Machine::here();
    println!("==> {}: {}", plan.name, machine.line());
    let kit = Kit::make();
    let broker = Broker::own();
    let tenant = broker.tenant();
    let mut bench = Bench::set(plan, sections, &kit, &tenant);
    rounds::run(&mut bench);
    if bench.wants(Section::Apps) {
        apps::run(&mut bench);
    }
    if bench.wants(Section::Calls) {
        calls::run(&mut bench);
    }
    let Bench { samples, .. } = bench;
    let took = began.elapsed();
    let summary = report::publish(plan, sections, &machine, samples, took);
    let (took, limit) = (took.as_secs(), plan.limit.as_secs());
    println!("==> {} min {} s; {}", took / 60, took % 60, summary.display());
    if took > limit {
        eprintln!("bench: it took longer than its {} minutes: is the machine busy?", limit / 60);
    }
    true
}
