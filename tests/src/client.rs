// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A client that was written for one Asterisk, and a script for it.

use serde_json::Value;

use crate::Ari;
use crate::root::{Root, checkout};

/// Runs `tests/client/script.js` to its end: what came of each step, and the events.
///
/// # Errors
///
/// What it said, when a step failed that must not, or an event did not come.
///
/// # Panics
///
/// When the client is not installed.
pub fn script(ari: &Ari) -> Result<Value, String> {
    let installed = checkout().join("target/ari-client");
    let installed = installed
        .canonicalize()
        .unwrap_or_else(|error| panic!("{} ({error}): make ari-client", installed.display()));
    let scripts = checkout().join("tests/client");
    let (user, password) = ari.login();
    let printed = Root::Node
        .command("node")
        .arg(scripts.join("script.js"))
        .args([ari.url("").trim_end_matches("/ari"), user, password])
        .env("NODE_PATH", installed.join("node_modules"))
        .bind(&installed)
        .bind(&scripts)
        .run()?;
    // The client has a word of its own to say first.
    let transcript = printed.lines().last().unwrap_or_default();
    serde_json::from_str(transcript).map_err(|error| format!("{error}: {printed}"))
}
