// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What happened to how many events, for `amqp show status`, ARI and metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::loss::Reason;

/// Counts since the module was loaded. At rest `seen = filtered + unreadable + queued`, EventsLost
/// aside, and `queued + recovered = confirmed + dropped + what outbox and spool hold`. Without confirms
/// `published` stands for `confirmed`, and is more by what was being written when a connection ended
/// and was dropped later.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Events that Asterisk gave us.
    pub seen: AtomicU64,
    /// Of these, left out by the configuration.
    pub filtered: AtomicU64,
    /// Of these, without a name or a JSON form.
    pub unreadable: AtomicU64,
    /// Of these, written without Asterisk's help.
    pub written_directly: AtomicU64,
    /// Of these, compared with what Asterisk writes.
    pub compared: AtomicU64,
    /// Of these, not the same.
    pub differed: AtomicU64,
    /// Given a sequence number: the rest of them, and every EventsLost.
    pub queued: AtomicU64,
    /// Handed to a connection for the first time since the load.
    pub published: AtomicU64,
    /// Confirmed by a broker.
    pub confirmed: AtomicU64,
    /// Refused by a broker with a nack, to be sent again.
    pub nacked: AtomicU64,
    /// Lost, for any reason.
    pub dropped: AtomicU64,
    /// Of these, because the queue was full.
    pub dropped_queue_full: AtomicU64,
    /// Of these, because the event was larger than the whole queue.
    pub dropped_too_large: AtomicU64,
    /// Of these, because no broker would take the event.
    pub dropped_refused: AtomicU64,
    /// Of these, because Asterisk stopped.
    pub dropped_stopped: AtomicU64,
    /// Of these, because the spool was full.
    pub dropped_spool_full: AtomicU64,
    /// Of these, because their file in the spool could not be read.
    pub dropped_spool_corrupt: AtomicU64,
    /// Handed to one again after a connection or channel ended, or a nack.
    pub republished: AtomicU64,
    /// Written to the spool.
    pub spooled: AtomicU64,
    /// Found in the spool when it was opened: left by a run before.
    pub recovered: AtomicU64,
    /// Read back from the spool.
    pub replayed: AtomicU64,
    /// Given back by the broker because no queue was bound for them.
    pub returned: AtomicU64,
    /// Connections made again after one was lost.
    pub reconnects: AtomicU64,
}

impl Counters {
    /// Counts an event that Asterisk gave us.
    pub(crate) fn seen(&self) {
        count(&self.seen);
    }

    /// Counts one that is not to be published.
    pub(crate) fn filtered(&self) {
        count(&self.filtered);
    }

    /// Counts one that cannot be.
    pub(crate) fn unreadable(&self) {
        count(&self.unreadable);
    }

    /// Counts one that was written without Asterisk's help.
    pub(crate) fn written_directly(&self) {
        count(&self.written_directly);
    }

    /// Counts one that was written both ways.
    pub(crate) fn compared(&self) {
        count(&self.compared);
    }

    /// Counts one that was not the same both ways.
    pub(crate) fn differed(&self) {
        count(&self.differed);
    }

    /// Counts one that was lost, in all and by its reason.
    pub(crate) fn lost(&self, reason: Reason) {
        self.lost_many(reason, 1);
    }

    /// The same for several.
    pub(crate) fn lost_many(&self, reason: Reason, events: u64) {
        self.dropped.fetch_add(events, Ordering::Relaxed);
        let of_reason = match reason {
            Reason::QueueFull => &self.dropped_queue_full,
            Reason::TooLarge => &self.dropped_too_large,
            Reason::Refused => &self.dropped_refused,
            Reason::Stopped => &self.dropped_stopped,
            Reason::SpoolFull => &self.dropped_spool_full,
            Reason::SpoolCorrupt => &self.dropped_spool_corrupt,
            // The reason of a range; one event has one of the others.
            Reason::Several => return,
        };
        of_reason.fetch_add(events, Ordering::Relaxed);
    }

    /// Every counter's name and value, in the order to show them.
    pub(crate) fn values(&self) -> [(&'static str, u64); 23] {
        [
            ("seen", &self.seen),
            ("filtered", &self.filtered),
            ("unreadable", &self.unreadable),
            ("written_directly", &self.written_directly),
            ("compared", &self.compared),
            ("differed", &self.differed),
            ("queued", &self.queued),
            ("published", &self.published),
            ("confirmed", &self.confirmed),
            ("nacked", &self.nacked),
            ("dropped", &self.dropped),
            ("dropped_queue_full", &self.dropped_queue_full),
            ("dropped_too_large", &self.dropped_too_large),
            ("dropped_refused", &self.dropped_refused),
            ("dropped_stopped", &self.dropped_stopped),
            ("dropped_spool_full", &self.dropped_spool_full),
            ("dropped_spool_corrupt", &self.dropped_spool_corrupt),
            ("republished", &self.republished),
            ("spooled", &self.spooled),
            ("recovered", &self.recovered),
            ("replayed", &self.replayed),
            ("returned", &self.returned),
            ("reconnects", &self.reconnects),
        ]
        .map(|(name, counter)| (name, counter.load(Ordering::Relaxed)))
    }
}

/// Relaxed: counters are read to be shown, and nothing else hangs on them.
fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_counted_in_all_and_by_its_reason() {
        let counters = Counters::default();
        counters.lost(Reason::QueueFull);
        counters.lost(Reason::QueueFull);
        counters.lost(Reason::Refused);
        let values = counters.values();
        let value = |name| values.iter().find(|(n, _)| *n == name).unwrap().1;
        assert_eq!(value("dropped"), 3);
        assert_eq!(value("dropped_queue_full"), 2);
        assert_eq!(value("dropped_refused"), 1);
        assert_eq!(value("dropped_stopped"), 0);
    }
}
