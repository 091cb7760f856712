// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The three ways to a call, and what one of them was in a round.

use serde_json::{Value, json};

use crate::turns::in_turn;

/// What a client talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The Asterisk that has the call.
    Directly,
    /// nginx, which knows that one only.
    Nginx,
    /// The gateway, which finds it among others.
    Gateway,
}

impl Target {
    pub(super) const ALL: [Self; 3] = [Self::Directly, Self::Nginx, Self::Gateway];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Directly => "Asterisk directly",
            Self::Nginx => "nginx",
            Self::Gateway => "gateway",
        }
    }

    /// All of them; who is first changes from round to round.
    pub(super) fn in_turn(round: u32) -> impl Iterator<Item = Self> {
        in_turn(&Self::ALL, round).copied()
    }
}

/// What came of the requests of some seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(super) requests: u64,
    pub(super) seconds: f64,
    /// Of the answers' times, in microseconds.
    pub(super) p50: f64,
    pub(super) p99: f64,
    /// Of the proxy's processes, in microseconds a request; none without a proxy.
    pub(super) cpu: Option<f64>,
}

impl Load {
    pub(super) fn rate(&self) -> f64 {
        self.requests as f64 / self.seconds
    }

    pub(super) fn json(&self) -> Value {
        let Self { requests, seconds, p50, p99, cpu } = self;
        json!({
            "requests": requests,
            "seconds": seconds,
            "requests_per_s": self.rate().round(),
            "p50_us": p50,
            "p99_us": p99,
            "cpu_us_per_request": cpu.map(|cpu| (cpu * 100.0).round() / 100.0),
        })
    }
}

pub(crate) struct Shot {
    pub(super) round: u32,
    pub(super) target: Target,
    pub(super) load: Load,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyone_has_a_turn_and_is_first_in_turn() {
        let order = |round| Target::in_turn(round).collect::<Vec<_>>();
        assert_eq!(order(0), Target::ALL);
        assert_eq!(order(1), [Target::Nginx, Target::Gateway, Target::Directly]);
        assert_eq!(order(5)[0], Target::Gateway);
    }
}
