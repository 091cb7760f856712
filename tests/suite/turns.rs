// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Most scenarios wait more than they compute, so several run side by side. The few that want all
//! of the machine run alone.

use std::sync::{PoisonError, RwLock};

static MACHINE: RwLock<()> = RwLock::new(());

/// Runs `scenario` beside others.
pub(crate) fn beside_others(scenario: impl FnOnce()) {
    let _share = MACHINE.read().unwrap_or_else(PoisonError::into_inner);
    scenario();
}

/// Runs `scenario` when no other runs, and lets none begin meanwhile.
pub(crate) fn alone(scenario: impl FnOnce()) {
    let _all = MACHINE.write().unwrap_or_else(PoisonError::into_inner);
    scenario();
}
