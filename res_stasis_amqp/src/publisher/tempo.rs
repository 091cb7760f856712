// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! How fast events come, and so whether to let some gather before they are taken.
//!
//! To be woken costs more than an event does. While few come each goes out at once. Many are taken
//! every [`GATHER`]: whether they are many is told by a leaky bucket, which overflows in the first
//! milliseconds of a burst and is empty again soon after its end.

use std::time::{Duration, Instant};

/// How long events gather while many come: the most that this adds to one's way.
const GATHER: Duration = Duration::from_millis(5);

/// What leaks from the bucket. To gather fewer is not worth the delay.
const EVENTS_PER_MS: f64 = 2.0;

/// The events it takes to overflow, and to stay so until the next are taken.
const MANY: f64 = 10.0;
const MOST: f64 = 2.0 * MANY;

pub(super) struct Tempo {
    level: f64,
    at: Instant,
}

impl Tempo {
    pub(super) fn new(now: Instant) -> Self {
        Self { level: 0.0, at: now }
    }

    /// `events` were taken just now, perhaps none. Until when to leave what comes next; none: not
    /// at all.
    pub(super) fn took(&mut self, events: usize, now: Instant) -> Option<Instant> {
        let passed = now.saturating_duration_since(self.at).as_secs_f64() * 1000.0;
        self.at = now;
        let rest = (self.level - passed * EVENTS_PER_MS).max(0.0);
        self.level = (rest + events as f64).min(MOST);
        (self.level >= MANY).then(|| now + GATHER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes `events` every `pause`, a hundred times; how often the next were left to gather.
    fn gathered(tempo: &mut Tempo, now: &mut Instant, events: usize, pause: Duration) -> usize {
        let mut taken = || {
            *now += pause;
            tempo.took(events, *now).is_some_and(|until| until == *now + GATHER)
        };
        (0..100).filter(|_| taken()).count()
    }

    #[test]
    fn many_gather_and_few_go_at_once() {
        let micros = Duration::from_micros;
        let mut now = Instant::now();
        let mut tempo = Tempo::new(now);
        assert_eq!(gathered(&mut tempo, &mut now, 1, micros(1000)), 0, "a thousand a second");
        assert_eq!(gathered(&mut tempo, &mut now, 5, micros(5000)), 0, "the same in fives");
        assert!(gathered(&mut tempo, &mut now, 1, micros(100)) > 80, "ten thousand a second");
        assert_eq!(gathered(&mut tempo, &mut now, 50, GATHER), 100, "the same, gathered");
        assert!(gathered(&mut tempo, &mut now, 0, micros(1000)) < 10, "nothing");
    }

    #[test]
    fn a_burst_gathers_from_its_tenth_event_on_and_the_next_event_goes_at_once() {
        let start = Instant::now();
        let mut tempo = Tempo::new(start);
        assert_eq!(tempo.took(9, start), None);
        assert_eq!(tempo.took(1, start), Some(start + GATHER));
        tempo.took(500, start + GATHER);
        assert_eq!(tempo.took(0, start + GATHER * 2), Some(start + GATHER * 3));
        assert_eq!(tempo.took(1, start + GATHER * 4), None);
    }
}
