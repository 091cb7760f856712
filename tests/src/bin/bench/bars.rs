// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What must hold, next to what was measured.

use serde_json::{Value, json};

use crate::mode::Mode;
use crate::results::{Results, cost, line};
use crate::sample::{Part, Sample};
use crate::spread::Spread;

/// The ratios to the C module that everything is judged by.
pub(crate) struct Ratios(pub(crate) Vec<(&'static str, Option<Spread>)>);

impl Ratios {
    pub(crate) fn of(results: &Results) -> Self {
        let bursts = |mode, figure: fn(&Results, &Sample) -> _| {
            results.ratio(Part::Bursts, None, mode, figure)
        };
        let highest =
            |part| results.ratio(part, None, Mode::Confirms, |_, sample| Some(sample.x.into()));
        Self(vec![
            ("cpu_confirms_on", bursts(Mode::Confirms, cost)),
            ("cpu_confirms_off", bursts(Mode::NoConfirms, cost)),
            ("callback_p50", bursts(Mode::Confirms, callback_p50)),
            ("callback_p99", bursts(Mode::Confirms, callback_p99)),
            ("max_rate", highest(Part::Highest)),
            ("e2e_p99_1000", results.ratio(Part::Rate, Some(1000), Mode::Confirms, latency_p99)),
            ("cpu_spool", bursts(Mode::Spool, cost)),
            ("max_rate_rabbitmq", highest(Part::HighestRabbitmq)),
        ])
    }

    fn median(&self, name: &str) -> Option<f64> {
        let of_name = self.0.iter().find(|(ratio, _)| *ratio == name)?;
        of_name.1.map(|spread| spread.median)
    }

    /// The medians, by name.
    pub(crate) fn json(&self) -> Value {
        let rounded = |spread: Spread| (spread.median * 1000.0).round() / 1000.0;
        let of = |(name, spread): &(&str, Option<Spread>)| {
            ((*name).to_owned(), spread.map(rounded).into())
        };
        Value::Object(self.0.iter().map(of).collect())
    }
}

pub(crate) fn callback_p50(_: &Results, sample: &Sample) -> Option<f64> {
    sample.callback.map(|callback| callback.p50)
}

pub(crate) fn callback_p99(_: &Results, sample: &Sample) -> Option<f64> {
    sample.callback.map(|callback| callback.p99)
}

pub(crate) fn latency_p50(_: &Results, sample: &Sample) -> Option<f64> {
    sample.latency.map(|latency| latency.p50)
}

pub(crate) fn latency_p99(_: &Results, sample: &Sample) -> Option<f64> {
    sample.latency.map(|latency| latency.p99)
}

/// One thing that must hold.
pub(crate) struct Bar {
    what: &'static str,
    wanted: String,
    measured: Option<f64>,
    is_met: bool,
}

impl Bar {
    pub(crate) fn at_most(what: &'static str, most: f64, measured: Option<f64>) -> Self {
        let is_met = measured.is_some_and(|measured| measured <= most);
        Self { what, wanted: format!("at most {most}"), measured, is_met }
    }

    pub(crate) fn at_least(what: &'static str, least: f64, measured: Option<f64>) -> Self {
        let is_met = measured.is_some_and(|measured| measured >= least);
        Self { what, wanted: format!("at least {least}"), measured, is_met }
    }

    /// All of them.
    pub(crate) fn all(results: &Results, ratios: &Ratios) -> Vec<Self> {
        let ratio = |name| ratios.median(name);
        let latency = results.spread(Part::Rate, Some(1000), Mode::Confirms, latency_p99);
        vec![
            Self::at_most("CPU an event, confirms, × C module", 0.5, ratio("cpu_confirms_on")),
            Self::at_most("CPU an event, no confirms, × C module", 0.4, ratio("cpu_confirms_off")),
            Self::at_most(
                "time on Asterisk's thread, p50, × C module",
                0.15,
                ratio("callback_p50"),
            ),
            Self::at_most(
                "time on Asterisk's thread, p99, × C module",
                0.25,
                ratio("callback_p99"),
            ),
            Self::at_least("highest rate, confirms, × C module", 2.0, ratio("max_rate")),
            Self::at_most(
                "end to end at 1,000 events/s, p99, ms",
                10.0,
                latency.map(|spread| spread.median),
            ),
            Self::at_most("the same, × C module", 1.0, ratio("e2e_p99_1000")),
            Self::at_most("CPU an event, most applications, × one", 1.2, by_apps(results)),
            Self::at_most(
                "CPU of the largest event, × a line through the others",
                1.2,
                by_size(results),
            ),
        ]
    }

    pub(crate) fn json(&self) -> Value {
        let Self { what, wanted, measured, is_met } = self;
        json!({ "what": what, "wanted": wanted, "measured": measured, "met": is_met })
    }

    pub(crate) fn line(&self) -> String {
        let Self { what, wanted, measured, is_met } = self;
        let measured = measured.map_or("-".to_owned(), |measured| format!("{measured:.2}"));
        let verdict = match (self.measured, is_met) {
            (None, _) => "not measured",
            (_, true) => "met",
            (_, false) => "NOT MET",
        };
        format!("{what:<56} {wanted:>14} {measured:>8}   {verdict}")
    }
}

fn by_apps(results: &Results) -> Option<f64> {
    let most = *results.xs(Part::Apps).last()?;
    let spread = results.growth((Part::OneApp, 1), (Part::Apps, most), Mode::Confirms, cost);
    spread.map(|spread| spread.median)
}

/// Of all sizes but the largest; that an event costs something whatever its size is no fault.
fn by_size(results: &Results) -> Option<f64> {
    let xs = results.xs(Part::Size);
    let cost_at = |x: u32| results.spread(Part::Size, Some(x), Mode::Confirms, cost);
    let points: Vec<(f64, f64)> =
        xs.iter().filter_map(|x| Some((f64::from(*x), cost_at(*x)?.median))).collect();
    let (largest, others) = points.split_last()?;
    let (slope, start) = line(others)?;
    Some(largest.1 / (slope * largest.0 + start))
}
