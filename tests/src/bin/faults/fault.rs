// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A fault is a value: how it comes, how it goes, and what must be seen of it.

use std::time::Duration;

use rig::{AmqpConf, Builder, seconds};

use crate::load::Load;
use crate::scene::{QUEUE_BYTES, Scene, Stage};

/// A row of the table.
#[derive(Clone, Copy)]
pub(crate) struct Fault {
    pub(crate) name: &'static str,
    /// What happens, for the reader of the table.
    pub(crate) what: &'static str,
    /// Whether `--short` has it.
    pub(crate) short: bool,
    pub(crate) stand: Stand,
    /// Whether it needs the spool.
    pub(crate) spool: bool,
    /// What the module's configuration has beyond the suite's own.
    pub(crate) conf: fn(AmqpConf, &Stage<'_>) -> AmqpConf,
    /// What the node has.
    pub(crate) furnish: fn(Builder, &Stage<'_>) -> Builder,
    /// Done before Asterisk starts.
    pub(crate) prepare: fn(&Stage<'_>),
    /// Whether the broker can be reached when Asterisk starts.
    pub(crate) begins_connected: bool,
    pub(crate) load: Load,
    /// Calls a second, in the background; 0 where Asterisk can take none.
    pub(crate) calls: u32,
    pub(crate) inject: fn(&Scene<'_>),
    pub(crate) sees: Sees,
    /// At least so long, from the injection on.
    pub(crate) lasts: Duration,
    /// The burst ends before the fault does.
    pub(crate) outlasts_burst: bool,
    pub(crate) heal: fn(&Scene<'_>),
    /// Whether Asterisk's process ends with it.
    pub(crate) dies: bool,
    pub(crate) ledger: Balance,
    /// What memory may grow by: what the module may hold, and what Asterisk itself needs for it.
    pub(crate) memory: u64,
    /// What 99 of 100 callbacks may take.
    pub(crate) callback_p99_us: u64,
    /// The most lines the module may log of it: one a change of state.
    pub(crate) lines: usize,
    /// Whether the calls must be answered as fast as without a fault.
    pub(crate) timed_calls: bool,
    /// Looked at when all has been delivered; `Err` says what is not as it must be.
    pub(crate) check: fn(&Scene<'_>) -> Result<(), String>,
}

/// Which broker.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stand {
    Plain,
    Tls,
    /// Two nodes of one cluster.
    Cluster,
}

/// What of the fault the connection's state must show.
#[derive(Clone, Copy)]
pub(crate) enum Sees {
    /// One of these words.
    Words(&'static [&'static str]),
    /// Nothing: the connection lasts.
    Nothing,
    /// It breaks, and is made again while the fault lasts.
    Cure,
    /// Asterisk ends and is there again, and connects.
    Restart,
    /// It cannot be asked, or changes too fast.
    Unasked,
}

/// How the account must come out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Balance {
    /// Everything arrives, in order.
    Whole,
    /// What is dropped is counted, and consumers are told of each range.
    Dropped,
    /// The broker refuses events, which are tried again meanwhile: those may be overtaken.
    Refused,
    /// What no queue was bound for is counted as returned.
    Returned,
    /// What memory held at the end of the process is gone: at most so many events.
    Memory(u64),
}

impl Fault {
    /// What most have in common.
    pub(crate) const COMMON: Self = Self {
        name: "",
        what: "",
        short: false,
        stand: Stand::Plain,
        spool: false,
        conf: |conf, _| conf,
        furnish: |builder, _| builder,
        prepare: |_| {},
        begins_connected: true,
        load: Load { steady: 200, burst: 2000, burst_rate: 4000, before: 300 },
        calls: 2,
        inject: |_| {},
        sees: Sees::Nothing,
        lasts: seconds(3),
        outlasts_burst: false,
        heal: |_| {},
        dies: false,
        ledger: Balance::Whole,
        memory: QUEUE_BYTES,
        callback_p99_us: 1000,
        lines: 12,
        timed_calls: false,
        check: |_| Ok(()),
    };
}
