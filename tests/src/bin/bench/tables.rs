// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The figures as text, for the terminal and for `docs/performance/`.

use std::fmt::Write as _;

use crate::bars::{Bar, Ratios, callback_p50, callback_p99, latency_p50, latency_p99};
use crate::mode::Mode;
use crate::results::{Results, bare_cost, callback_cost, cost, publisher_cost};
use crate::sample::{Part, Sample};

type Figure = fn(&Results, &Sample) -> Option<f64>;

/// All tables.
pub(crate) fn text(results: &Results, ratios: &Ratios, bars: &[Bar]) -> String {
    let mut text = String::new();
    if results.has(Part::Bursts) || results.has(Part::Rate) || results.has(Part::Highest) {
        modes(&mut text, results);
    }
    curve(&mut text, results, Part::Rate, "CPU an event above no module, µs, by events/s");
    curve(&mut text, results, Part::Size, "CPU an event above no module, µs, by bytes of an event");
    apps(&mut text, results);
    if results.has(Part::Calls) {
        calls(&mut text, results);
    }
    line(&mut text, "\nratios to the C module: median (lowest–highest of the rounds)");
    for (name, ratio) in &ratios.0 {
        let ratio = ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
        line(&mut text, &format!("  {name:<20} {ratio}"));
    }
    line(&mut text, "\nwhat must hold");
    for bar in bars {
        line(&mut text, &format!("  {}", bar.line()));
    }
    text
}

/// A row for each figure, a column for each mode.
fn modes(text: &mut String, results: &Results) {
    head(text, "median (lowest–highest of the rounds)", &Mode::ALL);
    let rows: [(&str, Part, Option<u32>, usize, Figure); 12] = [
        ("CPU an event above no module, µs", Part::Bursts, None, 1, cost),
        ("callback p50, µs", Part::Bursts, None, 1, callback_p50),
        ("callback p99, µs", Part::Bursts, None, 1, callback_p99),
        ("callback max, µs", Part::Bursts, None, 0, |_, sample| Some(sample.callback?.max)),
        ("end to end p50, 100/s, ms", Part::Rate, Some(100), 2, latency_p50),
        ("end to end p99, 100/s, ms", Part::Rate, Some(100), 2, latency_p99),
        ("end to end p50, 1,000/s, ms", Part::Rate, Some(1000), 2, latency_p50),
        ("end to end p99, 1,000/s, ms", Part::Rate, Some(1000), 2, latency_p99),
        ("end to end p50, 10,000/s, ms", Part::Rate, Some(10_000), 2, latency_p50),
        ("end to end p99, 10,000/s, ms", Part::Rate, Some(10_000), 2, latency_p99),
        ("highest rate, events/s", Part::Highest, None, 0, rate),
        ("highest rate, RabbitMQ, events/s", Part::HighestRabbitmq, None, 0, rate),
    ];
    for (name, part, x, digits, figure) in rows {
        row(text, results, name, (part, x, digits, figure), &Mode::ALL);
    }
    let at_highest: [(&str, usize, Figure); 2] = [
        ("CPU an event at the highest rate, µs", 1, cost),
        ("memory at the highest rate, MiB", 0, |_, sample| {
            Some(sample.memory_bytes? as f64 / f64::from(1 << 20))
        }),
    ];
    for (name, digits, figure) in at_highest {
        row(text, results, name, (Part::Highest, None, digits, figure), &Mode::ALL);
    }
}

fn rate(_: &Results, sample: &Sample) -> Option<f64> {
    // Without a module it was measured at the rates of the others.
    (sample.mode != Mode::Nobody).then(|| sample.x.into())
}

/// A row for each x, a column for each mode that was measured.
fn curve(text: &mut String, results: &Results, part: Part, title: &str) {
    if !results.has(part) {
        return;
    }
    let modes: Vec<Mode> = Mode::ALL.into_iter().skip(1).collect();
    head(text, title, &modes);
    for x in results.xs(part) {
        row(text, results, &x.to_string(), (part, Some(x), 1, cost), &modes);
    }
}

/// A row for each number of applications, and a column for each part of what an event costs.
fn apps(text: &mut String, results: &Results) {
    let Some(&most) = results.xs(Part::Apps).last() else {
        return;
    };
    let columns: [(&str, Mode, Figure); 5] = [
        ("no module, all of it", Mode::Nobody, bare_cost),
        ("C module", Mode::Synchronous, cost),
        ("ours, confirms", Mode::Confirms, cost),
        ("ours: its threads", Mode::Confirms, publisher_cost),
        ("ours: the rest", Mode::Confirms, callback_cost),
    ];
    let names: String = columns.iter().map(|(name, ..)| format!("{name:>22}")).collect();
    line(text, &format!("\n{:<40}{names}", "CPU an event above no module, µs, by apps"));
    let alone = [("1, no other there".to_owned(), Part::OneApp, 1)];
    let of_most = |x: u32| (format!("{x} of {most}"), Part::Apps, x);
    let spread = [(format!("{most}, futexes spread"), Part::SpreadApps, most)];
    let rows = alone.into_iter().chain(results.xs(Part::Apps).into_iter().map(of_most));
    for (name, part, x) in rows.chain(spread).filter(|(_, part, _)| results.has(*part)) {
        let cell = |(_, mode, figure): &(&str, Mode, Figure)| {
            let spread = results.spread(part, Some(x), *mode, figure);
            format!("{:>22}", spread.map_or("-".to_owned(), |spread| format!("{spread:.1}")))
        };
        let cells: String = columns.iter().map(cell).collect();
        line(text, &format!("  {name:<38}{cells}"));
    }
    let cell = |(_, mode, figure): &(&str, Mode, Figure)| {
        let growth = results.growth((Part::OneApp, 1), (Part::Apps, most), *mode, figure);
        format!("{:>22}", growth.map_or("-".to_owned(), |growth| format!("{growth:.2}")))
    };
    let cells: String = columns.iter().map(cell).collect();
    line(text, &format!("  {:<38}{cells}", format!("{most} of {most}, × one")));
}

fn calls(text: &mut String, results: &Results) {
    head(text, "SIP calls, 20 variables each", &Mode::ALL);
    let rows: [(&str, usize, Figure); 5] = [
        ("CPU a call, ms", 2, |_, sample| Some(sample.cpu / f64::from(sample.x) / 1000.0)),
        ("events a call", 1, |_, sample| {
            (sample.mode != Mode::Nobody).then(|| sample.events as f64 / f64::from(sample.x))
        }),
        ("INVITE to 200 OK, p99, ms", 0, |_, sample| sample.answer_ms),
        ("callback p50, µs", 1, callback_p50),
        ("callback p99, µs", 1, callback_p99),
    ];
    for (name, digits, figure) in rows {
        row(text, results, name, (Part::Calls, None, digits, figure), &Mode::ALL);
    }
}

fn head(text: &mut String, title: &str, modes: &[Mode]) {
    let columns: String = modes.iter().map(|mode| format!("{:>22}", mode.title())).collect();
    line(text, &format!("\n{title:<40}{columns}"));
}

fn row(
    text: &mut String,
    results: &Results,
    name: &str,
    (part, x, digits, figure): (Part, Option<u32>, usize, Figure),
    modes: &[Mode],
) {
    let cell = |mode: &Mode| match results.spread(part, x, *mode, figure) {
        // What costs nothing above itself.
        Some(spread) if spread.max == 0.0 => "-".to_owned(),
        Some(spread) => format!("{spread:.digits$}"),
        None => "-".to_owned(),
    };
    let cells: String = modes.iter().map(|mode| format!("{:>22}", cell(mode))).collect();
    line(text, &format!("  {name:<38}{cells}"));
}

fn line(text: &mut String, line: &str) {
    // A string takes everything.
    let _ = writeln!(text, "{}", line.trim_end());
}
