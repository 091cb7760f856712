// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Events in numbers: channels that count in a variable.

use rig::{Asterisk, Builder, Call, eventually, seconds};
use serde_json::json;

/// Channels that share a burst.
const CHANNELS: u32 = 4;

/// One that does not end by itself.
const ENDLESS: u32 = 1_000_000_000;

/// How many events, how fast.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    /// A channel counts so often a second, from before the fault until after it.
    pub(crate) steady: u32,
    /// So often more, by several channels …
    pub(crate) burst: u32,
    /// … and so many a second, together.
    pub(crate) burst_rate: u32,
    /// The fault comes when so many events are confirmed. A burst begins before it.
    pub(crate) before: u64,
}

/// The extensions that do it, and the one that talks.
pub(crate) fn extensions(builder: Builder) -> Builder {
    builder
        .extension("stay", &["Answer()", "Wait(3600)"])
        .extension("talk", &["Answer()", "Echo()"])
        .extension(
            "count",
            &[
                "Answer()",
                "Set(I=0)",
                "While($[${I} < ${COUNT}])",
                "Set(I=$[${I} + 1])",
                "GosubIf($[${I} % ${EACH} = 0]?rest,1)",
                "EndWhile()",
                "Set(DONE=yes)",
                "Wait(3600)",
            ],
        )
        .extension("rest", &["Wait(${REST})", "Return()"])
}

/// A channel that counts.
pub(crate) struct Channel {
    pub(crate) id: String,
    pub(crate) name: String,
}

impl Channel {
    /// Counts to `count`, `rate` times a second.
    #[track_caller]
    pub(crate) fn start(asterisk: &Asterisk, count: u32, rate: u32) -> Self {
        // Twenty rests a second, or one for each event.
        let (each, rest) = match rate {
            0..20 => (1, 1.0 / f64::from(rate.max(1))),
            _ => (rate / 20, 0.05),
        };
        let variables = json!({"variables": {
            "COUNT": count.to_string(), "EACH": each.to_string(), "REST": format!("{rest:.3}"),
        }});
        let path = "/channels?endpoint=Local/stay@default&context=default&extension=count";
        let channel = asterisk.ari().post_json(path, &variables).ok();
        let text = |name: &str| channel[name].as_str().unwrap_or_default().to_owned();
        Self { id: text("id"), name: text("name") }
    }

    /// One that counts until it is hung up.
    #[track_caller]
    pub(crate) fn steady(asterisk: &Asterisk, rate: u32) -> Self {
        Self::start(asterisk, ENDLESS, rate)
    }

    fn is_done(&self, asterisk: &Asterisk) -> bool {
        let path = format!("/channels/{}/variable?variable=DONE", self.id);
        asterisk.ari().get(&path).body["value"] == "yes"
    }
}

/// Several that share a number of events.
pub(crate) struct Burst(Vec<Channel>);

impl Burst {
    #[track_caller]
    pub(crate) fn start(asterisk: &Asterisk, load: &Load) -> Self {
        let (count, rate) = (load.burst / CHANNELS, load.burst_rate / CHANNELS);
        let each = |_| Channel::start(asterisk, count, rate);
        Self(if load.burst == 0 { Vec::new() } else { (0..CHANNELS).map(each).collect() })
    }

    /// Waits until all have counted to their ends.
    #[track_caller]
    pub(crate) fn finish(&self, asterisk: &Asterisk) {
        eventually("the burst to be over", seconds(240), || {
            let busy = self.0.iter().filter(|channel| !channel.is_done(asterisk)).count();
            if busy == 0 { Ok(()) } else { Err(format!("{busy} channels still count")) }
        });
    }
}

/// Ends all channels.
#[track_caller]
pub(crate) fn hang_up(asterisk: &Asterisk) {
    asterisk.hang_up_all(seconds(60));
}

/// Phones that call, talk for a second and hang up, in the background.
pub(crate) struct Phones(Call);

impl Phones {
    #[track_caller]
    pub(crate) fn ring(asterisk: &Asterisk, rate: u32) -> Self {
        Self(Call::endless(asterisk, "talk", seconds(1), rate))
    }

    /// Lets the last calls end. The times from INVITE to 200 OK, in milliseconds, sorted; `Err`
    /// when a call failed.
    pub(crate) fn end(&self) -> Result<Vec<u64>, String> {
        self.0.hang_up();
        self.0.outcome(seconds(60))?;
        let mut times: Vec<u64> =
            self.0.answer_times().iter().map(|time| time.as_millis() as u64).collect();
        times.sort_unstable();
        if times.is_empty() { Err("no call was placed".to_owned()) } else { Ok(times) }
    }
}

/// Of sorted times.
pub(crate) fn p99(times: &[u64]) -> u64 {
    times.get((times.len() * 99).div_ceil(100).saturating_sub(1)).copied().unwrap_or_default()
}
