// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The gateway's figures: the terminal, `target/bench/gateway.json`, and after a full run
//! `docs/performance/gateway.md`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Instant;

use rig::root::{Root, checkout};
use serde_json::{Value, json};

use super::many::Many;
use super::plan::{self, Plan};
use super::target::{Load, Shot, Target};
use crate::bars::Bar;
use crate::machine::Machine;
use crate::report::{spread_json, write};
use crate::spread::Spread;

pub(super) struct Figures {
    pub(super) shots: Vec<Shot>,
    /// As the index's own process has told them.
    pub(super) owners: Value,
    pub(super) many: Many,
}

type Figure = fn(&Load) -> Option<f64>;

/// Name, and how many digits it is shown with.
const FIGURES: [(&str, usize, Figure); 4] = [
    ("requests/s", 0, |load| Some(load.rate())),
    ("p50, µs", 0, |load| Some(load.p50)),
    ("p99, µs", 0, |load| Some(load.p99)),
    ("CPU of the proxy a request, µs", 1, |load| load.cpu),
];

impl Figures {
    fn spread(&self, target: Target, figure: Figure) -> Option<Spread> {
        let of_target = self.shots.iter().filter(|shot| shot.target == target);
        Spread::of(of_target.filter_map(|shot| figure(&shot.load)))
    }

    /// The gateway's to nginx's, each round by itself.
    fn ratio(&self, figure: Figure) -> Option<Spread> {
        let of = |target, round| {
            let shot = self.shots.iter().find(|shot| shot.target == target && shot.round == round);
            figure(&shot?.load)
        };
        let rounds = self.shots.iter().map(|shot| shot.round).max().map_or(0, |last| last + 1);
        Spread::of(
            (0..rounds)
                .filter_map(|round| Some(of(Target::Gateway, round)? / of(Target::Nginx, round)?)),
        )
    }

    fn bars(&self) -> Vec<Bar> {
        let [rate, p50, p99, _] =
            FIGURES.map(|(_, _, figure)| self.ratio(figure).map(|spread| spread.median));
        vec![
            Bar::at_least("gateway: requests/s, × nginx", 0.7, rate),
            Bar::at_most("gateway: p50, × nginx", 1.5, p50),
            Bar::at_most("gateway: p99, × nginx", 1.5, p99),
        ]
    }

    fn text(&self, plan: &Plan) -> String {
        let mut text = String::new();
        let columns: String =
            Target::ALL.iter().map(|target| format!("{:>24}", target.title())).collect();
        let head = "median (lowest–highest of the rounds)";
        line(&mut text, &format!("\n{head:<38}{columns}{:>22}", "gateway × nginx"));
        for (name, digits, figure) in FIGURES {
            let cell = |spread: Option<Spread>, digits: usize| {
                spread.map_or("-".to_owned(), |spread| format!("{spread:.digits$}"))
            };
            let cells: String = Target::ALL
                .iter()
                .map(|target| format!("{:>24}", cell(self.spread(*target, figure), digits)))
                .collect();
            let ratio = cell(self.ratio(figure), 2);
            line(&mut text, &format!("  {name:<36}{cells}{ratio:>22}"));
        }
        self.owners(&mut text);
        self.many(&mut text, plan);
        line(&mut text, "\nwhat must hold");
        for bar in self.bars() {
            line(&mut text, &format!("  {}", bar.line()));
        }
        text
    }

    fn owners(&self, text: &mut String) {
        let owners = &self.owners;
        let [channels, nodes] = ["channels", "nodes"].map(|name| &owners[name]);
        line(text, &format!("\nthe index by itself, {channels} channels of {nodes} nodes"));
        row(text, "bytes a channel, with its id", &owners["bytes_a_channel"].to_string());
        row(text, "MiB in all", &mebibytes(owners["bytes"].as_u64().unwrap_or_default()));
        for (name, key) in [
            ("a look, ns", "look_ns"),
            ("a look while all is read anew, ns", "look_while_read_ns"),
            ("a new channel, ns", "learn_ns"),
            ("an ended channel, ns", "forget_ns"),
        ] {
            let [p50, p99, max] = ["p50", "p99", "max"].map(|part| &owners[key][part]);
            row(text, name, &format!("p50 {p50}, p99 {p99}, max {max}"));
        }
        let times = owners["read_all_ms"].as_array().into_iter().flatten();
        if let Some(spread) = Spread::of(times.filter_map(Value::as_f64)) {
            row(text, "all read anew, ms", &format!("{spread:.1}"));
        }
    }

    fn many(&self, text: &mut String, plan: &Plan) {
        let Many { start_ms, read_ms, memory, quiet, busy } = &self.many;
        let [small, all, peak] = memory.map(mebibytes);
        line(text, &format!("\na gateway, {} nodes of {} channels", plan.nodes, plan.channels));
        row(text, "from its start until all are read, ms", &format!("{start_ms:.0}"));
        row(text, "all read anew, ms", &format!("{read_ms:.0}"));
        row(text, "its memory with two nodes, MiB", &small);
        row(text, "its memory with all, MiB", &format!("{all}, at most {peak}"));
        for (name, load) in [("requests meanwhile: none", quiet), ("all the time", busy)] {
            let Load { p50, p99, .. } = load;
            let rate = load.rate();
            row(text, name, &format!("{rate:.0} requests/s, p50 {p50:.0} µs, p99 {p99:.0} µs"));
        }
    }

    fn json(&self) -> Value {
        let ratios = FIGURES
            .map(|(name, _, figure)| (name.to_owned(), self.ratio(figure).map(spread_json).into()));
        json!({
            "ratios_to_nginx": Value::Object(ratios.into_iter().collect()),
            "bars": self.bars().iter().map(Bar::json).collect::<Value>(),
            "index": self.owners,
            "many_nodes": self.many.json(),
            "samples": self.shots.iter().map(|shot| {
                let mut sample = shot.load.json();
                sample["round"] = shot.round.into();
                sample["target"] = shot.target.title().into();
                sample
            }).collect::<Value>(),
        })
    }
}

/// Prints and writes everything; where the summary is.
pub(super) fn publish(
    plan: &Plan,
    machine: &Machine,
    figures: &Figures,
    began: Instant,
) -> PathBuf {
    let text = figures.text(plan);
    println!("{text}");
    let [asterisk, nginx, wrk] = [
        Root::Testing.version("asterisk"),
        Root::Clients.version("nginx"),
        Root::Clients.version("wrk"),
    ];
    let setting = format!(
        "{}; Asterisk {asterisk}, nginx {nginx}, wrk {wrk}; {} rounds of {} s",
        machine.line(),
        plan.rounds,
        plan.shot.as_secs(),
    );
    println!("{setting}");
    let mut summary = json!({
        "run": plan.name,
        "rounds": plan.rounds,
        "took_s": began.elapsed().as_secs(),
        "machine": machine.json(),
        "asterisk": asterisk,
        "nginx": nginx,
        "wrk": wrk,
    });
    if let (Some(summary), Value::Object(more)) = (summary.as_object_mut(), figures.json()) {
        summary.extend(more);
    }
    let summary = serde_json::to_string_pretty(&summary).unwrap_or_default() + "\n";
    if plan.name == plan::FULL.name {
        let page = format!(
            "# The gateway: figures of the last full run\n\n{setting}.\n\nWritten by \
             `make bench-gateway`; [README.md](README.md#the-gateway) says what they are.\n\n\
             ```{text}```\n"
        );
        write(&checkout().join("docs/performance"), "gateway.md", &page);
    }
    write(&checkout().join("target/bench"), "gateway.json", &summary)
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / f64::from(1 << 20))
}

fn row(text: &mut String, name: &str, value: &str) {
    line(text, &format!("  {name:<42}{value}"));
}

fn line(text: &mut String, line: &str) {
    // A string takes everything.
    let _ = writeln!(text, "{}", line.trim_end());
}
