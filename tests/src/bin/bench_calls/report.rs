// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Where the figures go: the terminal, `target/bench/`, and after a full run `docs/performance/`.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rig::root::{Root, checkout};
use serde_json::{Map, Value, json};

use crate::held::Held;
use crate::latency::Latency;
use crate::machine::Machine;
use crate::plan::{self, Plan};
use crate::plots;
use crate::rates::Step;
use crate::thousand::Thousand;
use crate::wide::Wide;

/// All that was measured.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) rates: Vec<Step>,
    pub(crate) held: Vec<Held>,
    pub(crate) wide: Wide,
    pub(crate) thousand: Thousand,
}

/// Prints and writes everything; where the summary is.
///
/// # Panics
///
/// When a file cannot be written.
pub(crate) fn publish(
    plan: &Plan,
    machine: &Machine,
    figures: &Figures,
    took: Duration,
) -> PathBuf {
    let tables = tables(figures);
    println!("{tables}");
    let setting = format!(
        "{}; Asterisk {}, Kamailio {}, RabbitMQ {}, Consul {}; {}",
        machine.line(),
        Root::Testing.version("asterisk"),
        Root::Testing.version("kamailio"),
        Root::Testing.version("rabbitmq-server"),
        Root::Bullseye.version("consul"),
        plan.name,
    );
    println!("{setting}");
    let folder = checkout().join("target/bench");
    let summary = json!({
        "run": plan.name,
        "took_s": took.as_secs(),
        "machine": machine.json(),
        "rates": figures.rates.iter().map(Step::json).collect::<Value>(),
        "held": figures.held.iter().map(Held::json).collect::<Value>(),
        "twenty_five": figures.wide.json(),
        "thousand": figures.thousand.json(),
    });
    let text = serde_json::to_string_pretty(&summary).unwrap_or_default() + "\n";
    let summary = write(&folder, "calls.json", &text);
    draw(figures, &folder);
    if plan.name == plan::FULL.name {
        let docs = checkout().join("docs/performance");
        let page = format!(
            "# Calls and large fleets: figures of the last full run\n\n{setting}.\n\n\
             Written by `make bench-calls`; [README.md](README.md) says what they are.\n\n\
             ```{tables}```\n"
        );
        write(&docs, "calls.md", &page);
        draw(figures, &docs);
    }
    summary
}

/// Values by their names.
pub(crate) fn object(values: &[(&'static str, f64)]) -> Value {
    let rounded = |value: f64| json!((value * 10.0).round() / 10.0);
    let named = values.iter().map(|(name, value)| ((*name).to_owned(), rounded(*value)));
    Value::Object(named.collect::<Map<_, _>>())
}

fn tables(figures: &Figures) -> String {
    let mut text = String::new();
    let names = figures.rates.first().map_or(&[][..], |step| &step.cpu);
    let mut line = |line: String| {
        // A text takes everything.
        let _ = writeln!(text, "{}", line.trim_end());
    };
    line("\ncalls to the announcement, held 3 s; per cent of one core".to_owned());
    line(format!(
        "{:>6} {:>8} {:>7} {:>14} {:>14} {:>9}{}",
        "nodes",
        "calls/s",
        "failed",
        "setup p50, ms",
        "setup p99, ms",
        "events/s",
        heads(names)
    ));
    for step in &figures.rates {
        let (p50, p99) = setup(step.setup);
        line(format!(
            "{:>6} {:>8} {:>7} {p50:>14} {p99:>14} {:>9.0}{}",
            step.nodes,
            step.rate,
            step.failed,
            step.events_per_second,
            cells(&step.cpu)
        ));
    }
    line("\ncalls at once, each hears a tone; per cent of one core, and MiB".to_owned());
    line(format!(
        "{:>6} {:>8} {:>7} {:>7} {:>14} {:>14} {}",
        "nodes",
        "calls",
        "there",
        "stayed",
        "setup p50, ms",
        "setup p99, ms",
        heads(names)
    ));
    for held in &figures.held {
        let (p50, p99) = setup(held.setup);
        line(format!(
            "{:>6} {:>8} {:>7} {:>7} {p50:>14} {p99:>14} {}",
            held.nodes,
            held.wanted,
            held.there,
            held.stayed,
            cells(&held.cpu)
        ));
        line(format!("{:>59} {}", "MiB", cells(&held.memory_mib)));
    }
    line("\n25 Asterisk nodes".to_owned());
    for (what, value) in figures.wide.rows() {
        line(format!("  {what:<64} {value}"));
    }
    line("\n1,000 nodes with 100,000 channels, simulated".to_owned());
    for (what, value) in figures.thousand.rows() {
        line(format!("  {what:<64} {value}"));
    }
    text
}

fn setup(setup: Option<Latency>) -> (String, String) {
    let text = |figure: fn(Latency) -> f64| {
        setup.map_or("-".to_owned(), |setup| format!("{:.0}", figure(setup)))
    };
    (text(|setup| setup.p50), text(|setup| setup.p99))
}

fn heads(values: &[(&'static str, f64)]) -> String {
    values.iter().map(|(name, _)| format!("{name:>11}")).collect()
}

fn cells(values: &[(&'static str, f64)]) -> String {
    values.iter().map(|(_, value)| format!("{value:>11.0}")).collect()
}

fn draw(figures: &Figures, folder: &Path) {
    plots::write(figures, folder)
        .unwrap_or_else(|error| panic!("plots in {}: {error}", folder.display()));
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(&path, text));
    written.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    path
}
