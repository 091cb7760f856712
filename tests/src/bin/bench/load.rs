// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Events as the generator (`tests/bench/generator.c`) makes them.

use std::time::Duration;

/// So many events, evenly or in bursts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) events: u32,
    /// A second.
    pub(crate) rate: u32,
    /// So many at once, then a rest.
    pub(crate) burst: u32,
    /// Bytes that each event has more than the least.
    pub(crate) padding: u32,
    /// On so many channels, the first ones; 0: on all.
    pub(crate) channels: u32,
}

impl Load {
    /// As even as can be: a burst each millisecond, or one event at a time.
    pub(crate) fn even(rate: u32, lasts: Duration) -> Self {
        let events = f64::from(rate) * lasts.as_secs_f64();
        Self {
            events: events.round() as u32,
            rate,
            burst: (rate / 1000).max(1),
            padding: 0,
            channels: 0,
        }
    }

    /// The same number a second, but in bursts, so many a second.
    pub(crate) fn in_bursts(rate: u32, bursts: u32, lasts: Duration) -> Self {
        Self { burst: rate / bursts, ..Self::even(rate, lasts) }
    }

    pub(crate) fn padded(self, padding: u32) -> Self {
        Self { padding, ..self }
    }

    /// The same, on the first so many channels.
    pub(crate) fn among(self, channels: u32) -> Self {
        Self { channels, ..self }
    }

    /// How long it takes where nothing holds it up.
    pub(crate) fn lasts(&self) -> Duration {
        Duration::from_secs_f64(f64::from(self.events) / f64::from(self.rate))
    }

    /// The generator's command.
    pub(crate) fn command(&self) -> String {
        let Self { events, rate, burst, padding, channels } = self;
        format!("bench publish {events} {rate} {burst} {padding} {channels}")
    }
}
