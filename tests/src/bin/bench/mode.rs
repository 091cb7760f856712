// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What is compared.

/// Who publishes the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mode {
    /// Nobody: what the events cost Asterisk itself.
    Nobody,
    /// The C module, `tests/bench/synchronous.c`.
    Synchronous,
    /// `res_stasis_amqp` as it is by default: with publisher confirms.
    Confirms,
    /// `res_stasis_amqp` with `confirms = no`, as the C module.
    NoConfirms,
    /// `res_stasis_amqp` with confirms and a spool to fall back to.
    Spool,
}

impl Mode {
    pub(crate) const ALL: [Self; 5] =
        [Self::Nobody, Self::Synchronous, Self::Confirms, Self::NoConfirms, Self::Spool];

    /// As `summary.json` has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Synchronous => "c_module",
            Self::Confirms => "confirms",
            Self::NoConfirms => "no_confirms",
            Self::Spool => "spool",
        }
    }

    /// For people.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Nobody => "no module",
            Self::Synchronous => "C module",
            Self::Confirms => "ours, confirms",
            Self::NoConfirms => "ours, no confirms",
            Self::Spool => "ours, spool",
        }
    }
}
