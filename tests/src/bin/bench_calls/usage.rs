// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What each part of the system takes of the machine: a part is one or several servers with all their
//! processes.

use std::time::{Duration, Instant};

use rig::process::{cpu_time, family, pss_bytes};

/// A part: its name, and its processes, which stay the same.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) name: &'static str,
    processes: Vec<u32>,
}

impl Part {
    pub(crate) fn new(name: &'static str, servers: impl IntoIterator<Item = u32>) -> Self {
        Self { name, processes: servers.into_iter().flat_map(family).collect() }
    }

    pub(crate) fn cpu(&self) -> Duration {
        self.processes.iter().copied().map(cpu_time).sum()
    }

    pub(crate) fn memory_mib(&self) -> f64 {
        let bytes: u64 = self.processes.iter().copied().map(pss_bytes).sum();
        bytes as f64 / f64::from(1 << 20)
    }
}

/// What was used from one time to another.
#[derive(Debug)]
pub(crate) struct Meter<'a> {
    parts: &'a [Part],
    began: Instant,
    before: Vec<Duration>,
}

impl<'a> Meter<'a> {
    pub(crate) fn start(parts: &'a [Part]) -> Self {
        Self { parts, began: Instant::now(), before: parts.iter().map(Part::cpu).collect() }
    }

    /// Seconds of a processor that each part has used so far.
    pub(crate) fn seconds(&self) -> Vec<(&'static str, f64)> {
        let used = self.parts.iter().zip(&self.before);
        used.map(|(part, before)| (part.name, part.cpu().saturating_sub(*before).as_secs_f64()))
            .collect()
    }

    /// How many processors each part has kept busy so far, in hundredths.
    pub(crate) fn percent(&self) -> Vec<(&'static str, f64)> {
        let elapsed = self.began.elapsed().as_secs_f64();
        self.seconds().into_iter().map(|(name, used)| (name, used / elapsed * 100.0)).collect()
    }
}
