// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! When to ask again after a failure.

use std::time::Duration;

use asterisk::backoff::{Backoff, Exponential};

const FIRST: Duration = Duration::from_millis(250);

/// Consul must be found again within 5 s of coming up.
const CAP: Duration = Duration::from_secs(4);

/// A refused token gets its rights when somebody grants them.
const CAP_REFUSED: Duration = Duration::from_secs(15);

/// What kind of failure it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// No answer, or none that can be used.
    Failing,
    /// The token is refused.
    Refused,
}

/// The delays after failures, longer each time until [`Retry::reset`].
#[derive(Debug)]
pub(crate) struct Retry {
    failing: Backoff,
    refused: Backoff,
}

impl Default for Retry {
    fn default() -> Self {
        let to =
            |cap| Backoff::new(Exponential::new(FIRST, 2, cap).unwrap_or(Exponential::CONNECT));
        Self { failing: to(CAP), refused: to(CAP_REFUSED) }
    }
}

impl Retry {
    pub(crate) fn after(&mut self, class: Class) -> Duration {
        match class {
            Class::Failing => {
                self.refused.reset();
                self.failing.next_delay()
            }
            Class::Refused => {
                self.failing.reset();
                self.refused.next_delay()
            }
        }
    }

    pub(crate) fn reset(&mut self) {
        self.failing.reset();
        self.refused.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn longest(class: Class) -> Duration {
        let mut retry = Retry::default();
        (0..2000).map(|_| retry.after(class)).max().unwrap()
    }

    #[test]
    fn delays_are_capped_by_what_went_wrong() {
        assert!(longest(Class::Failing) <= CAP);
        let refused = longest(Class::Refused);
        assert!(CAP < refused && refused <= CAP_REFUSED, "{refused:?}");
    }

    #[test]
    fn one_kind_of_failure_ends_the_other() {
        let mut retry = Retry::default();
        for _ in 0..20 {
            retry.after(Class::Refused);
        }
        retry.after(Class::Failing);
        assert!(retry.after(Class::Refused) <= FIRST);
        retry.reset();
        assert!(retry.after(Class::Failing) <= FIRST);
    }
}
