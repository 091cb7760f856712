// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Curves as a picture.

use std::error::Error;
use std::path::Path;

use plotters::coord::ranged1d::{Ranged, ValueFormatter};
use plotters::prelude::*;

use crate::spread::Spread;

const SIZE: (u32, u32) = (820, 460);

/// One line: x, and what was measured there.
pub(crate) struct Curve {
    pub(crate) name: String,
    pub(crate) colour: RGBColor,
    pub(crate) points: Vec<(f64, Spread)>,
}

pub(crate) struct Picture<'a> {
    pub(crate) title: &'a str,
    pub(crate) x: &'a str,
    pub(crate) y: &'a str,
    /// Whether x grows by factors.
    pub(crate) is_log: bool,
    pub(crate) curves: Vec<Curve>,
}

impl Picture<'_> {
    /// Writes it, unless there is nothing in it.
    pub(crate) fn write(&self, file: &Path) -> Result<(), Box<dyn Error>> {
        if self.curves.is_empty() {
            return Ok(());
        }
        let points = || self.curves.iter().flat_map(|curve| &curve.points);
        let most = points().map(|(_, spread)| spread.max).fold(0.0, f64::max);
        let first = points().map(|(x, _)| *x).fold(f64::MAX, f64::min);
        let last = points().map(|(x, _)| *x).fold(0.0, f64::max);
        let root = SVGBackend::new(file, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&root);
        chart.caption(self.title, ("sans-serif", 20)).margin(14);
        chart.x_label_area_size(42).y_label_area_size(56);
        let y = 0.0..most * 1.1;
        match self.is_log {
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
        for Curve { name, colour, points } in &self.curves {
            let colour = *colour;
            let middle = points.iter().map(|(x, spread)| (*x, spread.median));
            let bars = points.iter().map(|(x, spread)| {
                let Spread { min, median, max, .. } = *spread;
                ErrorBar::new_vertical(*x, min, median, max, colour.filled(), 6)
            });
            let legend =
                move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2));
            chart
                .draw_series(LineSeries::new(middle, colour.stroke_width(2)))?
                .label(name)
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
