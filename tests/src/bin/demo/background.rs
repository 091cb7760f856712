// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! `make up`, `make watch`, `make down`: the system in the background.
//!
//! `up` starts this program once more, as `serve`, which holds the servers: they live and die with
//! that one process. What it says of itself is in the cache folder.

use std::fs::{self, File};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rig::process::{Signal, send, tail};
use rig::wait::poll;
use rig::{Consumer, seconds};
use serde_json::{Value, json};

use crate::leaflet::leaflet;
use crate::places::Places;
use crate::print;
use crate::stage::{EXCHANGE, Stage, broker, ground, provide_roots};

const LONGEST_START: Duration = seconds(300);
const NODES: RangeInclusive<usize> = 1..=8;
/// How long a node that was killed stays away: enough to see what becomes of its calls.
const REST: Duration = seconds(10);

fn state_file() -> PathBuf {
    rig::root::cache().join("demo.json")
}

fn log_file() -> PathBuf {
    rig::root::cache().join("demo.log")
}

/// What `serve` says of itself, if it is running.
pub(crate) fn state() -> Option<Value> {
    let state: Value = serde_json::from_slice(&fs::read(state_file()).ok()?).ok()?;
    // After a crash of the machine the file is there, and the number may be another program's.
    let words = fs::read(format!("/proc/{}/cmdline", state["pid"])).ok()?;
    String::from_utf8_lossy(&words).ends_with("\0serve\0").then_some(state)
}

/// Removes the state file, if it is of this process.
pub(crate) fn forget() {
    if state().is_some_and(|state| state["pid"] == std::process::id()) {
        let _ = fs::remove_file(state_file());
    }
}

/// How many nodes are wanted.
fn nodes() -> Result<usize, String> {
    let text = std::env::var("NODES").unwrap_or_default();
    let count = if text.is_empty() { Ok(2) } else { text.parse() };
    let count = count.ok().filter(|count| NODES.contains(count));
    count.ok_or_else(|| format!("NODES={text}: from {} to {}", NODES.start(), NODES.end()))
}

pub(crate) fn up() -> bool {
    if let Err(reason) = nodes() {
        eprintln!("demo: {reason}");
        return false;
    }
    if let Some(state) = state() {
        println!("It is running already.\n\n{}", shown(&state));
        return true;
    }
    if let Err(reason) = Places::known() {
        eprintln!("demo: {reason}");
        return false;
    }
    provide_roots();
    let log = File::create(log_file());
    let log = log.unwrap_or_else(|error| panic!("{}: {error}", log_file().display()));
    let errors =
        log.try_clone().unwrap_or_else(|error| panic!("{}: {error}", log_file().display()));
    let program = std::env::current_exe().unwrap_or_else(|error| panic!("own path: {error}"));
    // A session of its own: the end of this terminal is not its end.
    let mut child = Command::new("setsid")
        .arg(program)
        .arg("serve")
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .unwrap_or_else(|error| panic!("setsid: {error}"));
    println!("Starting: half a minute.");
    let begun = poll(LONGEST_START, || match (state(), child.try_wait()) {
        (Some(state), _) => Ok(Some(state)),
        (None, Ok(Some(_))) => Ok(None),
        (None, _) => Err(()),
    });
    let log = fs::read_to_string(log_file()).unwrap_or_default();
    match begun {
        Ok(Some(state)) => {
            println!("{log}\n{}", shown(&state));
            true
        }
        _ => {
            let file = log_file();
            eprintln!("{}\ndemo: it did not start (see {})", tail(&log, 30), file.display());
            false
        }
    }
}

/// Holds the servers until a signal comes.
pub(crate) fn serve() -> bool {
    let refused = |reason: String| -> ! { panic!("{reason}") };
    let count = nodes().unwrap_or_else(|reason| refused(reason));
    let places = Places::known().unwrap_or_else(|reason| refused(reason));
    let broker = broker(&places);
    let stage = Stage::set(ground(&broker, &places), &places, count);
    let state = json!({
        "pid": std::process::id(),
        "url": stage.ground.tenant.url(),
        "sip": places.sip,
        "leaflet": leaflet(&stage, &places),
    });
    let new = state_file().with_extension("new");
    fs::write(&new, state.to_string())
        .and_then(|()| fs::rename(&new, state_file()))
        .unwrap_or_else(|error| panic!("{}: {error}", state_file().display()));
    keep(&stage)
}

/// Starts a node again that has ended, as systemd would; any other server's end ends all.
fn keep(stage: &Stage<'_>) -> ! {
    let mut gone: Vec<Option<Instant>> = vec![None; stage.nodes.len()];
    loop {
        thread::sleep(seconds(1));
        stage.gateway.assert_alive();
        stage.kamailio.assert_alive();
        for (node, gone) in stage.nodes.iter().zip(&mut gone) {
            if node.process().ended().is_none() {
                *gone = None;
            } else if gone.get_or_insert_with(Instant::now).elapsed() >= REST {
                node.start_again();
            }
        }
    }
}

/// Shows events as they come, until a signal comes or the servers end.
pub(crate) fn watch() -> bool {
    let Some(state) = state() else {
        eprintln!("demo: nothing is running to be watched (make up)");
        return false;
    };
    let url = state["url"].as_str().unwrap_or_default();
    let consumer = Consumer::topic(url, EXCHANGE, &["#"]);
    print::head();
    loop {
        if let Some(message) = consumer.receive(seconds(3600)) {
            print::event(&message);
        }
    }
}

pub(crate) fn down() -> bool {
    let Some(state) = state() else {
        println!("Nothing is running.");
        return true;
    };
    let pid = state["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).unwrap_or_default();
    send(pid, Signal::TERM);
    let gone = poll(seconds(20), || match self::state() {
        None => Ok(()),
        Some(_) => Err(()),
    });
    match gone {
        Ok(()) => println!("All has ended."),
        Err(()) => eprintln!("demo: process {pid} does not end"),
    }
    gone.is_ok()
}

fn shown(state: &Value) -> String {
    let text = state["leaflet"].as_str().unwrap_or_default();
    format!("{text}\n`make down` ends it.")
}
