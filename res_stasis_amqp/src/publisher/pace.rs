// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What a session may still send, and when it is over.

use std::time::{Duration, Instant};

/// What is still unconfirmed when the settings change is given this long.
const FINISH: Duration = Duration::from_secs(2);

/// What a channel's close may take at least, when the time for the rest is over.
const CLOSE: Duration = Duration::from_millis(300);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// All that comes.
    Flow,
    /// Nothing more; the confirms of what is out are waited for.
    Finish {
        by: Instant,
        /// What comes is published on another connection, which has to wait for this one's events.
        elsewhere: bool,
    },
    /// What is there, and then no more.
    Drain { by: Instant },
}

/// What a session has not done yet.
pub(super) struct Rest {
    pub(super) nothing_waits: bool,
    pub(super) unconfirmed: usize,
    pub(super) resting: usize,
    pub(super) blocked: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Nothing is left on the channel.
    Done,
    /// Something is, but its time is over.
    Cut,
}

impl Pace {
    /// Nothing more is to be published here. The time for what is out does not begin again when
    /// that is said again.
    pub(super) fn finish(self, now: Instant, elsewhere: bool) -> Self {
        match self {
            Self::Finish { by, .. } => Self::Finish { by, elsewhere },
            Self::Flow | Self::Drain { .. } => Self::Finish { by: now + FINISH, elsewhere },
        }
    }

    /// The server takes messages again: the time for them begins now.
    pub(super) fn unblocked(self, now: Instant) -> Self {
        match self {
            Self::Finish { elsewhere, .. } => Self::Finish { by: now + FINISH, elsewhere },
            Self::Flow | Self::Drain { .. } => self,
        }
    }

    /// Whether events may be taken from the outbox.
    pub(super) fn leases(self) -> bool {
        !matches!(self, Self::Finish { .. })
    }

    pub(super) fn end(self, rest: &Rest, now: Instant) -> Option<End> {
        let (done, cut) = match self {
            Self::Flow => (false, false),
            // Other publishing on the same connection waits for the end of an alarm: it would not
            // get through either.
            Self::Finish { by, elsewhere } => {
                (rest.unconfirmed == 0, if rest.blocked { elsewhere } else { now >= by })
            }
            Self::Drain { by } => {
                let left = rest.unconfirmed + rest.resting;
                (left == 0 && rest.nothing_waits, rest.blocked || now >= by)
            }
        };
        match (done, cut) {
            (true, _) => Some(End::Done),
            (false, true) => Some(End::Cut),
            (false, false) => None,
        }
    }

    /// How long the close of the channel may take.
    pub(super) fn patience(self, now: Instant) -> Duration {
        match self {
            Self::Flow => CLOSE,
            Self::Finish { by, .. } | Self::Drain { by } => {
                by.saturating_duration_since(now).max(CLOSE)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Rest = Rest { nothing_waits: true, unconfirmed: 0, resting: 0, blocked: false };
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_drain_ends_with_the_last_event_or_its_time_or_an_alarm() {
        let now = Instant::now();
        let drain = Pace::Drain { by: now + SECOND };
        assert_eq!(drain.end(&NOTHING, now), Some(End::Done));
        for rest in [
            Rest { nothing_waits: false, ..NOTHING },
            Rest { unconfirmed: 1, ..NOTHING },
            Rest { resting: 1, ..NOTHING },
        ] {
            assert_eq!(drain.end(&rest, now), None);
            assert_eq!(drain.end(&rest, now + SECOND), Some(End::Cut));
            assert_eq!(drain.end(&Rest { blocked: true, ..rest }, now), Some(End::Cut));
        }
    }

    #[test]
    fn new_publishing_waits_for_confirms_and_not_for_what_is_queued() {
        let now = Instant::now();
        let finish = Pace::Flow.finish(now, false);
        let rest = Rest { nothing_waits: false, resting: 9, ..NOTHING };
        assert_eq!(finish.end(&rest, now), Some(End::Done));
        let owed = Rest { unconfirmed: 1, ..rest };
        assert_eq!(finish.end(&owed, now), None);
        assert_eq!(finish.end(&owed, now + FINISH), Some(End::Cut));
        assert_eq!(finish.finish(now + FINISH, true).end(&owed, now + FINISH), Some(End::Cut));
    }

    #[test]
    fn during_an_alarm_only_another_connection_is_worth_leaving_for() {
        let now = Instant::now();
        let late = now + FINISH * 100;
        let stuck = Rest { unconfirmed: 1, blocked: true, ..NOTHING };
        let finish = Pace::Flow.finish(now, false);
        assert_eq!(finish.end(&stuck, late), None);
        assert_eq!(finish.finish(late, true).end(&stuck, now), Some(End::Cut));
        let moving = Rest { blocked: false, ..stuck };
        let again = finish.unblocked(late);
        assert_eq!(again.end(&moving, late), None);
        assert_eq!(again.end(&moving, late + FINISH), Some(End::Cut));
    }

    #[test]
    fn flow_never_ends_by_itself() {
        let now = Instant::now();
        assert_eq!(Pace::Flow.end(&NOTHING, now), None);
        assert_eq!(Pace::Flow.end(&Rest { blocked: true, ..NOTHING }, now), None);
    }
}
