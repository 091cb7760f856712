// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The gateway's index of owners by itself, with as many channels as a large fleet has: what a
//! channel takes, and what a look costs, also while all nodes are read anew.

use std::hint::black_box;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::index::{Ended, Index, Kind};
use crate::fleet::Slot;

const CHANNELS: usize = 100_000;
const NODES: usize = 100;
const READS: usize = 5;
/// Has no factor in common with the number of channels: each comes once, in no order.
const STRIDE: usize = 61_403;

/// Measured in a process of its own, whose memory has seen nothing else.
pub(super) fn measure() -> Value {
    let program = std::env::current_exe().unwrap_or_else(|error| panic!("this program: {error}"));
    let output = Command::new(program).arg("--index").output();
    let output = output.unwrap_or_else(|error| panic!("the index: {error}"));
    let figures = serde_json::from_slice(&output.stdout);
    figures.unwrap_or_else(|error| {
        panic!("the index: {error}: {}", String::from_utf8_lossy(&output.stderr))
    })
}

/// Measures here, and prints the figures.
pub(crate) fn print() {
    let ids: Vec<String> = (0..CHANNELS).map(id).collect();
    let clock = clock();
    let before = resident();
    let index = Index::default();
    let learn = |at: usize| index.learn(Kind::Channel, &ids[at], slot(at), None);
    let learnt = Times::of(clock, 0..CHANNELS, &ids, |at, _| learn(at));
    let bytes = resident().saturating_sub(before);

    let look = |_: usize, id: &str| {
        let owner = index.owner(Kind::Channel, black_box(id));
        assert!(owner.is_some(), "{id} is unknown");
    };
    let anyhow = || (0..CHANNELS).map(|at| at * STRIDE % CHANNELS);
    let alone = Times::of(clock, anyhow(), &ids, look);
    let is_over = AtomicBool::new(false);
    let (read, meanwhile) = thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let read = (0..READS).map(|_| read_all(&index, &ids)).collect::<Vec<_>>();
            is_over.store(true, Ordering::SeqCst);
            read
        });
        let looks = anyhow().cycle().take_while(|_| !is_over.load(Ordering::SeqCst));
        let meanwhile = Times::of(clock, looks, &ids, look);
        (reading.join().expect("the reading thread"), meanwhile)
    });
    assert_eq!(index.count(Kind::Channel), CHANNELS);
    let forgotten = Times::of(clock, anyhow(), &ids, |_, id| index.forget(Kind::Channel, id));
    assert_eq!(index.count(Kind::Channel), 0);

    let read: Vec<f64> = read.iter().map(|time| time.as_secs_f64() * 1e3).collect();
    let figures = json!({
        "channels": CHANNELS,
        "nodes": NODES,
        "bytes": bytes,
        "bytes_a_channel": bytes / CHANNELS,
        "look_ns": alone.json(),
        "look_while_read_ns": meanwhile.json(),
        "learn_ns": learnt.json(),
        "forget_ns": forgotten.json(),
        "read_all_ms": read,
    });
    println!("{figures}");
}

/// What the gateway does with the lists of all nodes, once they are there.
fn read_all(index: &Index, ids: &[String]) -> Duration {
    let since = Instant::now();
    let mut ended = Ended::default();
    for node in 0..NODES {
        let read = index.begin_read();
        for at in (node..CHANNELS).step_by(NODES) {
            index.learn(Kind::Channel, &ids[at], slot(at), None);
        }
        ended.add(slot(node), Kind::Channel, read);
        ended.add(slot(node), Kind::Bridge, read);
    }
    index.sweep(&ended);
    since.elapsed()
}

/// As long as the gateway makes them.
fn id(at: usize) -> String {
    format!("{:08x}-5ca1-4b1e-8000-{at:012x}", at * STRIDE)
}

fn slot(at: usize) -> Slot {
    Slot((at % NODES) as u32)
}

/// How long each took, in nanoseconds, in order of time.
struct Times(Vec<u64>);

impl Times {
    /// `clock` is what looking at the clock takes.
    fn of(
        clock: u64,
        places: impl Iterator<Item = usize>,
        ids: &[String],
        each: impl Fn(usize, &str),
    ) -> Self {
        let time = |at: usize| {
            // A request brings its own, just read.
            let id = ids[at].clone();
            let since = Instant::now();
            each(at, &id);
            nanoseconds(since).saturating_sub(clock)
        };
        let mut times: Vec<u64> = places.map(time).collect();
        times.sort_unstable();
        Self(times)
    }

    fn json(&self) -> Value {
        json!({ "p50": self.at(0.5), "p99": self.at(0.99), "max": self.0.last() })
    }

    fn at(&self, share: f64) -> Option<&u64> {
        self.0.get((self.0.len() as f64 * share) as usize)
    }
}

/// What looking at it twice takes.
fn clock() -> u64 {
    let mut looks: Vec<u64> = (0..10_001).map(|_| nanoseconds(Instant::now())).collect();
    looks.sort_unstable();
    looks[looks.len() / 2]
}

fn nanoseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

fn resident() -> usize {
    let told = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = told.split_whitespace().nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or_default() * 4096
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_channel_comes_once() {
        let mut seen: Vec<usize> = (0..CHANNELS).map(|at| at * STRIDE % CHANNELS).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..CHANNELS).collect::<Vec<_>>());
        assert_eq!((id(7).len(), id(7) == id(8)), (36, false));
    }
}
