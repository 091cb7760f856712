// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What `res_stasis_amqp` says of itself, by `GET /ari/amqp`.

use std::time::Duration;

use rig::{Asterisk, eventually};
use serde_json::Value;

/// The file, as Asterisk's CLI takes it.
pub(crate) const MODULE: &str = "res_stasis_amqp.so";

/// The module at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Status(Value);

/// What its callbacks took on Asterisk's threads since it was loaded, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Callback {
    pub(crate) p99: u64,
    pub(crate) max: u64,
}

impl Status {
    /// Asks it.
    ///
    /// # Panics
    ///
    /// When it does not answer.
    #[track_caller]
    pub(crate) fn of(asterisk: &Asterisk) -> Self {
        Self(asterisk.ari().get("/amqp").ok())
    }

    /// Asks one that may be gone.
    pub(crate) fn ask(asterisk: &Asterisk) -> Option<Self> {
        let reply = asterisk.ari().try_request("GET", "/amqp", None).ok()?;
        (reply.status == 200).then_some(Self(reply.body))
    }

    /// The state's word, and its sentence.
    pub(crate) fn state(&self) -> (&str, &str) {
        let connection = &self.0["connections"][0];
        (text(&connection["state"]), text(&connection["detail"]))
    }

    /// A counter; 0 for one that this version does not have.
    pub(crate) fn counter(&self, name: &str) -> u64 {
        self.0["counters"][name].as_u64().unwrap_or_default()
    }

    /// Events numbered by this boot, and found in the spool from those before.
    pub(crate) fn accepted(&self) -> u64 {
        self.counter("queued") + self.counter("recovered")
    }

    /// Events that are settled, one way or the other.
    pub(crate) fn settled(&self) -> u64 {
        self.counter("confirmed") + self.counter("dropped")
    }

    /// Events that wait, in memory or in the spool.
    pub(crate) fn waiting(&self) -> u64 {
        let queue = &self.0["queue"];
        let number = |value: &Value| value.as_u64().unwrap_or_default();
        let spool = &self.0["spool"];
        number(&queue["events"]) + number(&queue["unconfirmed_events"]) + number(&spool["events"])
    }

    /// Events that are in memory only.
    pub(crate) fn unsaved(&self) -> u64 {
        self.0["queue"]["unsaved_events"].as_u64().unwrap_or(u64::MAX)
    }

    /// `None` where the module does not measure them.
    pub(crate) fn callback(&self) -> Option<Callback> {
        let callback = &self.0["callback"];
        let number = |name: &str| callback[name].as_f64().map(|number| number.ceil() as u64);
        Some(Callback { p99: number("p99_us")?, max: number("max_us")? })
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Waits until the connection's state is one of these words; the state.
#[track_caller]
pub(crate) fn wait_state(asterisk: &Asterisk, words: &[&str], within: Duration) -> String {
    let what = format!("the connection to be {}", words.join(" or "));
    eventually(&what, within, || {
        let status = Status::ask(asterisk).ok_or("no answer")?;
        let (word, detail) = status.state();
        if words.contains(&word) { Ok(detail.to_owned()) } else { Err(detail.to_owned()) }
    })
}

/// Waits until a counter has reached a value.
#[track_caller]
pub(crate) fn wait_counter(asterisk: &Asterisk, name: &str, least: u64, within: Duration) {
    eventually(&format!("{name} to reach {least}"), within, || {
        let value = Status::ask(asterisk).ok_or("no answer")?.counter(name);
        if value >= least { Ok(()) } else { Err(value.to_string()) }
    });
}
