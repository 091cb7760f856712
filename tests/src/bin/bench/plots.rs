// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The curves as pictures.

use std::error::Error;
use std::path::Path;

use plotters::coord::ranged1d::{Ranged, ValueFormatter};
use plotters::prelude::*;

use crate::bars::latency_p99;
use crate::mode::Mode;
use crate::results::{Results, cost};
use crate::sample::{Part, Sample};
use crate::spread::Spread;

const SIZE: (u32, u32) = (820, 460);

/// Each curve's points: x, and the spread over the rounds.
type Curves = Vec<(Mode, Vec<(f64, Spread)>)>;

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
        let picture = Picture { title, x, y, curves };
        if !picture.curves.is_empty() {
            picture.write(&folder.join(file), is_log)?;
        }
    }
    Ok(())
}

fn curves(results: &Results, part: Part, figure: fn(&Results, &Sample) -> Option<f64>) -> Curves {
    let curve = |mode: Mode| {
        let xs = results.xs(part).into_iter();
        let points: Vec<_> = xs
            .filter_map(|x| Some((x.into(), results.spread(part, Some(x), mode, figure)?)))
            .collect();
        (points.len() > 1).then_some((mode, points))
    };
    Mode::ALL.into_iter().skip(1).filter_map(curve).collect()
}

struct Picture<'a> {
    title: &'a str,
    x: &'a str,
    y: &'a str,
    curves: Curves,
}

impl Picture<'_> {
    fn write(&self, file: &Path, is_log: bool) -> Result<(), Box<dyn Error>> {
        let points = || self.curves.iter().flat_map(|(_, points)| points);
        let most = points().map(|(_, spread)| spread.max).fold(0.0, f64::max);
        let first = points().map(|(x, _)| *x).fold(f64::MAX, f64::min);
        let last = points().map(|(x, _)| *x).fold(0.0, f64::max);
        let root = SVGBackend::new(file, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&root);
        chart.caption(self.title, ("sans-serif", 20)).margin(14);
        chart.x_label_area_size(42).y_label_area_size(56);
        let y = 0.0..most * 1.1;
        match is_log {
            true => {
                let x = (first * 0.8..last * 1.25).log_scale();
                self.draw(&mut chart.build_cartesian_2d(x, y)?)?;
            }
            false => self.draw(&mut chart.build_cartesian_2d(0.0..last * 1.05, y)?)?,
        }
        root.present()?;
        Ok(())
    }

    fn draw<'b, X, Y>(
        &self,
        chart: &mut ChartContext<'b, SVGBackend<'b>, Cartesian2d<X, Y>>,
    ) -> Result<(), Box<dyn Error>>
    where
        X: Ranged<ValueType = f64> + ValueFormatter<f64>,
        Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        chart.configure_mesh().x_desc(self.x).y_desc(self.y).light_line_style(WHITE).draw()?;
        for (mode, points) in &self.curves {
            let colour = colour(*mode);
            let middle = points.iter().map(|(x, spread)| (*x, spread.median));
            let bars = points.iter().map(|(x, spread)| {
                let Spread { min, median, max, .. } = *spread;
                ErrorBar::new_vertical(*x, min, median, max, colour.filled(), 6)
            });
            let legend =
                move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2));
            chart
                .draw_series(LineSeries::new(middle, colour.stroke_width(2)))?
                .label(mode.title())
                .legend(legend);
            chart.draw_series(bars)?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.8))
            .draw()?;
        Ok(())
    }
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
