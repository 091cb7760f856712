// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The end: the node is deregistered, within a time that unload and shutdown can wait.

use std::time::{Duration, Instant};

use asterisk::config::value::show_duration;

use super::{Worker, tell};
use crate::agent::{Agent, Failure};

/// What the deregistration at the end may take.
const FAREWELL: Duration = Duration::from_millis(1200);

/// Between two tries of it.
const FAREWELL_PAUSE: Duration = Duration::from_millis(50);

impl Worker {
    /// Deregisters, and warns of what could not be.
    pub(super) fn farewell(&mut self) {
        self.lines.begin_last();
        let deadline = Instant::now() + FAREWELL;
        let failure = loop {
            let failure = match self.keeper.leave(&Agent(&*self.lines)) {
                Ok(()) => break None,
                Err(failure) => failure,
            };
            let may_pass = matches!(failure, Failure::Silent(_));
            if !may_pass || Instant::now() + FAREWELL_PAUSE >= deadline {
                break Some(failure);
            }
            // The line may have been cut under it.
            self.lines.cut();
            std::thread::sleep(FAREWELL_PAUSE);
        };
        for note in self.keeper.take_notes() {
            tell(&note);
        }
        self.remember();
        if let (Some(failure), false) = (failure, self.keeper.is_gone()) {
            let (id, then) = (&self.wanted.identity.id, self.left_behind());
            asterisk::warning!("'{id}' could not be deregistered: {failure}; {then}");
        }
    }

    /// What becomes of a registration that stays.
    fn left_behind(&self) -> String {
        let check = self.registration.as_ref().and_then(|wanted| wanted.check.as_ref());
        let Some(check) = check else {
            return "it stays in Consul until it is removed there or this node starts again"
                .to_owned();
        };
        let interval = show_duration(&check.interval);
        let forgotten = check.deregister_after.map_or(String::new(), |time| {
            let time = show_duration(&time);
            format!(", and Consul forgets it {time} later")
        });
        format!("its check turns critical within about {interval}{forgotten}")
    }
}
