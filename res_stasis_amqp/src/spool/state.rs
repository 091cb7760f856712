// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! How the spool is, in words for operators.

use std::fmt;

use super::log::{Position, Row};
use crate::event::Event;

/// Where the spool stands. Two states are equal if an operator would read the same of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// There is none.
    #[default]
    Off,
    /// What a former run left is being read.
    Opening,
    /// It is ready, and nothing is in it.
    Idle,
    /// It has events.
    Holding,
    /// It has all that it may have.
    Full,
    /// It is to be given up and has events yet; it takes no more.
    Draining,
    /// The disk does not do its part; tried again and again.
    Broken {
        /// In the system's words.
        reason: String,
    },
}

impl State {
    /// One word, stable: for lists, metrics and tests.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Opening => "opening",
            Self::Idle => "idle",
            Self::Holding => "holding",
            Self::Full => "full",
            Self::Draining => "draining",
            Self::Broken { .. } => "broken",
        }
    }
}

/// All that is known of the spool at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) state: State,
    /// Its directory.
    pub(crate) dir: String,
    /// Events on disk that are not in memory.
    pub(crate) events: u64,
    /// What all of its files take.
    pub(crate) bytes: u64,
    /// What they may.
    pub(crate) max_bytes: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { state, dir, events, bytes, max_bytes } = self;
        f.write_str(state.word())?;
        match state {
            State::Off => write!(f, ": spool_dir is not set"),
            State::Opening => write!(f, ": what is in {dir} is being read"),
            State::Idle => write!(f, ": nothing is in {dir}"),
            State::Holding => write!(f, ": {events} events, {bytes} of {max_bytes} bytes"),
            State::Full => write!(
                f,
                ": {events} events, {bytes} of {max_bytes} bytes; what is too much is dropped"
            ),
            State::Draining => {
                write!(f, ": {events} events in {dir} are delivered, and no more are taken")
            }
            State::Broken { reason } => {
                write!(f, ": {dir} {reason}; {events} events in it, others wait in memory only")
            }
        }
    }
}

/// What `amqp spool show` shows.
pub(crate) struct Shown {
    pub(crate) report: Report,
    pub(crate) rows: Vec<Row>,
    pub(crate) cursor: Position,
    /// The oldest events, without their bodies.
    pub(crate) events: Vec<Event>,
}
