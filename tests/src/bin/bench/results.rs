// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What the samples say: a mode's figures, and how they compare with another's in the same round.

use std::collections::BTreeSet;

use crate::mode::Mode;
use crate::sample::{Part, Sample};
use crate::spread::Spread;

pub(crate) struct Results(pub(crate) Vec<Sample>);

impl Results {
    /// The figure of each round that has it.
    pub(crate) fn spread(
        &self,
        part: Part,
        x: Option<u32>,
        mode: Mode,
        figure: impl Fn(&Self, &Sample) -> Option<f64>,
    ) -> Option<Spread> {
        Spread::of(self.of(part, x, mode).filter_map(|sample| figure(self, sample)))
    }

    /// How many times the figure of the C module it is, in each round.
    pub(crate) fn ratio(
        &self,
        part: Part,
        x: Option<u32>,
        mode: Mode,
        figure: impl Fn(&Self, &Sample) -> Option<f64>,
    ) -> Option<Spread> {
        Spread::of(self.of(part, x, mode).filter_map(|sample| {
            let mut others = self.of(part, x, Mode::Synchronous);
            let other = others.find(|other| other.round == sample.round)?;
            Some(figure(self, sample)? / figure(self, other)?)
        }))
    }

    /// How many times the figure of one place that of another is, in each round.
    pub(crate) fn growth(
        &self,
        (from, from_x): (Part, u32),
        (to, to_x): (Part, u32),
        mode: Mode,
        figure: impl Fn(&Self, &Sample) -> Option<f64>,
    ) -> Option<Spread> {
        Spread::of(self.of(to, Some(to_x), mode).filter_map(|sample| {
            let mut before = self.of(from, Some(from_x), mode);
            let before = before.find(|before| before.round == sample.round)?;
            Some(figure(self, sample)? / figure(self, before)?)
        }))
    }

    /// What `x` was in this part, from low to high.
    pub(crate) fn xs(&self, part: Part) -> BTreeSet<u32> {
        self.0.iter().filter(|sample| sample.part == part).map(|sample| sample.x).collect()
    }

    pub(crate) fn has(&self, part: Part) -> bool {
        self.0.iter().any(|sample| sample.part == part)
    }

    fn of(&self, part: Part, x: Option<u32>, mode: Mode) -> impl Iterator<Item = &Sample> {
        let is_of = move |sample: &&Sample| {
            sample.part == part && sample.mode == mode && x.is_none_or(|x| sample.x == x)
        };
        self.0.iter().filter(is_of)
    }
}

/// Microseconds of processor time that each event cost above what it costs without a module, in the
/// same round.
pub(crate) fn cost(results: &Results, sample: &Sample) -> Option<f64> {
    let mut without = results.of(sample.part, Some(sample.x), Mode::Nobody);
    let without = without.find(|without| without.round == sample.round)?;
    (sample.events > 0).then(|| (sample.cpu - without.cpu) / sample.events as f64)
}

/// The same of the publisher's own threads; none where it has no thread.
pub(crate) fn publisher_cost(_: &Results, sample: &Sample) -> Option<f64> {
    (sample.publisher_cpu > 0.0).then(|| sample.publisher_cpu / sample.events as f64)
}

/// And of what is not theirs: the callbacks, and what more they make Asterisk do.
pub(crate) fn callback_cost(results: &Results, sample: &Sample) -> Option<f64> {
    Some(cost(results, sample)? - publisher_cost(results, sample)?)
}

/// Microseconds of all that an event costs without a module. There the events that others publish are
/// not counted, so it is told by theirs.
pub(crate) fn bare_cost(results: &Results, sample: &Sample) -> Option<f64> {
    let mut published = results.of(sample.part, Some(sample.x), Mode::Confirms);
    let published = published.find(|published| published.round == sample.round)?;
    Some(sample.cpu / published.events as f64)
}

/// The slope of the line of least squares through points, and where it is at 0.
pub(crate) fn line(points: &[(f64, f64)]) -> Option<(f64, f64)> {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let spread: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    let together: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    (spread > 0.0).then(|| (together / spread, y - together / spread * x))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Place;

    fn sample(mode: Mode, round: u32, events: u64, cpu: f64) -> Sample {
        Place { part: Part::Bursts, x: 1, mode, round }.sample(events, cpu)
    }

    #[test]
    fn costs_and_ratios_are_taken_within_a_round() {
        let results = Results(vec![
            sample(Mode::Nobody, 0, 100, 1000.0),
            sample(Mode::Synchronous, 0, 100, 2400.0),
            sample(Mode::Confirms, 0, 100, 1700.0),
            sample(Mode::Confirms, 1, 100, 9000.0),
            sample(Mode::Synchronous, 1, 100, 9000.0),
            // A round on a machine that is half as fast.
            sample(Mode::Nobody, 2, 100, 2000.0),
            sample(Mode::Synchronous, 2, 100, 4800.0),
            sample(Mode::Confirms, 2, 100, 3400.0),
        ]);
        let spread = results.spread(Part::Bursts, None, Mode::Synchronous, cost);
        let spread = spread.map(|spread| (spread.median, spread.min, spread.max, spread.rounds));
        assert_eq!(spread, Some((21.0, 14.0, 28.0, 2)));
        let ratio = results.ratio(Part::Bursts, Some(1), Mode::Confirms, cost);
        let ratio = ratio.map(|ratio| (ratio.min, ratio.max));
        assert_eq!(ratio, Some((0.5, 0.5)));
        assert_eq!(results.ratio(Part::Bursts, Some(2), Mode::Confirms, cost), None);
    }

    #[test]
    fn a_line_is_found_and_two_equal_places_make_none() {
        let (slope, start) = line(&[(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]).expect("a line");
        assert!((slope - 2.0).abs() < 1e-9 && (start - 1.0).abs() < 1e-9);
        assert_eq!(line(&[(1.0, 1.0), (1.0, 3.0)]), None);
    }
}
