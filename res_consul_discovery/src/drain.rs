// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A drain: running calls live on, and when the last has ended the node goes.

use std::time::{Duration, Instant};

/// How long there must be no channel: between the parts of a transfer there may be none for a
/// moment, and a call may be on its way from a dispatcher that has not heard yet.
const QUIET: Duration = Duration::from_secs(1);

/// How long a stop waits for Consul to take the node away.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a drain stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Drain {
    /// None is wanted.
    #[default]
    Off,
    /// The node is in maintenance, and calls live.
    Waiting {
        /// Whether Asterisk is to be stopped at the end.
        stop: bool,
        /// Since when there has been no channel.
        quiet_since: Option<Instant>,
    },
    /// The last call has ended; the node is to be deregistered.
    Leaving { stop: bool, since: Instant },
    /// It is not in Consul any more.
    Left { stop: bool },
    /// Asterisk has been told to stop.
    Stopping,
}

impl Drain {
    /// As it begins.
    pub(crate) fn begin(stop: bool) -> Self {
        Self::Waiting { stop, quiet_since: None }
    }

    /// The same, with another wish about the stop.
    pub(crate) fn with_stop(self, stop: bool) -> Self {
        match self {
            Self::Off => Self::begin(stop),
            Self::Waiting { quiet_since, .. } => Self::Waiting { stop, quiet_since },
            Self::Leaving { since, .. } => Self::Leaving { stop, since },
            Self::Left { .. } => Self::Left { stop },
            Self::Stopping => Self::Stopping,
        }
    }

    /// Whether maintenance is wanted for it.
    pub(crate) fn wants_maintenance(self) -> bool {
        matches!(self, Self::Waiting { .. } | Self::Leaving { .. })
    }

    /// Whether the node may be in Consul.
    pub(crate) fn lets_register(self) -> bool {
        matches!(self, Self::Off | Self::Waiting { .. })
    }

    /// Whether the number of channels matters.
    pub(crate) fn counts_channels(self) -> bool {
        !matches!(self, Self::Off | Self::Stopping | Self::Left { stop: false })
    }

    /// What follows from the number of channels and the time.
    pub(crate) fn look(self, channels: usize, now: Instant) -> Self {
        match self {
            Self::Waiting { stop, .. } if channels > 0 => Self::begin(stop),
            Self::Waiting { stop, quiet_since } => {
                let since = quiet_since.unwrap_or(now);
                if now.saturating_duration_since(since) >= QUIET {
                    Self::Leaving { stop, since: now }
                } else {
                    Self::Waiting { stop, quiet_since: Some(since) }
                }
            }
            Self::Leaving { stop: true, since }
                if now.saturating_duration_since(since) >= PATIENCE =>
            {
                Self::Left { stop: true }
            }
            Self::Left { stop: true } if channels == 0 => Self::Stopping,
            Self::Off | Self::Leaving { .. } | Self::Left { .. } | Self::Stopping => self,
        }
    }

    /// The node is deregistered.
    pub(crate) fn deregistered(self) -> Self {
        match self {
            Self::Leaving { stop, .. } => Self::Left { stop },
            Self::Off | Self::Waiting { .. } | Self::Left { .. } | Self::Stopping => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn later(now: Instant, seconds: u64) -> Instant {
        now + Duration::from_secs(seconds)
    }

    #[test]
    fn it_waits_for_the_last_call_then_leaves() {
        let now = Instant::now();
        let drain = Drain::begin(false).look(2, now);
        assert!(drain.wants_maintenance() && drain.lets_register() && drain.counts_channels());
        // A moment without channels is none.
        let drain = drain.look(0, now).look(1, later(now, 9)).look(0, later(now, 10));
        assert!(matches!(drain, Drain::Waiting { .. }));
        let drain = drain.look(0, later(now, 11));
        assert_eq!(drain, Drain::Leaving { stop: false, since: later(now, 11) });
        assert!(drain.wants_maintenance() && !drain.lets_register());
        // Consul is away: it is deregistered when that is back.
        let drain = drain.look(0, later(now, 999));
        assert!(matches!(drain, Drain::Leaving { .. }));
        let drain = drain.deregistered();
        assert_eq!(drain, Drain::Left { stop: false });
        assert!(!drain.wants_maintenance() && !drain.lets_register() && !drain.counts_channels());
        assert_eq!(drain.look(0, later(now, 1000)), drain);
    }

    #[test]
    fn it_stops_asterisk_once_and_never_over_a_call() {
        let now = Instant::now();
        let drain = Drain::begin(true).look(0, now).look(0, later(now, 1)).deregistered();
        assert_eq!(drain.look(1, now), Drain::Left { stop: true });
        let drain = drain.look(0, now);
        assert_eq!(drain, Drain::Stopping);
        assert_eq!(drain.look(0, now), Drain::Stopping);
    }

    #[test]
    fn a_stop_does_not_wait_for_consul_for_ever() {
        let now = Instant::now();
        let drain = Drain::Leaving { stop: true, since: now };
        assert_eq!(drain.look(0, later(now, 9)), drain);
        assert_eq!(drain.look(0, later(now, 10)), Drain::Left { stop: true });
    }

    #[test]
    fn the_wish_about_the_stop_can_change() {
        let now = Instant::now();
        assert_eq!(Drain::Left { stop: false }.with_stop(true).look(0, now), Drain::Stopping);
        assert_eq!(Drain::Off.with_stop(true), Drain::begin(true));
        let waiting = Drain::begin(false).look(0, now);
        let wanted = Drain::Waiting { stop: true, quiet_since: Some(now) };
        assert_eq!(waiting.with_stop(true), wanted);
    }
}
