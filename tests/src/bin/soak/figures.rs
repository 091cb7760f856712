// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What is measured of Asterisk's process.

use std::time::Duration;

use rig::process::Process;
use rig::seconds;
use rig::wait::poll;

/// Looks for each figure.
const LOOKS: usize = 9;
const BETWEEN: Duration = Duration::from_millis(500);

/// The medians of several looks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) rss: u64,
    pub(crate) pss: u64,
    pub(crate) threads: usize,
    pub(crate) fds: usize,
}

impl Figures {
    pub(crate) fn of(process: &Process) -> Self {
        let mut looks = Vec::new();
        for _ in 0..LOOKS {
            looks.push(Self::now(process));
            std::thread::sleep(BETWEEN);
        }
        Self {
            rss: median(looks.iter().map(|look| look.rss)),
            pss: median(looks.iter().map(|look| look.pss)),
            threads: median(looks.iter().map(|look| look.threads)),
            fds: median(looks.iter().map(|look| look.fds)),
        }
    }

    pub(crate) fn now(process: &Process) -> Self {
        Self {
            rss: process.rss_bytes(),
            pss: process.pss_bytes(),
            threads: process.threads(),
            fds: process.fds(),
        }
    }

    /// Once threads and files have stood still for as long as Asterisk keeps an idle thread of a
    /// pool, or after a minute and a half as they are then.
    pub(crate) fn at_rest(process: &Process) -> Self {
        const STILL: Duration = seconds(25);
        let mut last = (0, 0);
        let mut since = std::time::Instant::now();
        let _ = poll(seconds(90), || {
            let now = (process.threads(), process.fds());
            if now != last {
                last = now;
                since = std::time::Instant::now();
            }
            if since.elapsed() >= STILL { Ok(()) } else { Err(()) }
        });
        Self::of(process)
    }
}

fn median<T: Ord + Copy + Default>(values: impl Iterator<Item = T>) -> T {
    let mut values: Vec<T> = values.collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}
