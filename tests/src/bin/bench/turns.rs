// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Who is first changes from round to round, so that nobody always comes after the same.

/// All of them, once, beginning with another in each round.
pub(crate) fn in_turn<T>(all: &[T], round: u32) -> impl Iterator<Item = &T> {
    all.iter().cycle().skip(round as usize % all.len().max(1)).take(all.len())
}
