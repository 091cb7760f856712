// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! `make up`, `make down`: the servers in the background.
//!
//! `up` starts this program once more, as `serve`, which holds the servers: they live and die with
//! that one process. What it says of itself is in the cache folder.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use rig::process::{Signal, send, tail};
use rig::wait::poll;
use rig::{Consumer, seconds};
use serde_json::{Value, json};

use crate::print;
use crate::stage::{EXCHANGE, Stage, broker, provide_roots};

const LONGEST_START: Duration = seconds(300);

fn state_file() -> PathBuf {
    rig::root::cache().join("demo.json")
}

fn log_file() -> PathBuf {
    rig::root::cache().join("demo.log")
}

/// What `serve` says of itself, if it is running.
fn state() -> Option<Value> {
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

pub(crate) fn up() -> bool {
    if let Some(state) = state() {
        println!("The servers are running already.\n\n{}", leaflet(&state));
        return true;
    }
    provide_roots();
    let log = File::create(log_file());
    let log = log.unwrap_or_else(|error| panic!("{}: {error}", log_file().display()));
    let errors =
        log.try_clone().unwrap_or_else(|error| panic!("{}: {error}", log_file().display()));
    // A session of its own: the end of this terminal is not its end.
    let mut child = Command::new("setsid")
        .arg(program())
        .arg("serve")
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .unwrap_or_else(|error| panic!("setsid: {error}"));
    let begun = poll(LONGEST_START, || match (state(), child.try_wait()) {
        (Some(state), _) => Ok(Some(state)),
        (None, Ok(Some(_))) => Ok(None),
        (None, _) => Err(()),
    });
    let log = fs::read_to_string(log_file()).unwrap_or_default();
    match begun {
        Ok(Some(state)) => {
            println!("{log}\n{}", leaflet(&state));
            true
        }
        _ => {
            eprintln!(
                "{}\ndemo: the servers did not start (see {})",
                tail(&log, 30),
                log_file().display()
            );
            false
        }
    }
}

/// Holds the servers until a signal comes.
pub(crate) fn serve() -> bool {
    let broker = broker();
    let stage = Stage::set(&broker);
    let state = json!({
        "pid": std::process::id(),
        "url": stage.tenant.url(),
        "leaflet": stage.leaflet(&program().display().to_string()),
    });
    let new = state_file().with_extension("new");
    fs::write(&new, state.to_string())
        .and_then(|()| fs::rename(&new, state_file()))
        .unwrap_or_else(|error| panic!("{}: {error}", state_file().display()));
    loop {
        // Nobody else takes these messages; a server that ends by itself ends us all.
        while stage.consumer.receive(seconds(1)).is_some() {}
        stage.asterisk.assert_alive();
    }
}

/// Shows events as they come, until a signal comes or the servers end.
pub(crate) fn watch() -> bool {
    let Some(state) = state() else {
        eprintln!("demo: no servers are running (make up)");
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
        println!("No servers are running.");
        return true;
    };
    let pid = state["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).unwrap_or_default();
    send(pid, Signal::TERM);
    let gone = poll(seconds(20), || match self::state() {
        None => Ok(()),
        Some(_) => Err(()),
    });
    match gone {
        Ok(()) => println!("The servers have ended."),
        Err(()) => eprintln!("demo: process {pid} does not end"),
    }
    gone.is_ok()
}

fn leaflet(state: &Value) -> String {
    let text = state["leaflet"].as_str().unwrap_or_default();
    format!("{text}\n`make down` ends them.")
}

fn program() -> PathBuf {
    std::env::current_exe().unwrap_or_else(|error| panic!("own path: {error}"))
}
