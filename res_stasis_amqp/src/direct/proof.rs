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

    /// An event was written both ways. True if this ends the direct way of its type.
    pub(super) fn compared(&mut self, name: &str, is_same: bool) -> bool {
        match self.0.get_mut(name) {
            Some(proof) if !is_same => !std::mem::replace(&mut proof.is_off, true),
            _ => false,
        }
    }

    /// The types that are written the general way since one of them was not the same.
    pub(super) fn off(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(_, proof)| proof.is_off).map(|(name, _)| &**name)
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
    fn one_that_differed_is_general_for_ever_and_no_other() {
        let mut proofs = Proofs::default();
        for name in ["Dial", "ChannelVarset"] {
            assert_eq!(proofs.way(name), Way::Compare);
            assert!(!proofs.compared(name, true));
        }
        assert_eq!(proofs.off().count(), 0);
        assert!(proofs.compared("Dial", false));
        (0..3000).for_each(|_| assert_eq!(proofs.way("Dial"), Way::General));
        assert_eq!(proofs.way("ChannelVarset"), Way::Compare);
        assert_eq!(proofs.off().collect::<Vec<_>>(), ["Dial"]);
    }

    /// Two threads may be comparing events of one type.
    #[test]
    fn its_end_is_told_once() {
        let mut proofs = Proofs::default();
        (0..2).for_each(|_| assert_eq!(proofs.way("StasisStart"), Way::Compare));
        assert!(proofs.compared("StasisStart", false));
        assert!(!proofs.compared("StasisStart", false));
        assert!(!proofs.compared("StasisStart", true));
        assert_eq!(proofs.way("StasisStart"), Way::General);
    }

    /// However long it has been good.
    #[test]
    fn a_sample_ends_it_as_the_first_does() {
        let mut proofs = Proofs::default();
        let mut directly = 0;
        loop {
            match proofs.way("Dial") {
                Way::Direct => directly += 1,
                Way::Compare if directly > 5000 => break,
                Way::Compare => assert!(!proofs.compared("Dial", true)),
                Way::General => unreachable!("it was the same until now"),
            }
        }
        assert!(proofs.compared("Dial", false));
        assert_eq!(proofs.way("Dial"), Way::General);
    }

    #[test]
    fn names_are_bounded() {
        let mut proofs = Proofs::default();
        (0..MOST).for_each(|name| assert_eq!(proofs.way(&name.to_string()), Way::Compare));
        assert_eq!(proofs.way("one more"), Way::General);
        assert_eq!(proofs.way("0"), Way::Compare);
    }
}
