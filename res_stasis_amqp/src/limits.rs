// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The bounds of the queue in memory.

/// What happens to a new event for which there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overflow {
    /// It takes the place of the oldest queued ones.
    DropOldest,
    /// It is dropped.
    DropNewest,
}

/// How much may be queued and in flight together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Events.
    pub events: usize,
    /// Bytes, by [`Event::cost`].
    pub bytes: usize,
    /// What happens beyond.
    pub overflow: Overflow,
}
