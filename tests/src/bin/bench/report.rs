// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Where the figures go: the terminal, `target/bench/`, and after a whole full run `docs/performance/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rig::root::{Root, checkout};
use serde_json::{Value, json};

use crate::bars::{Bar, Ratios};
use crate::machine::Machine;
use crate::plan::{self, Plan};
use crate::plots;
use crate::results::Results;
use crate::sample::Sample;
use crate::section::Section;
use crate::spread::Spread;
use crate::tables;

/// Prints and writes everything; where the summary is.
///
/// # Panics
///
/// When a file cannot be written.
pub(crate) fn publish(
    plan: &Plan,
    sections: &[Section],
    machine: &Machine,
    samples: Vec<Sample>,
    took: Duration,
) -> PathBuf {
    let results = Results(samples);
    let ratios = Ratios::of(&results);
    let bars = Bar::all(&results, &ratios);
    let tables = tables::text(&results, &ratios, &bars);
    println!("{tables}");
    let setting = format!(
        "{}; Asterisk {}, RabbitMQ {}; {} rounds of {}",
        machine.line(),
        Root::Testing.version("asterisk"),
        Root::Testing.version("rabbitmq-server"),
        plan.rounds,
        plan.name,
    );
    println!("{setting}");

    let folder = checkout().join("target/bench");
    let spread = |(name, spread): &(&str, Option<Spread>)| {
        ((*name).to_owned(), spread.map(spread_json).into())
    };
    let spreads: serde_json::Map<String, Value> = ratios.0.iter().map(spread).collect();
    let summary = json!({
        "run": plan.name,
        "sections": sections.iter().map(|section| section.name()).collect::<Value>(),
        "rounds": plan.rounds,
        "took_s": took.as_secs(),
        "machine": machine.json(),
        "asterisk": Root::Testing.version("asterisk"),
        "rabbitmq": Root::Testing.version("rabbitmq-server"),
        "ratios": ratios.json(),
        "ratio_spreads": spreads,
        "bars": bars.iter().map(Bar::json).collect::<Value>(),
        "samples": results.0.iter().map(Sample::json).collect::<Value>(),
    });
    let text = serde_json::to_string_pretty(&summary).unwrap_or_default() + "\n";
    let summary = write(&folder, "summary.json", &text);
    draw(&results, &folder);
    if plan.name == plan::FULL.name && sections.len() == Section::ALL.len() {
        let docs = checkout().join("docs/performance");
        let page = format!(
            "# Figures of the last full run\n\n{setting}.\n\nWritten by `make bench`; \
             [README.md](README.md) says what they are.\n\n```{tables}```\n"
        );
        write(&docs, "figures.md", &page);
        draw(&results, &docs);
    }
    summary
}

/// As a summary has it.
pub(crate) fn spread_json(spread: Spread) -> Value {
    let rounded = |value: f64| (value * 10_000.0).round() / 10_000.0;
    json!({
        "median": rounded(spread.median),
        "min": rounded(spread.min),
        "max": rounded(spread.max),
        "rounds": spread.rounds,
    })
}

fn draw(results: &Results, folder: &Path) {
    plots::write(results, folder)
        .unwrap_or_else(|error| panic!("plots in {}: {error}", folder.display()));
}

pub(crate) fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(&path, text));
    written.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    path
}
