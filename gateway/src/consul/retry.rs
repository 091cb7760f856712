// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! When to ask again after a failure: longer each time, with full jitter, so that gateways do not
//! keep step.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(250);
const CAP: Duration = Duration::from_secs(4);
/// A refused token gets its rights when somebody grants them.
const CAP_REFUSED: Duration = Duration::from_secs(15);

/// The delays of a row of failures.
#[derive(Debug)]
pub(crate) struct Retry(Duration);

impl Default for Retry {
    fn default() -> Self {
        Self(FIRST)
    }
}

impl Retry {
    pub(crate) fn after_failure(&mut self, is_refused: bool) -> Duration {
        let ceiling = self.0;
        self.0 = (ceiling * 2).min(if is_refused { CAP_REFUSED } else { CAP });
        ceiling.min(self.0).mul_f64(rand::random::<f64>())
    }

    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_their_cap_and_vary() {
        let longest = |is_refused| {
            let mut retry = Retry::default();
            (0..2000).map(|_| retry.after_failure(is_refused)).max().unwrap()
        };
        assert!(longest(false) <= CAP);
        assert!(CAP < longest(true) && longest(true) <= CAP_REFUSED);
        let mut retry = Retry::default();
        assert!(retry.after_failure(false) <= FIRST);
        retry.after_failure(false);
        retry.reset();
        assert!(retry.after_failure(false) <= FIRST);
    }
}
