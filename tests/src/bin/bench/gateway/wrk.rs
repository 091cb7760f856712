// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! wrk: one thread, four connections, one request after the other on each.

use std::time::Duration;

use rig::folder::Folder;
use rig::root::Root;

use super::target::Load;

/// What it prints at its end, beside what it prints anyway. An answer that came late is not wrong.
const SCRIPT: &str = r#"
done = function(summary, latency)
    local errors = summary.errors
    local wrong = errors.connect + errors.read + errors.write + errors.status
    io.write(string.format("figures %d %d %d %f %f\n", wrong, summary.requests, summary.duration,
                           latency:percentile(50), latency:percentile(99)))
end
"#;

/// Asks for this address again and again.
///
/// # Panics
///
/// When an answer is not good.
pub(super) fn ask(url: &str, authorization: &str, lasts: Duration) -> Load {
    let folder = Folder::new("wrk");
    let script = folder.write("figures.lua", SCRIPT);
    let printed = Root::Clients
        .command("wrk")
        .bind(folder.path())
        .args(["-t1", "-c4", &format!("-d{}s", lasts.as_secs()), "-s"])
        .arg(script)
        .args(["-H", &format!("Authorization: {authorization}"), url])
        .run()
        .unwrap_or_else(|error| panic!("wrk: {error}"));
    let line = printed.lines().find_map(|line| line.strip_prefix("figures "));
    let figures: Vec<f64> =
        line.into_iter().flat_map(str::split_whitespace).flat_map(str::parse).collect();
    let &[wrong, requests, microseconds, p50, p99] = figures.as_slice() else {
        panic!("no figures of wrk:\n{printed}")
    };
    assert!(wrong == 0.0 && requests > 0.0, "{wrong} of {requests} answers are wrong: {printed}");
    Load { requests: requests as u64, seconds: microseconds / 1e6, p50, p99, cpu: None }
}
