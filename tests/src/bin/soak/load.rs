// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What Asterisk has to do meanwhile: events at a steady rate, and calls.

use std::time::Duration;

use rig::{Asterisk, Builder, Call, seconds};

use crate::servers::{APP, Servers};

/// Bursts a second in which the events come.
const BURSTS: u32 = 10;

/// Adds the extensions that are called.
pub(crate) fn furnish(node: Builder) -> Builder {
    node.load("app_exec")
        .extension("stay", &["Answer()", "Wait(100000)"])
        .extension("call", &["Answer()", "Wait(1)", "Hangup()"])
        .extension("application", &["Answer()", &format!("Stasis({APP})"), "Hangup()"])
        .extension(
            "events",
            &[
                "Answer()",
                "Set(I=0)",
                "While(1)",
                "Set(I=$[(${I} + 1) % 1000000])",
                "ExecIf($[${I} % ${BURST} = 0]?Wait(0.1))",
                "EndWhile()",
            ],
        )
}

/// A channel that sets a variable again and again, and calls beside it.
pub(crate) struct Load {
    burst: u32,
    calls: [Call; 2],
}

impl Load {
    /// Begins; calls go on for so long.
    pub(crate) fn start(asterisk: &Asterisk, rate: u32, length: Duration) -> Self {
        // Each variable that is set makes two events, one of the channel and one of AMI.
        let burst = (rate / BURSTS / 2).max(1);
        set_burst(asterisk, burst);
        let path = "/channels?endpoint=Local/stay@default&context=default&extension=events";
        asterisk.ari().post(path).ok();
        let count = u32::try_from(length.as_secs()).unwrap_or(u32::MAX);
        let calls = |extension, hold| Call::several(asterisk, extension, hold, count, 1);
        // The first are ended by Asterisk and the second by the phone, never by both at once.
        Self { burst, calls: [calls("call", seconds(30)), calls("application", seconds(2))] }
    }

    /// Brings the rate nearer to what is wanted, from what it was.
    pub(crate) fn adjust(&mut self, asterisk: &Asterisk, wanted: f64, was: f64) {
        let burst = f64::from(self.burst) * (wanted / was.max(1.0)).clamp(0.5, 2.0);
        self.burst = (burst.round() as u32).max(1);
        set_burst(asterisk, self.burst);
    }

    /// Waits for the calls to end, ends the rest, and gives what went wrong with a call.
    pub(crate) fn end(self, servers: &Servers<'_>) -> Vec<String> {
        let outcomes = self.calls.map(|call| call.outcome(seconds(120)));
        let asterisk = &servers.asterisk;
        asterisk.hang_up_all(seconds(30));
        let beginning = |reason: String| reason.lines().take(6).collect::<Vec<_>>().join("\n");
        outcomes.into_iter().filter_map(Result::err).map(beginning).collect()
    }
}

fn set_burst(asterisk: &Asterisk, burst: u32) {
    asterisk.cli(&format!("dialplan set global BURST {burst}"));
}
