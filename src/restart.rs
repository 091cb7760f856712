// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Work that a panic does not end.

use crate::boundary::guard;

/// Runs `live` until it returns: again after a panic, which is in the log, once `pause` has
/// returned. Threads of the module.
pub fn restarting(mut live: impl FnMut(), mut pause: impl FnMut()) {
    let mut has_ended = false;
    while !has_ended {
        has_ended = guard(false, || {
            live();
            true
        });
        if !has_ended {
            pause();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::restarting;

    #[test]
    fn it_lives_again_after_each_panic_until_it_returns() {
        let (lives, pauses) = (Cell::new(0), Cell::new(0));
        let live = || {
            lives.set(lives.get() + 1);
            assert!(lives.get() > 2, "injected");
        };
        restarting(live, || pauses.set(pauses.get() + 1));
        assert_eq!((lives.get(), pauses.get()), (3, 2));
    }
}
