// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Who calls: people with a phone and a tone each, and what they hear of each other.

use std::time::Duration;

use rig::ground::CONFERENCE;
use rig::{Phone, eventually, seconds, tone};

use crate::print::{self, step};
use crate::stage::{Stage, letter};

/// The longest wait for what takes a moment; a machine can be busy with others.
pub(crate) const PATIENCE: Duration = seconds(60);
/// So much of what is heard is looked at.
const SPELL: Duration = Duration::from_millis(500);

/// Somebody in the conference.
pub(crate) struct Caller {
    pub(crate) name: &'static str,
    pub(crate) phone: Phone,
    /// The place of the node that took the call.
    pub(crate) node: usize,
}

impl Caller {
    /// Dials the conference, and says on which node it was answered.
    pub(crate) fn dial(stage: &Stage<'_>, name: &'static str, tone: u32) -> Self {
        step(&format!("{name}, who says {tone} Hz, dials {CONFERENCE}"), || {
            let phone = Phone::call(stage.kamailio.port(), CONFERENCE, tone);
            let node = stage.node_at(phone.wait_answered(PATIENCE));
            (format!("answered on node {}", letter(node)), Self { name, phone, node })
        })
    }

    /// Hangs up, which the node must hear of.
    pub(crate) fn hang_up(&self) {
        self.phone.hang_up();
        let answer = self.phone.wait_over(PATIENCE);
        assert_eq!(answer, Some(200), "the answer to {}'s BYE", self.name);
    }
}

/// Waits until each hears all the others and not itself, and prints how loud.
pub(crate) fn all_hear_each_other(callers: &[&Caller]) {
    let tones: Vec<u32> = callers.iter().map(|caller| caller.phone.tone()).collect();
    let names: Vec<&str> = callers.iter().map(|caller| caller.name).collect();
    let heard = step(&format!("{} hear each other", names.join(", ")), || {
        let heard: Vec<Vec<i16>> =
            callers.iter().map(|caller| hears_others(caller, &tones)).collect();
        ("each all others, nobody an echo".to_owned(), heard)
    });
    let head = callers.iter().map(|caller| format!("{} Hz", caller.phone.tone()));
    print::row("hears, in dB:", head);
    for (caller, samples) in callers.iter().zip(&heard) {
        let loud = tones.iter().map(|tone| decibels(tone::level(samples, *tone)));
        let label = format!("{} on node {}", caller.name, letter(caller.node));
        print::row(&label, loud);
    }
}

/// What a caller hears, once that is all other tones and no echo of its own.
fn hears_others(caller: &Caller, tones: &[u32]) -> Vec<i16> {
    let own = caller.phone.tone();
    let wanted: Vec<u32> = tones.iter().copied().filter(|tone| *tone != own).collect();
    eventually(&format!("{} to hear {wanted:?}", caller.name), PATIENCE, || {
        let samples = caller.phone.listen(SPELL);
        let heard = tone::heard(&samples, tones);
        if heard == wanted { Ok(samples) } else { Err(format!("{heard:?}")) }
    })
}

/// The level of a tone, for a reader: nothing below what counts as heard.
fn decibels(level: f64) -> String {
    if level > tone::HEARD { format!("{:.0}", 20.0 * level.log10()) } else { "·".to_owned() }
}
