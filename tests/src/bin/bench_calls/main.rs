// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! `make bench-calls`: the whole system under calls, and a fleet of a thousand nodes.
//! `docs/performance/README.md` says how it is measured.

mod ari;
mod held;
#[path = "../bench/latency.rs"]
mod latency;
#[path = "../bench/machine.rs"]
mod machine;
#[path = "../bench/picture.rs"]
mod picture;
mod plan;
mod plots;
mod rates;
mod report;
mod simulated;
#[path = "../bench/spread.rs"]
mod spread;
mod system;
mod thousand;
mod times;
mod usage;
mod wide;

use std::process::ExitCode;
use std::time::Instant;

use rig::Broker;

use crate::machine::Machine;
use crate::plan::Plan;
use crate::rates::Step;
use crate::report::Figures;
use crate::system::System;

const USAGE: &str = "\
usage: bench-calls [--quick] [calls|wide|thousand]

    --quick    fewer nodes, rates and calls, in four minutes instead of fifteen
    calls      only calls to two and more nodes; nothing is written
    wide       only the 25 nodes; nothing is written
    thousand   only the 1,000 nodes; nothing is written";

/// What is measured.
#[derive(Clone, Copy)]
enum Scope {
    All,
    Calls,
    Wide,
    Thousand,
}

fn main() -> ExitCode {
    match asked() {
        Some(_) => rig::program::run(
            "bench-calls",
            || (),
            || asked().is_some_and(|(plan, scope)| run(plan, scope)),
        ),
        None => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn asked() -> Option<(&'static Plan, Scope)> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (plan, rest) = match arguments.as_slice() {
        ["--quick", rest @ ..] => (&plan::QUICK, rest),
        rest => (&plan::FULL, rest),
    };
    match rest {
        [] => Some((plan, Scope::All)),
        ["calls"] => Some((plan, Scope::Calls)),
        ["wide"] => Some((plan, Scope::Wide)),
        ["thousand"] => Some((plan, Scope::Thousand)),
        _ => None,
    }
}

/// Whether it was measured; what the figures are is another matter.
fn run(plan: &'static Plan, scope: Scope) -> bool {
    let began = Instant::now();
    let machine = Machine::here();
    println!("==> {}: {}", plan.name, machine.line());
    let say = |what: &str| println!("{:>5.0} s  {what}", began.elapsed().as_secs_f64());
    let broker = Broker::own();
    let calls = || under_calls(plan, &broker, &say);
    let wide = || {
        say("25 nodes");
        wide::run(plan, &broker)
    };
    let thousand = || {
        say("1,000 nodes");
        thousand::run(plan, &broker)
    };
    match scope {
        Scope::All => {}
        Scope::Calls => {
            println!("{:#?}", calls());
            return true;
        }
        Scope::Wide => {
            println!("{:#?}", wide());
            return true;
        }
        Scope::Thousand => {
            println!("{:#?}", thousand());
            return true;
        }
    }
    let ((rates, held), wide, thousand) = (calls(), wide(), thousand());
    let figures = Figures { rates, held, wide, thousand };
    let took = began.elapsed();
    let summary = report::publish(plan, &machine, &figures, took);
    let (took, limit) = (took.as_secs(), plan.limit.as_secs());
    println!("==> {} min {} s; {}", took / 60, took % 60, summary.display());
    if took > limit {
        eprintln!("bench-calls: more than its {} minutes: is the machine busy?", limit / 60);
    }
    true
}

fn under_calls(plan: &Plan, broker: &Broker, say: &dyn Fn(&str)) -> (Vec<Step>, Vec<held::Held>) {
    let mut rates: Vec<Step> = Vec::new();
    let mut system: Option<System<'_>> = None;
    for nodes in plan.fleets {
        say(&format!("calls to {nodes} nodes"));
        let system = match &mut system {
            Some(system) => {
                system.grow(*nodes);
                system
            }
            none => none.insert(System::start(broker, *nodes)),
        };
        rates.extend(rates::run(plan, system));
    }
    let Some(system) = system else { return (rates, Vec::new()) };
    // With some room: that they are set up is measured above.
    let borne = rates.iter().filter(|step| step.is_borne() && step.nodes == system.nodes.len());
    let rate = (borne.map(|step| step.rate).max().unwrap_or(0) / 2).max(5);
    say(&format!("calls at once, {rate} a second"));
    let held = held::run(plan, &system, rate);
    (rates, held)
}
