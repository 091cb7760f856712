// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What the network between a client and its server is like, in each direction.

use std::time::Duration;

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Towards {
    /// From the client to the server.
    Server,
    /// From the server to the client.
    Client,
}

/// A network to describe: at first it passes everything on at once, in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Network {
    pub(super) listens: bool,
    pub(super) ways: [Way; 2],
    /// All connections are reset, again and again, after this time.
    pub(super) resets: Option<Duration>,
}

/// What happens to the bytes of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Open(Road),
    /// Nothing is read: the sender's window fills.
    Shut,
    /// Everything is read and thrown away.
    Lost,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Road {
    /// How long each piece is under way.
    pub(super) delay: Duration,
    /// Bytes a second.
    pub(super) rate: Option<u32>,
    /// The most bytes that are written at one time.
    pub(super) slice: Option<usize>,
}

impl Network {
    /// Passes everything on at once.
    pub const fn good() -> Self {
        let road = Road { delay: Duration::ZERO, rate: None, slice: None };
        Self { listens: true, ways: [Way::Open(road); 2], resets: None }
    }

    /// Each piece is passed on after this time, in both directions.
    pub fn delay(self, time: Duration) -> Self {
        self.open(|road| Road { delay: time, ..road })
    }

    /// Each direction of each connection passes so many bytes a second.
    pub fn throttle(self, bytes: u32) -> Self {
        self.open(|road| Road { rate: Some(bytes.max(1)), ..road })
    }

    /// Bytes are passed on in pieces of at most so many.
    pub fn slice(self, bytes: usize) -> Self {
        self.open(|road| Road { slice: Some(bytes.max(1)), ..road })
    }

    /// Nothing is read any more that goes in this direction; the other one works.
    pub fn cut(mut self, towards: Towards) -> Self {
        self.ways[towards as usize] = Way::Shut;
        self
    }

    /// All connections are reset, now and again each time this is over.
    pub fn reset_every(self, time: Duration) -> Self {
        Self { resets: Some(time), ..self }
    }

    pub(super) const fn refusing() -> Self {
        Self { listens: false, ..Self::good() }
    }

    pub(super) const fn swallowing() -> Self {
        let mut network = Self::good();
        network.ways[Towards::Client as usize] = Way::Lost;
        network
    }

    pub(super) const fn black_hole() -> Self {
        Self { ways: [Way::Shut; 2], ..Self::good() }
    }

    /// Whether no connection to the server is to be made.
    pub(super) fn is_black_hole(&self) -> bool {
        self.ways == [Way::Shut; 2]
    }

    pub(super) fn way(&self, towards: Towards) -> Way {
        self.ways[towards as usize]
    }

    fn open(mut self, change: impl Fn(Road) -> Road) -> Self {
        for way in &mut self.ways {
            if let Way::Open(road) = way {
                *road = change(*road);
            }
        }
        self
    }
}

impl Way {
    /// Whether what came in is written on.
    pub(super) fn is_open(self) -> bool {
        matches!(self, Self::Open(_))
    }
}
