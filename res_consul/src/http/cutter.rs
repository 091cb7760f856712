// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Ends what another thread waits for.
//!
//! Every socket is known from before it connects until it is closed, and shutting it down ends a
//! read, a write or a handshake on it at once. A connect looks for itself (`dial`): a shutdown that
//! comes before it would have no effect.

use std::net::Shutdown;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use socket2::Socket;

/// Cuts the requests of one client or watch, from any thread.
#[derive(Default)]
pub(crate) struct Cutter(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    /// Nothing is begun any more.
    ended: bool,
    cuts: u64,
    sockets: Vec<Weak<Socket>>,
}

/// The time between two cuts. What was begun in one is over at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn(u64);

impl Cutter {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The turn there is; none after the end.
    pub(crate) fn turn(&self) -> Option<Turn> {
        let inner = self.inner();
        (!inner.ended).then_some(Turn(inner.cuts))
    }

    pub(crate) fn is_cut(&self, turn: Turn) -> bool {
        self.turn() != Some(turn)
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.inner().ended
    }

    /// Has `socket` shut down at the end of `turn`. `false` if that has come already.
    pub(super) fn add(&self, turn: Turn, socket: &Arc<Socket>) -> bool {
        let mut inner = self.inner();
        inner.sockets.retain(|known| known.strong_count() > 0);
        inner.sockets.push(Arc::downgrade(socket));
        !inner.ended && Turn(inner.cuts) == turn
    }

    /// Ends what goes on. Waits for nothing.
    pub(crate) fn cut(&self) {
        self.cut_and(false);
    }

    /// Ends what goes on, and has nothing begin again.
    pub(crate) fn end(&self) {
        self.cut_and(true);
    }

    fn cut_and(&self, ended: bool) {
        let mut inner = self.inner();
        inner.ended |= ended;
        inner.cuts += 1;
        for socket in inner.sockets.drain(..).filter_map(|socket| socket.upgrade()) {
            // It fails only where there is nothing to end.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_ends_with_the_next_cut_and_none_follows_the_end() {
        let cutter = Cutter::default();
        let first = cutter.turn().unwrap();
        assert!(!cutter.is_cut(first));
        cutter.cut();
        assert!(cutter.is_cut(first));
        let second = cutter.turn().unwrap();
        assert_ne!(first, second);
        cutter.end();
        assert!(cutter.is_cut(second) && cutter.has_ended());
        assert_eq!(cutter.turn(), None);
    }
}
