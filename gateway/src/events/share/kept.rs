// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Events that another gateway's socket is to be told, for the case that it ends first.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::place::CallKey;
use super::told::Position;

/// Longer than Consul and the others take to find out that a gateway is dead.
const LONGEST: Duration = Duration::from_secs(30);
/// All of them together. When there are more the oldest go: they are told to nobody then, should
/// the gateway that has them die.
const BYTES: usize = 64 << 20;
/// Around a text.
const ENVELOPE: usize = 200;

#[derive(Debug)]
pub(super) struct KeptEvent {
    pub at: Instant,
    pub app: Arc<str>,
    pub call: CallKey,
    pub position: Option<Position>,
    /// It is the call's `StasisStart`.
    pub begins: bool,
    pub text: Utf8Bytes,
}

impl KeptEvent {
    fn bytes(&self) -> usize {
        self.text.len() + ENVELOPE
    }
}

/// What becomes of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Stays,
    Goes,
}

/// They, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Kept {
    events: VecDeque<KeptEvent>,
    bytes: usize,
}

impl Kept {
    pub(super) fn push(&mut self, event: KeptEvent) {
        let now = event.at;
        self.bytes += event.bytes();
        self.events.push_back(event);
        self.let_go(now);
    }

    /// What has been kept for too long, or is too much.
    pub(super) fn let_go(&mut self, now: Instant) {
        let is_over = |kept: &Self| {
            let first = kept.events.front();
            kept.bytes > BYTES || first.is_some_and(|one| now.duration_since(one.at) > LONGEST)
        };
        while is_over(self) {
            let Some(oldest) = self.events.pop_front() else { break };
            self.bytes -= oldest.bytes();
        }
    }

    /// Looks at each, in order.
    pub(super) fn sort_out(&mut self, mut fate: impl FnMut(&KeptEvent) -> Fate) {
        self.events.retain(|event| fate(event) == Fate::Stays);
        self.bytes = self.events.iter().map(KeptEvent::bytes).sum();
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(at: Instant, text: &str) -> KeptEvent {
        let call = CallKey { id: "c".into(), began: 1 };
        KeptEvent { at, app: "a".into(), call, position: None, begins: false, text: text.into() }
    }

    #[test]
    fn what_is_kept_is_bounded_in_time_and_size() {
        let (mut kept, now) = (Kept::default(), Instant::now());
        for second in 0..100 {
            kept.push(event(now + Duration::from_secs(second), "x"));
        }
        assert_eq!(kept.len(), 31);
        let large = "x".repeat(BYTES / 4);
        for _ in 0..9 {
            kept.push(event(now + Duration::from_secs(100), &large));
        }
        assert_eq!(kept.len(), 3);
        let mut count = 0;
        kept.sort_out(|_| {
            count += 1;
            if count == 2 { Fate::Goes } else { Fate::Stays }
        });
        assert_eq!((kept.len(), kept.bytes), (2, 2 * (large.len() + ENVELOPE)));
        kept.let_go(now + Duration::from_secs(131));
        assert_eq!((kept.len(), kept.bytes), (0, 0));
    }
}
