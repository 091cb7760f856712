// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The curves as pictures.

use std::error::Error;
use std::path::Path;

use plotters::style::{BLACK, RGBColor};

use crate::bars::latency_p99;
use crate::mode::Mode;
use crate::picture::{Curve, Picture};
use crate::results::{Results, cost};
use crate::sample::{Part, Sample};

/// Writes them all into a folder.
pub(crate) fn write(results: &Results, folder: &Path) -> Result<(), Box<dyn Error>> {
    let cost_by = |part| curves(results, part, cost);
    let above = "µs of CPU an event, above no module";
    let plots = [
        ("cpu-by-rate.svg", "CPU by rate", "events a second", above, true, cost_by(Part::Rate)),
        ("cpu-by-size.svg", "CPU by size", "bytes an event", above, false, cost_by(Part::Size)),
        (
            "cpu-by-apps.svg",
            "CPU by applications",
            "Stasis applications",
            above,
            true,
            cost_by(Part::Apps),
        ),
        (
            "latency-by-rate.svg",
            "End to end, 99th percentile",
            "events a second",
            "ms from Asterisk to the consumer",
            true,
            curves(results, Part::Rate, latency_p99),
        ),
    ];
    for (file, title, x, y, is_log, curves) in plots {
        let picture = Picture { title, x, y, is_log, curves };
        picture.write(&folder.join(file))?;
    }
    Ok(())
}

fn curves(
    results: &Results,
    part: Part,
    figure: fn(&Results, &Sample) -> Option<f64>,
) -> Vec<Curve> {
    let curve = |mode: Mode| {
        let xs = results.xs(part).into_iter();
        let points: Vec<_> = xs
            .filter_map(|x| Some((x.into(), results.spread(part, Some(x), mode, figure)?)))
            .collect();
        let (name, colour) = (mode.title().to_owned(), colour(mode));
        (points.len() > 1).then_some(Curve { name, colour, points })
    };
    Mode::ALL.into_iter().skip(1).filter_map(curve).collect()
}

fn colour(mode: Mode) -> RGBColor {
    match mode {
        Mode::Nobody => BLACK,
        Mode::Synchronous => RGBColor(200, 60, 40),
        Mode::Confirms => RGBColor(20, 90, 180),
        Mode::NoConfirms => RGBColor(30, 140, 80),
        Mode::Spool => RGBColor(140, 80, 170),
    }
}
