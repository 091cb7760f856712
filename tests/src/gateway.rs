// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The gateway, started with a configuration file of its own.

use std::path::PathBuf;
use std::process::{Command, ExitStatus};

use crate::folder::Folder;
use crate::process::{Process, Signal, guarded, tail};
use crate::root::checkout;
use crate::wait::{eventually, seconds};
use crate::{Ari, ports};

/// What all users' passwords are.
pub const PASSWORD: &str = "gateway-password";
/// The user `token`'s.
pub const TOKEN: &str = "a-token-of-the-rig";
/// The ARI user of the nodes, as the rig writes it.
pub const NODE_PASSWORD: &str = "rig-password";

/// argon2 of [`PASSWORD`], made cheap: a debug build would take long for the usual cost.
const HASH: &str =
    "$argon2id$v=19$m=8,t=1,p=1$Y29uc3RlbGxhdGlvbg$HRKsj8k0S5HHYssyk2MG+VWJKVTyi3cUV/cEK1RrOuk";
/// SHA-256 of [`TOKEN`].
const TOKEN_HASH: &str = "0e37f3aa4e36c5045885103448d76aafe7c90336d655a274c3d95fc4357b57ba";

/// The program: what `RIG_GATEWAY` names, or what the Makefile built.
pub fn binary() -> PathBuf {
    let built = || {
        let folder = std::env::var_os("MODULES_22");
        let folder = folder.map(PathBuf::from);
        folder.unwrap_or_else(|| checkout().join("target/asterisk-22/release")).join("gateway")
    };
    std::env::var_os("RIG_GATEWAY").map_or_else(built, PathBuf::from)
}

/// A running gateway; killed on drop, with the end of its log shown when the test fails.
#[derive(Debug)]
pub struct Gateway {
    port: u16,
    process: Process,
    folder: Folder,
}

impl Gateway {
    /// Starts one for the fleet of an agent on this port, and waits until it is ready. `more` are
    /// lines of TOML for sections, such as `[nodes]`, that follow each other.
    ///
    /// # Panics
    ///
    /// When it does not become ready.
    #[track_caller]
    pub fn start(consul: u16, more: &[(&str, &str)]) -> Self {
        let gateway = Self::start_without_waiting(consul, more);
        gateway.wait_ready();
        gateway
    }

    /// Like [`Gateway::start`], and returns once it listens.
    ///
    /// # Panics
    ///
    /// When it ends before.
    #[track_caller]
    pub fn start_without_waiting(consul: u16, more: &[(&str, &str)]) -> Self {
        Self::at(ports::free(), consul, more)
    }

    /// Like [`Gateway::start_without_waiting`], on this port of its own.
    ///
    /// # Panics
    ///
    /// When it ends before it listens.
    #[track_caller]
    pub fn at(port: u16, consul: u16, more: &[(&str, &str)]) -> Self {
        let folder = Folder::new("gateway");
        let file = folder.write("gateway.toml", configuration(port, consul, more));
        let mut command = guarded(binary());
        command.arg("--config").arg(file);
        let process = Process::spawn("gateway", command, &folder.path().join("log"));
        let gateway = Self { port, process, folder };
        eventually("the gateway to listen", seconds(20), || {
            if let Some(status) = gateway.process.ended() {
                panic!("the gateway ended while starting ({status}):\n{}", gateway.log());
            }
            std::net::TcpStream::connect(("127.0.0.1", port)).map(drop)
        });
        gateway
    }

    /// Waits until it has read the fleet.
    #[track_caller]
    pub fn wait_ready(&self) {
        eventually("the gateway to be ready", seconds(20), || {
            let answer = ureq::get(format!("http://127.0.0.1:{}/health/ready", self.port)).call();
            answer.map(drop).map_err(|error| format!("{error}\n{}", tail(&self.log(), 10)))
        });
    }

    /// The TCP port it serves on, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// ARI as a user who may do everything.
    pub fn ari(&self) -> Ari {
        self.ari_as("rig")
    }

    /// ARI as one of the users: `rig`, `reader`, `mine` (applications `mine`, `mine-…`), `poster`
    /// (GET and POST only).
    pub fn ari_as(&self, user: &str) -> Ari {
        Ari::new(self.port, user, PASSWORD)
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        self.process.output()
    }

    /// The length of the log now, for [`Gateway::wait_log_after`].
    pub fn log_mark(&self) -> usize {
        self.log().len()
    }

    /// Waits until the log has `text` after a mark, and gives the line.
    #[track_caller]
    pub fn wait_log_after(&self, mark: usize, text: &str) -> String {
        eventually(&format!("{text:?} in the gateway's log"), seconds(20), || {
            let log = self.log();
            let new = log.get(mark..).unwrap_or_default();
            let line = new.lines().find(|line| line.contains(text)).map(str::to_owned);
            line.ok_or_else(|| tail(new, 8))
        })
    }

    /// One of its metrics, by the whole beginning of its line; 0 when it is not there.
    #[track_caller]
    pub fn metric(&self, name: &str) -> f64 {
        let answer = ureq::get(format!("http://127.0.0.1:{}/metrics", self.port)).call();
        let mut answer = answer.unwrap_or_else(|error| panic!("the gateway's metrics: {error}"));
        let text = answer.body_mut().read_to_string().unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok()).unwrap_or_default()
    }

    /// SIGTERM, and waits for the end.
    #[track_caller]
    pub fn terminate(&self) -> ExitStatus {
        self.process.signal(Signal::TERM);
        self.process.wait(seconds(30))
    }

    /// Its folder.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Fails the test if it has ended.
    ///
    /// # Panics
    ///
    /// With its log.
    #[track_caller]
    pub fn assert_alive(&self) {
        let ended = self.process.ended();
        assert!(ended.is_none(), "the gateway ended: {ended:?}\n{}", self.log());
        assert!(!self.log().contains("panicked"), "{}", self.log());
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the end of the gateway's log:\n{}\n---", tail(&self.log(), 60));
        }
    }
}

/// Runs the program with these arguments to its end: its status and both outputs.
///
/// # Panics
///
/// When it can't be started.
pub fn run(arguments: &[&str]) -> (ExitStatus, String) {
    let output = Command::new(binary()).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}", binary().display()));
    let both = [output.stdout, output.stderr].concat();
    (output.status, String::from_utf8_lossy(&both).into_owned())
}

fn configuration(port: u16, consul: u16, more: &[(&str, &str)]) -> String {
    // An option of the rig's stays unless a scenario says it otherwise.
    let section = |name: &str, own: &str| {
        let more = more.iter().filter(|(section, _)| *section == name);
        let more: String = more.map(|(_, lines)| format!("{lines}\n")).collect();
        let name_of = |line: &str| line.split(" =").next().unwrap_or_default().to_owned();
        let is_said = |line: &&str| more.lines().any(|said| name_of(said) == name_of(line));
        let own: String =
            own.lines().filter(|line| !is_said(line)).map(|line| format!("{line}\n")).collect();
        format!("[{name}]\n{own}{more}\n")
    };
    let user = |name: &str, rest: &str| {
        format!("[[user]]\nname = \"{name}\"\npassword_hash = \"{HASH}\"\n{rest}\n")
    };
    [
        section("http", &format!("listen = \"127.0.0.1:{port}\"")),
        section("limits", ""),
        section("consul", &format!("address = \"http://127.0.0.1:{consul}\"")),
        section("nodes", &format!("user = \"rig\"\npassword = \"{NODE_PASSWORD}\"")),
        section("index", ""),
        section("amqp", ""),
        section("events", ""),
        section("bridges", ""),
        section("log", "level = \"debug\""),
        user("rig", ""),
        user("reader", "read_only = true"),
        user("mine", "apps = [\"mine\", \"mine-*\"]"),
        user("poster", "verbs = [\"GET\", \"POST\"]"),
        format!("[[user]]\nname = \"token\"\ntoken_hash = \"sha256:{TOKEN_HASH}\"\n"),
    ]
    .concat()
}
