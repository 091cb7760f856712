// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Who publishes, and where an event stands among all that it ever published.

use std::fmt::Write;
use std::sync::Arc;

/// The node, and which of its runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The entity id: header `asterisk_id`.
    pub(crate) eid: String,
    /// Distinguishes the sequence numbers of this run from those of the run before.
    pub(crate) boot: String,
}

impl Identity {
    /// Property `message_id`: the same however often an event is sent, and by whichever run.
    pub(crate) fn message_id(&self, sequence: u64) -> String {
        // In one piece: it is made for every event.
        let mut id = String::with_capacity(self.eid.len() + self.boot.len() + 22);
        for part in [&self.eid, "/", &self.boot, "/"] {
            id.push_str(part);
        }
        // Writing to a string does not fail.
        let _ = write!(id, "{sequence}");
        id
    }
}

/// Whether that is the id of an event, of any run.
pub(crate) fn is_message_id(text: &str) -> bool {
    let mut parts = text.rsplitn(3, '/');
    let sequence = parts.next().is_some_and(|last| last.parse::<u64>().is_ok());
    sequence && parts.count() == 2
}

/// A former run, whose event came from the spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// Its place among the runs that left something: the oldest is 0.
    pub(crate) rank: u32,
    /// Which it was.
    pub(crate) identity: Arc<Identity>,
}

/// Where an event stands: by run, then by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    /// The rank of its run.
    pub(crate) rank: u32,
    /// Its number in that run.
    pub(crate) sequence: u64,
}

impl Place {
    /// The rank of this run: after all others.
    pub(crate) const THIS_RUN: u32 = u32::MAX;

    /// Number `sequence` of a former run, or of this one.
    pub(crate) fn of(origin: Option<&Origin>, sequence: u64) -> Self {
        Self { rank: origin.map_or(Self::THIS_RUN, |origin| origin.rank), sequence }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_id_is_known_whichever_run_it_is_of() {
        let identity = Identity { eid: "00:00:5e:00:53:01".into(), boot: "b/1".into() };
        assert_eq!(identity.message_id(7), "00:00:5e:00:53:01/b/1/7");
        assert!(is_message_id(&identity.message_id(7)));
        assert!(is_message_id("another/1795264822000/18446744073709551615"));
        assert!(!is_message_id("test") && !is_message_id("a/7") && !is_message_id("a/b/c"));
    }

    #[test]
    fn places_are_in_order_of_runs_then_numbers() {
        let place = |rank, sequence| Place { rank, sequence };
        let places =
            [place(0, 1), place(0, 900), place(1, 1), place(9, 3), place(Place::THIS_RUN, 1)];
        assert!(places.windows(2).all(|two| two[0] < two[1]));
    }
}
