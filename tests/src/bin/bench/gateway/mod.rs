// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! `bench --gateway`: the gateway beside nginx and beside no proxy at all, and its index with many
//! channels.

// Of the gateway itself, which is a program and no library.
#[allow(dead_code)]
#[path = "../../../../../gateway/src/index/mod.rs"]
mod index;
mod many;
mod nginx;
mod owners;
mod plan;
mod report;
mod site;
mod target;
mod tree;
mod wrk;

use std::io::Write as _;
use std::time::Instant;

use crate::machine::Machine;

pub(crate) use owners::print as print_owners;
pub(crate) use plan::{FULL, Plan, QUICK};
use site::Site;
use target::{Shot, Target};

/// Whether it was measured.
pub(crate) fn run(plan: &'static Plan) -> bool {
    let began = Instant::now();
    let say = |what: &str| {
        println!("{:>5.0} s  {what}", began.elapsed().as_secs_f64());
        let _ = std::io::stdout().flush();
    };
    let machine = Machine::here();
    println!("==> {}: {}", plan.name, machine.line());
    say("the index by itself");
    let owners = owners::measure();
    let site = Site::start();
    say("each once, to warm up");
    for target in Target::ALL {
        site.shoot(target, plan.warm);
    }
    let mut shots = Vec::new();
    for round in 0..plan.rounds {
        say(&format!("round {} of {}: directly, nginx, gateway", round + 1, plan.rounds));
        for target in Target::in_turn(round) {
            shots.push(Shot { round, target, load: site.shoot(target, plan.shot) });
        }
    }
    site.assert_routed_by_index();
    say(&format!("{} nodes with {} channels each", plan.nodes, plan.channels));
    let many = many::measure(plan, &site);
    let summary = report::publish(plan, &machine, &report::Figures { shots, owners, many }, began);
    let (took, limit) = (began.elapsed().as_secs(), plan.limit.as_secs());
    println!("==> {took} s; {}", summary.display());
    if took > limit {
        eprintln!("bench: it took longer than its {limit} s: is the machine busy?");
    }
    true
}
