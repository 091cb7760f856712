// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Copies of apps written in Python, with `app_sdk`.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use serde_json::Value;

use crate::folder::Folder;
use crate::ports;
use crate::process::{Process, Signal, guarded, tail};
use crate::root::checkout;
use crate::wait::{eventually, seconds};

/// The Python with what apps need: what `RIG_PYTHON` names, or what `make apps-venv` made.
pub fn python() -> PathBuf {
    let made = || checkout().join("target/apps-venv/bin/python");
    std::env::var_os("RIG_PYTHON").map_or_else(made, PathBuf::from)
}

/// A running copy; killed on drop, with the end of its log shown when the test fails.
#[derive(Debug)]
pub struct App {
    port: u16,
    process: Process,
    agent: ureq::Agent,
    _folder: Folder,
}

impl App {
    /// Starts a program of the checkout with these variables in its environment, and waits until
    /// it consumes.
    ///
    /// # Panics
    ///
    /// When it does not.
    #[track_caller]
    pub fn start(program: impl AsRef<Path>, settings: &[(&str, &str)]) -> Self {
        let (folder, port) = (Folder::new("app"), ports::free());
        let python = python();
        assert!(python.exists(), "{} is not there (make apps-venv)", python.display());
        let mut command = guarded(python);
        command.arg(checkout().join(program)).env("PYTHONPATH", checkout().join("apps"));
        command.env("PYTHONDONTWRITEBYTECODE", "1").env("APP_PORT", port.to_string());
        command.envs(settings.iter().copied());
        let process = Process::spawn("app", command, &folder.path().join("log"));
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(seconds(10)))
            .proxy(None)
            .build()
            .into();
        let app = Self { port, process, agent, _folder: folder };
        app.wait_health("to consume", |told| told["status"] == "passing");
        app
    }

    /// What its page says of it; `Null` when there is none.
    pub fn health(&self) -> Value {
        let answer = self.agent.get(format!("http://127.0.0.1:{}/health", self.port)).call();
        let text = answer.ok().and_then(|mut answer| answer.body_mut().read_to_string().ok());
        text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
    }

    /// Waits until its page fits.
    ///
    /// # Panics
    ///
    /// When it does not, or the app ends.
    #[track_caller]
    pub fn wait_health(&self, what: &str, fits: impl Fn(&Value) -> bool) {
        eventually(&format!("the app {what}"), seconds(180), || {
            if let Some(status) = self.process.ended() {
                panic!("the app ended ({status}):\n{}", tail(&self.log(), 40));
            }
            let told = self.health();
            if fits(&told) { Ok(()) } else { Err(told) }
        });
    }

    /// Waits until it has so many partitions of the app's calls.
    #[track_caller]
    pub fn wait_partitions(&self, count: usize) {
        self.wait_health(&format!("to have {count} partitions"), |told| {
            told["partitions"].as_array().is_some_and(|held| held.len() == count)
        });
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        self.process.output()
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// SIGKILL.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// SIGTERM, and waits for the end.
    #[track_caller]
    pub fn terminate(&self) -> ExitStatus {
        self.process.signal(Signal::TERM);
        self.process.wait(seconds(60))
    }
}

impl Drop for App {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the end of the app's log:\n{}\n---", tail(&self.log(), 60));
        }
    }
}
