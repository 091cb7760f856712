// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The kept connections to one node. Those of each serving thread lie by themselves, since what
//! drives a connection runs on the thread that opened it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::net::{Sender, threads};

/// An open connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub sender: Sender,
    /// The thread that drives it.
    place: usize,
    _open: Open,
}

/// Counts a connection while it is there.
#[derive(Debug)]
struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Connections that nobody uses, by thread.
#[derive(Debug)]
pub(super) struct Pool {
    shelves: Box<[Shelf]>,
    open: Arc<AtomicUsize>,
    most: usize,
    keep: Duration,
}

/// The one used last is at the end.
type Shelf = Mutex<Vec<(Connection, Instant)>>;

impl Pool {
    /// At `most` connections at one time, each kept for `keep` after its last use.
    pub(super) fn new(most: usize, keep: Duration) -> Self {
        let shelves = (0..=threads::count()).map(|_| Shelf::default()).collect();
        Self { shelves, open: Arc::default(), most, keep }
    }

    /// Counts a connection that this thread has opened.
    pub(super) fn opened(&self, sender: Sender) -> Connection {
        self.open.fetch_add(1, Ordering::Relaxed);
        Connection { sender, place: threads::place(), _open: Open(Arc::clone(&self.open)) }
    }

    /// A connection of this thread; of another, which is slower, where no more may be opened.
    pub(super) fn take(&self) -> Option<Connection> {
        let own = threads::place();
        self.take_of(own).or_else(|| {
            let is_full = self.open.load(Ordering::Relaxed) >= self.most;
            let mut others = (0..self.shelves.len()).filter(|place| is_full && *place != own);
            others.find_map(|place| self.take_of(place))
        })
    }

    fn take_of(&self, place: usize) -> Option<Connection> {
        let mut shelf = self.shelf(place)?;
        let (connection, since) = shelf.pop()?;
        if since.elapsed() < self.keep {
            return Some(connection);
        }
        // All others are older.
        shelf.clear();
        None
    }

    /// Takes a connection back whose answer has been read to its end.
    pub(super) fn put(&self, connection: Connection) {
        if !connection.sender.is_closed()
            && let Some(mut shelf) = self.shelf(connection.place)
        {
            shelf.push((connection, Instant::now()));
        }
    }

    fn shelf(&self, place: usize) -> Option<MutexGuard<'_, Vec<(Connection, Instant)>>> {
        Some(self.shelves.get(place)?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
