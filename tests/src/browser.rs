// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A real browser: Chromium without a screen.

use crate::root::Root;

/// What a page is after its scripts have run for `seconds` of the page's own time, as HTML.
///
/// # Errors
///
/// What Chromium said, when it could not.
///
/// # Panics
///
/// When it can't be started.
pub fn page_after(url: &str, seconds: u32) -> Result<String, String> {
    // Only the flags after the second are about the page: root has no sandbox, and a machine without
    // the Internet has nothing to be updated from.
    Root::Clients
        .command("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--disable-dev-shm-usage", "--user-data-dir=/tmp/profile"])
        .args([&format!("--virtual-time-budget={}", seconds * 1000), "--dump-dom", url])
        .run()
}
