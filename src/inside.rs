// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! How many of the host's threads are inside callbacks of a kind that the host does not count, so
//! that an unload can wait for them.

use std::sync::atomic::{AtomicUsize, Ordering};

pub(crate) struct Inside(AtomicUsize);

/// A thread that is inside, until this is dropped.
pub(crate) struct Visit<'a>(&'a Inside);

impl Inside {
    pub(crate) const fn nobody() -> Self {
        Self(AtomicUsize::new(0))
    }

    pub(crate) fn enter(&self) -> Visit<'_> {
        self.0.fetch_add(1, Ordering::AcqRel);
        Visit(self)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.load(Ordering::Acquire) == 0
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::Inside;

    #[test]
    fn it_is_empty_when_the_last_has_left() {
        let inside = Inside::nobody();
        assert!(inside.is_empty());
        let (first, second) = (inside.enter(), inside.enter());
        drop(first);
        assert!(!inside.is_empty());
        drop(second);
        assert!(inside.is_empty());
    }
}
