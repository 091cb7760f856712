// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What kind of machine it was.

use std::fs;

use serde_json::{Value, json};

/// How many processors it has.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

pub(crate) struct Machine {
    processor: String,
    cores: usize,
    memory_gib: f64,
    kernel: String,
    is_virtual: bool,
    /// Processes that wanted a core before the run, on average over a minute.
    load: f64,
}

impl Machine {
    pub(crate) fn here() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let processors = read("/proc/cpuinfo");
        let value = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let memory = value(&read("/proc/meminfo"), "MemTotal").unwrap_or_default();
        let kilobytes = memory.split_whitespace().next().and_then(|word| word.parse::<f64>().ok());
        let flags = value(&processors, "flags").unwrap_or_default();
        let load = read("/proc/loadavg");
        Self {
            processor: value(&processors, "model name").unwrap_or_default(),
            cores: cores(),
            memory_gib: kilobytes.unwrap_or_default() / 1024.0 / 1024.0,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            is_virtual: flags.split_whitespace().any(|flag| flag == "hypervisor"),
            load: load.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or_default(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        let Self { processor, cores, memory_gib, kernel, is_virtual, load } = self;
        json!({
            "processor": processor,
            "cores": cores,
            "memory_gib": (memory_gib * 10.0).round() / 10.0,
            "kernel": kernel,
            "virtual": is_virtual,
            "load_before": load,
        })
    }

    /// In one line.
    pub(crate) fn line(&self) -> String {
        let Self { processor, cores, memory_gib, kernel, is_virtual, load } = self;
        let kind = if *is_virtual { "virtual machine, " } else { "" };
        format!(
            "{kind}{cores} cores of {processor}, {memory_gib:.0} GiB, Linux {kernel}, load before \
             {load:.1}"
        )
    }
}
