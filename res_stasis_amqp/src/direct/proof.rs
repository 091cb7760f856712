// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Whether a type of event is written directly: only for as long as that is what the host writes.

use std::collections::HashMap;

/// The first events of a type, each of which is compared.
const FIRST: u64 = 32;

/// After those, one of so many.
const SAMPLE: u64 = 1024;

/// Types that are known. Names of events are Asterisk's own; should somebody make up more, those
/// are written the general way.
const MOST: usize = 256;

/// What is to be done with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Written directly.
    Direct,
    /// Written both ways, and compared.
    Compare,
    /// Written the general way: this type was once not the same.
    General,
}

/// How the types stand.
#[derive(Default)]
pub(super) struct Proofs(HashMap<Box<str>, Proof>);

#[derive(Default)]
struct Proof {
    events: u64,
    is_off: bool,
}

impl Proofs {
    /// An event of a type comes.
    pub(super) fn way(&mut self, name: &str) -> Way {
        let Some(proof) = self.0.get_mut(name) else {
            if self.0.len() >= MOST {
                return Way::General;
            }
            self.0.insert(name.into(), Proof { events: 1, is_off: false });
            return Way::Compare;
        };
        if proof.is_off {
            return Way::General;
        }
        let is_checked = proof.events < FIRST || proof.events.is_multiple_of(SAMPLE);
        proof.events += 1;
        if is_checked { Way::Compare } else { Way::Direct }
    }

    /// An event was not the same both ways.
    pub(super) fn fail(&mut self, name: &str) {
        if let Some(proof) = self.0.get_mut(name) {
            proof.is_off = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_are_compared_and_then_some_for_ever() {
        let mut proofs = Proofs::default();
        let mut count =
            |events: u64| (0..events).filter(|_| proofs.way("Dial") == Way::Compare).count();
        assert_eq!(count(FIRST), 32);
        assert_eq!(count(SAMPLE - FIRST), 0);
        assert_eq!(count(SAMPLE * 100), 100);
    }

    #[test]
    fn one_that_failed_is_general_and_no_other() {
        let mut proofs = Proofs::default();
        assert_eq!(proofs.way("Dial"), Way::Compare);
        assert_eq!(proofs.way("ChannelVarset"), Way::Compare);
        proofs.fail("Dial");
        (0..3000).for_each(|_| assert_eq!(proofs.way("Dial"), Way::General));
        assert_eq!(proofs.way("ChannelVarset"), Way::Compare);
    }

    #[test]
    fn names_are_bounded() {
        let mut proofs = Proofs::default();
        (0..MOST).for_each(|name| assert_eq!(proofs.way(&name.to_string()), Way::Compare));
        assert_eq!(proofs.way("one more"), Way::General);
        assert_eq!(proofs.way("0"), Way::Compare);
    }
}
