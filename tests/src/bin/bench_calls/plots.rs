// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The curves as pictures: by the rate for each fleet, and what each part takes.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;

use plotters::style::RGBColor;

use crate::picture::{Curve, Picture};
use crate::rates::Step;
use crate::report::Figures;
use crate::spread::Spread;

const COLOURS: [RGBColor; 8] = [
    RGBColor(20, 90, 180),
    RGBColor(200, 60, 40),
    RGBColor(30, 140, 80),
    RGBColor(140, 80, 170),
    RGBColor(200, 140, 20),
    RGBColor(0, 150, 160),
    RGBColor(110, 110, 110),
    RGBColor(0, 0, 0),
];

/// Writes them all into a folder.
pub(crate) fn write(figures: &Figures, folder: &Path) -> Result<(), Box<dyn Error>> {
    let rates = &figures.rates;
    let largest: Vec<&Step> = {
        let most = rates.iter().map(|step| step.nodes).max();
        rates.iter().filter(|step| Some(step.nodes) == most).collect()
    };
    let of_parts = largest.iter().map(|step| (step.rate, step.cpu.as_slice()));
    let of_held = figures.held.iter().map(|held| (held.wanted, held.cpu.as_slice()));
    let core = "per cent of one core";
    let pictures = [
        (
            "calls-setup.svg",
            "INVITE to 200 OK, 99th percentile",
            "calls a second",
            "ms",
            fleets(rates, |step| Some(step.setup?.p99)),
        ),
        (
            "calls-cpu.svg",
            "CPU of all parts",
            "calls a second",
            core,
            fleets(rates, |step| Some(step.cpu.iter().map(|(_, cpu)| cpu).sum())),
        ),
        ("calls-parts.svg", "CPU by part, largest fleet", "calls a second", core, parts(of_parts)),
        ("calls-held.svg", "CPU by part, calls held", "calls at once", core, parts(of_held)),
    ];
    for (file, title, x, y, curves) in pictures {
        Picture { title, x, y, is_log: false, curves }.write(&folder.join(file))?;
    }
    Ok(())
}

/// A curve for each size of the fleet.
fn fleets(steps: &[Step], figure: fn(&Step) -> Option<f64>) -> Vec<Curve> {
    let sizes: BTreeSet<usize> = steps.iter().map(|step| step.nodes).collect();
    let curve = |(nodes, colour): (usize, RGBColor)| {
        let of_size = steps.iter().filter(|step| step.nodes == nodes);
        let points = of_size.filter_map(|step| Some((step.rate.into(), only(figure(step)?)?)));
        Curve { name: format!("{nodes} nodes"), colour, points: points.collect() }
    };
    sizes.into_iter().zip(COLOURS).map(curve).collect()
}

/// A curve for each part.
fn parts<'a>(
    samples: impl Iterator<Item = (u32, &'a [(&'static str, f64)])> + Clone,
) -> Vec<Curve> {
    let names = samples.clone().next().map_or(&[][..], |(_, parts)| parts);
    let curve = |((name, _), colour): (&(&'static str, f64), RGBColor)| {
        let of_name = |parts: &[(&'static str, f64)]| {
            parts.iter().find(|(other, _)| other == name).and_then(|(_, value)| only(*value))
        };
        let points = samples.clone().filter_map(|(x, parts)| Some((x.into(), of_name(parts)?)));
        Curve { name: (*name).to_owned(), colour, points: points.collect() }
    };
    names.iter().zip(COLOURS).map(curve).collect()
}

/// It was measured once.
fn only(value: f64) -> Option<Spread> {
    Spread::of([value])
}
