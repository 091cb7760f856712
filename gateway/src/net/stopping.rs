// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The wait for the process to be asked to stop.

use tokio::sync::watch;

/// Until it is, or nobody is left who could ask.
pub(crate) async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // An error says that nobody is.
    let _ = stopping.wait_for(|stops| *stops).await;
}
