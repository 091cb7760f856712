// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Events that could not be delivered, kept as ranges of their sequence numbers until a consumer
//! has been told.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use crate::identity::Identity;

/// Ranges kept at most. Beyond, the oldest two become one, which then also spans events that were
/// not lost; its count stays right.
const MOST: usize = 16;

/// Former runs of which losses are kept. Beyond, those of the oldest are counted only.
const MOST_RUNS: usize = 32;

/// Why an event was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Too many events, or bytes, were waiting.
    QueueFull,
    /// The event alone is larger than all of the queue.
    TooLarge,
    /// The broker will not have it, however often it is sent.
    Refused,
    /// Asterisk or the module stopped before it could be delivered.
    Stopped,
    /// The spool was full.
    SpoolFull,
    /// Its file in the spool could not be read.
    SpoolCorrupt,
    /// More than one of the others; only of ranges that had to be joined.
    Several,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::QueueFull => "queue_full",
            Self::TooLarge => "too_large",
            Self::Refused => "refused",
            Self::Stopped => "stopped",
            Self::SpoolFull => "spool_full",
            Self::SpoolCorrupt => "spool_corrupt",
            Self::Several => "several",
        })
    }
}

/// `count` events from `first` to `last`; all between them, if `count` says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Loss {
    /// The lowest sequence number lost.
    pub first: u64,
    /// The highest.
    pub last: u64,
    /// How many of the numbers from first to last were lost.
    pub count: u64,
    /// Why.
    pub reason: Reason,
}

impl Loss {
    /// The loss of one event.
    pub(crate) fn of_one(sequence: u64, reason: Reason) -> Self {
        Self { first: sequence, last: sequence, count: 1, reason }
    }

    fn join(self, other: Self) -> Self {
        Self {
            first: self.first.min(other.first),
            last: self.last.max(other.last),
            count: self.count.saturating_add(other.count),
            reason: match self.reason == other.reason {
                true => self.reason,
                false => Reason::Several,
            },
        }
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    fn comes_right_before(&self, other: &Self) -> bool {
        self.last.checked_add(1) == Some(other.first)
    }
}

/// A loss, and whose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    /// What was lost.
    pub loss: Loss,
    /// By which run; none: the one that tells of it.
    pub about: Option<Arc<Identity>>,
}

/// Losses nobody was told of, of this run and of those before.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    own: Ranges,
    before: VecDeque<(Arc<Identity>, Ranges)>,
}

impl Losses {
    /// Adds a loss; `about` none: of this run.
    pub(crate) fn add(&mut self, about: Option<&Arc<Identity>>, loss: Loss) {
        let Some(about) = about else {
            return self.own.add(loss);
        };
        match self.before.iter_mut().find(|(known, _)| known == about) {
            Some((_, ranges)) => ranges.add(loss),
            None => {
                if self.before.len() >= MOST_RUNS {
                    self.before.pop_front();
                }
                let mut ranges = Ranges::default();
                ranges.add(loss);
                self.before.push_back((Arc::clone(about), ranges));
            }
        }
    }

    /// Takes up to `most` of them, oldest first.
    pub(crate) fn take(&mut self, most: usize) -> Vec<Told> {
        let mut taken = Vec::new();
        while taken.len() < most
            && let Some((about, ranges)) = self.before.front_mut()
        {
            let about = Arc::clone(about);
            let losses = ranges.take(most - taken.len());
            taken.extend(losses.into_iter().map(|loss| Told { loss, about: Some(about.clone()) }));
            if ranges.is_empty() {
                self.before.pop_front();
            }
        }
        let own = self.own.take(most - taken.len());
        taken.extend(own.into_iter().map(|loss| Told { loss, about: None }));
        taken
    }

    /// Whether there is nothing to tell.
    pub(crate) fn is_empty(&self) -> bool {
        self.own.is_empty() && self.before.is_empty()
    }
}

/// Losses of one run: in order of sequence, none overlapping another.
#[derive(Debug)]
struct Ranges(Vec<Loss>);

impl Default for Ranges {
    /// With all the room it will ever have: it grows under the outbox's lock.
    fn default() -> Self {
        Self(Vec::with_capacity(MOST + 1))
    }
}

impl Ranges {
    /// Adds a loss. Neighbours with the same reason become one range.
    fn add(&mut self, mut loss: Loss) {
        let Self(ranges) = self;
        let mut at = ranges.partition_point(|range| range.last < loss.first);
        if let Some(before) = at.checked_sub(1).and_then(|index| ranges.get(index))
            && before.comes_right_before(&loss)
            && before.reason == loss.reason
        {
            at -= 1;
            loss = ranges.remove(at).join(loss);
        }
        while let Some(range) = ranges.get(at)
            && (range.overlaps(&loss)
                || loss.comes_right_before(range) && range.reason == loss.reason)
        {
            loss = ranges.remove(at).join(loss);
        }
        ranges.insert(at, loss);
        if ranges.len() > MOST {
            let oldest = ranges.remove(0);
            if let Some(next) = ranges.first_mut() {
                *next = oldest.join(*next);
            }
        }
    }

    fn take(&mut self, most: usize) -> Vec<Loss> {
        self.0.drain(..most.min(self.0.len())).collect()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::Reason::{QueueFull, Several, TooLarge};
    use super::*;

    fn loss(first: u64, last: u64, reason: Reason) -> Loss {
        Loss { first, last, count: last - first + 1, reason }
    }

    fn all_of(losses: &[Loss]) -> Vec<Loss> {
        let mut kept = Ranges::default();
        losses.iter().for_each(|loss| kept.add(*loss));
        kept.take(usize::MAX)
    }

    #[test]
    fn neighbours_with_one_reason_are_one_range() {
        let one_by_one: Vec<Loss> =
            [3, 4, 6, 5, 2, 9].map(|sequence| Loss::of_one(sequence, QueueFull)).into();
        assert_eq!(all_of(&one_by_one), [loss(2, 6, QueueFull), loss(9, 9, QueueFull)]);
        let reasons = [loss(2, 2, QueueFull), loss(3, 3, TooLarge), loss(4, 4, QueueFull)];
        assert_eq!(all_of(&reasons), reasons);
    }

    #[test]
    fn what_overlaps_is_joined() {
        let wide = Loss { count: 3, ..loss(10, 30, QueueFull) };
        assert_eq!(
            all_of(&[wide, loss(40, 41, TooLarge), loss(25, 40, TooLarge)]),
            [Loss { first: 10, last: 41, count: 3 + 2 + 16, reason: Several }]
        );
    }

    #[test]
    fn memory_is_bounded_and_the_count_stays_right() {
        let alternating: Vec<Loss> = (0..1000)
            .map(|n| Loss::of_one(2 * n, if n % 2 == 0 { QueueFull } else { TooLarge }))
            .collect();
        let kept = all_of(&alternating);
        assert_eq!(kept.len(), MOST);
        assert_eq!(kept.iter().map(|loss| loss.count).sum::<u64>(), 1000);
        assert_eq!((kept[0].first, kept[MOST - 1].last), (0, 1998));
        assert_eq!(kept[0].reason, Several);
        assert!(kept.windows(2).all(|two| two[0].last < two[1].first));
    }

    #[test]
    fn is_taken_oldest_first() {
        let mut losses = Ranges::default();
        losses.add(loss(5, 5, TooLarge));
        losses.add(loss(1, 1, TooLarge));
        assert_eq!(losses.take(1), [loss(1, 1, TooLarge)]);
        assert!(!losses.is_empty());
        assert_eq!(losses.take(9), [loss(5, 5, TooLarge)]);
        assert!(losses.is_empty());
    }

    #[test]
    fn runs_are_told_of_apart_and_in_order_and_their_number_is_bounded() {
        let run = |boot: usize| Arc::new(Identity { eid: "e".into(), boot: boot.to_string() });
        let mut losses = Losses::default();
        losses.add(None, loss(1, 1, QueueFull));
        losses.add(Some(&run(2)), loss(7, 7, QueueFull));
        losses.add(Some(&run(1)), loss(7, 7, QueueFull));
        losses.add(Some(&run(2)), loss(8, 8, QueueFull));
        let told = |run: Option<usize>, told: &Told| {
            told.about.as_ref().map(|about| about.boot.clone()) == run.map(|run| run.to_string())
        };
        let first = losses.take(1);
        assert!(told(Some(2), &first[0]));
        assert_eq!(first[0].loss, loss(7, 8, QueueFull));
        let rest = losses.take(9);
        assert!(told(Some(1), &rest[0]) && told(None, &rest[1]) && losses.is_empty());
        (0..=MOST_RUNS).for_each(|boot| losses.add(Some(&run(boot)), loss(1, 1, QueueFull)));
        let all = losses.take(usize::MAX);
        assert_eq!(all.len(), MOST_RUNS);
        assert!(told(Some(1), &all[0]));
    }

    #[test]
    fn the_highest_number_is_no_accident() {
        let top = [loss(u64::MAX, u64::MAX, QueueFull), loss(0, 0, QueueFull)];
        assert_eq!(all_of(&top).len(), 2);
    }
}
