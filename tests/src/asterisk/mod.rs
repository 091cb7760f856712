// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! An Asterisk node: its own folders, ports and configuration, inside one of the roots.

mod builder;
mod configuration;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

pub use builder::{Builder, hosts_with};

use crate::folder::Folder;
use crate::process::{Process, Signal, tail};
use crate::references::{Leak, leaks};
use crate::root::{Inside, Root, checkout};
use crate::server::Server;
use crate::valgrind::{self, MemoryFault};
use crate::wait::{eventually, seconds};
use crate::{Ami, Ari};

/// Log lines shown when a test fails.
const SHOWN_LOG_LINES: usize = 60;

/// Which Asterisk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 16.28, of Debian 11.
    V16,
    /// 22, of Debian testing.
    V22,
}

impl Version {
    /// Both, for a scenario that must hold on either.
    pub const ALL: [Self; 2] = [Self::V16, Self::V22];

    /// The root that has it.
    pub const fn root(self) -> Root {
        match self {
            Self::V16 => Root::Bullseye,
            Self::V22 => Root::Testing,
        }
    }

    /// Where its modules are, inside the root.
    pub(crate) fn module_folder(self) -> &'static str {
        match self {
            Self::V16 => "/usr/lib/asterisk/modules",
            Self::V22 => "/usr/lib/x86_64-linux-gnu/asterisk/modules",
        }
    }

    /// The file cargo made of one of our modules for this version. `MODULES_16` and `MODULES_22`
    /// name other folders than the Makefile's.
    pub fn artefact(self, module: &str) -> PathBuf {
        let (variable, folder) = match self {
            Self::V16 => ("MODULES_16", "target/asterisk-16/release"),
            Self::V22 => ("MODULES_22", "target/asterisk-22/release"),
        };
        let folder =
            std::env::var_os(variable).map_or_else(|| checkout().join(folder), PathBuf::from);
        folder.join(format!("lib{module}.so"))
    }
}

/// A running node. On drop it is killed; when that is because the test fails, the end of its log
/// is printed.
#[derive(Debug)]
pub struct Asterisk {
    version: Version,
    entity_id: String,
    ports: Ports,
    /// With all that it sees of this machine.
    program: Inside,
    /// What it may take to be fully booted.
    boot: Duration,
    server: Server,
    // After `server`: the folder goes when nothing writes into it any more.
    folder: Folder,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    pub(crate) http: u16,
    pub(crate) ami: u16,
    pub(crate) sip: u16,
    pub(crate) rtp: u16,
}

impl Asterisk {
    /// A node with the rig's configuration and nothing else.
    pub fn start(version: Version) -> Self {
        Self::builder(version).start()
    }

    /// A node to describe before it starts.
    pub fn builder(version: Version) -> Builder {
        Builder::new(version)
    }

    /// Which Asterisk it is.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The id it has in `asterisk_id` of ARI and in its events.
    pub fn entity_id(&self) -> &str {
        &self.entity_id
    }

    /// The UDP port of its PJSIP transport on 127.0.0.1.
    pub fn sip_port(&self) -> u16 {
        self.ports.sip
    }

    /// The TCP port of its HTTP server on 127.0.0.1.
    pub fn http_port(&self) -> u16 {
        self.ports.http
    }

    /// The TCP port of its manager interface on 127.0.0.1.
    pub fn ami_port(&self) -> u16 {
        self.ports.ami
    }

    /// Its folder, with `etc`, `log`, `modules`, … in it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its process, the last one: memory, threads, files, signals.
    pub fn process(&self) -> Arc<Process> {
        self.server.process()
    }

    /// Starts it once more, after its end, as it was: configuration, database and log are what the
    /// process before has left.
    ///
    /// # Panics
    ///
    /// When it runs, or with the end of its log, when it ends or takes more than a minute.
    #[track_caller]
    pub fn start_again(&self) {
        self.begin();
    }

    #[track_caller]
    fn begin(&self) {
        self.server.start(self.program.clone());
        let printed = || tail(&self.server.printed(), 20);
        let reason = || format!("{}\n{}", printed(), tail(&self.log(), 20));
        eventually("Asterisk to boot", self.boot, || {
            if let Some(status) = self.process().ended() {
                panic!("Asterisk ended while starting ({status}):\n{}", reason());
            }
            // Its last command, registered when all else is done: before, a stop finds no command.
            match self.try_cli("core show help core stop gracefully", seconds(60)) {
                Ok(answer) if answer.contains("Usage:") => Ok(()),
                Ok(answer) => Err(format!("{answer}\n{}", reason())),
                Err(error) => Err(format!("{error}\n{}", reason())),
            }
        });
    }

    /// Runs a CLI command and gives its output.
    ///
    /// # Panics
    ///
    /// When the node does not answer within a minute.
    #[track_caller]
    pub fn cli(&self, command: &str) -> String {
        self.try_cli(command, seconds(60))
            .unwrap_or_else(|error| panic!("asterisk -rx {command:?}: {error}"))
    }

    /// Ends all channels, and waits until there is none.
    ///
    /// # Panics
    ///
    /// When one is left `within`.
    #[track_caller]
    pub fn hang_up_all(&self, within: Duration) {
        self.cli("channel request hangup all");
        eventually("the channels to end", within, || {
            let shown = self.cli("core show channels count");
            if shown.contains("0 active channels") { Ok(()) } else { Err(shown) }
        });
    }

    /// Runs a CLI command on a node that may be gone or hang.
    ///
    /// # Errors
    ///
    /// When there is no connection, or no end of the answer `within`.
    pub fn try_cli(&self, command: &str, within: Duration) -> std::io::Result<String> {
        console(&self.folder.path().join("run/asterisk.ctl"), command, within)
    }

    /// What a person types for a CLI command, or with an empty one for the console.
    pub fn cli_command_line(&self, command: &str) -> String {
        let program = builder::program(self.version, self.folder.path());
        let program =
            if command.is_empty() { program.arg("-r") } else { program.arg("-rx").arg(command) };
        program.shown()
    }

    /// ARI as a user who may do everything.
    pub fn ari(&self) -> Ari {
        Ari::new(self.ports.http, configuration::ARI_USER, configuration::PASSWORD)
    }

    /// ARI as a user who may only read.
    pub fn ari_reader(&self) -> Ari {
        Ari::new(self.ports.http, configuration::ARI_READER, configuration::PASSWORD)
    }

    /// A manager session, logged in, with all events.
    #[track_caller]
    pub fn ami(&self) -> Ami {
        Ami::login(self.ports.ami, configuration::AMI_USER, configuration::PASSWORD)
    }

    /// RTP packets of a SIP channel so far: received and sent.
    #[track_caller]
    pub fn rtp_packets(&self, channel: &str) -> (u64, u64) {
        let count = |which: &str| {
            let path = format!("/channels/{channel}/variable?variable=CHANNEL(rtcp%2C{which})");
            let reply = self.ari().get(&path).ok();
            reply["value"].as_str().and_then(|count| count.parse().ok()).unwrap_or_default()
        };
        (count("rxcount"), count("txcount"))
    }

    /// Its log so far, debug messages included when [`Builder::debug`] asked for them.
    pub fn log(&self) -> String {
        let log = fs::read(self.folder.path().join("log/full")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Its warnings and errors so far.
    pub fn complaints(&self) -> Vec<String> {
        let log = self.log();
        let complains = |line: &&str| line.contains("WARNING[") || line.contains("ERROR[");
        log.lines().filter(complains).map(str::to_owned).collect()
    }

    /// Waits until its log has `text`, and gives the line.
    #[track_caller]
    pub fn wait_log(&self, text: &str) -> String {
        self.wait_log_after(0, text)
    }

    /// The length of the log now, for [`Asterisk::wait_log_after`].
    pub fn log_mark(&self) -> usize {
        self.log().len()
    }

    /// Waits until the log has `text` after a mark, and gives the line.
    #[track_caller]
    pub fn wait_log_after(&self, mark: usize, text: &str) -> String {
        eventually(&format!("{text:?} in Asterisk's log"), seconds(20), || {
            let log = self.log();
            let new = log.get(mark..).unwrap_or_default();
            new.lines()
                .find(|line| line.contains(text))
                .map(str::to_owned)
                .ok_or_else(|| tail(new, 8))
        })
    }

    /// Replaces a configuration file; the reload is the caller's.
    ///
    /// # Panics
    ///
    /// When it can't be written.
    #[track_caller]
    pub fn write_conf(&self, name: &str, text: &str) {
        self.folder.write(&format!("etc/{name}"), text);
    }

    /// Puts a module file in place, as an installation of a new version does (a new file, not the
    /// old one overwritten).
    ///
    /// # Panics
    ///
    /// When it can't be copied.
    #[track_caller]
    pub fn install_module(&self, file: &Path, name: &str) {
        builder::install_module(self.folder.path(), file, name);
    }

    /// `core stop now`, and waits for the end.
    #[track_caller]
    pub fn stop_now(&self) -> ExitStatus {
        self.stop_by("core stop now")
    }

    /// `core stop gracefully`, and waits for the end.
    #[track_caller]
    pub fn stop_gracefully(&self) -> ExitStatus {
        self.stop_by("core stop gracefully")
    }

    /// SIGTERM, as `systemctl stop` sends, and waits for the end.
    #[track_caller]
    pub fn terminate(&self) -> ExitStatus {
        let process = self.process();
        process.signal(Signal::TERM);
        process.wait(seconds(60))
    }

    /// SIGKILL.
    pub fn kill(&self) {
        self.server.kill();
    }

    /// What killed it, if it has crashed: a sentence with the end of its log.
    pub fn crashed(&self) -> Option<String> {
        let status = self.process().ended()?;
        let how = match status.signal() {
            Some(9 | 15) => return None,
            Some(signal) => format!("Asterisk was ended by signal {signal}"),
            None if status.success() => return None,
            None => format!("Asterisk ended with {status}"),
        };
        Some(format!("{how}; the end of its log:\n{}", tail(&self.log(), SHOWN_LOG_LINES)))
    }

    /// Fails the test if it has crashed.
    ///
    /// # Panics
    ///
    /// With the end of its log.
    #[track_caller]
    pub fn assert_alive(&self) {
        if let Some(crash) = self.crashed() {
            panic!("{crash}");
        }
        assert!(self.process().ended().is_none(), "Asterisk has ended");
    }

    /// The use count of a module; `None` when it is not loaded.
    #[track_caller]
    pub fn use_count(&self, module: &str) -> Option<u32> {
        let listed = self.cli(&format!("module show like {module}.so"));
        let line = listed.lines().find(|line| line.starts_with(&format!("{module}.so ")))?;
        line.split_whitespace().rev().find_map(|word| word.parse().ok())
    }

    /// Waits until the SIP calls that have ended are forgotten too: PJSIP keeps them, and so uses
    /// of its modules, for 64 times its timer T1 (with the rig's configuration about 6 s). A
    /// graceful stop before that frees nothing.
    #[track_caller]
    pub fn wait_sip_forgotten(&self) {
        eventually("PJSIP to forget its calls", seconds(20), || {
            match self.use_count("res_pjsip_rfc3326") {
                None | Some(0) => Ok(()),
                Some(count) => Err(format!("{count} sessions")),
            }
        });
    }

    /// Objects that were made and not freed by the end, when a file whose name has `file` took
    /// part. For a node built with [`Builder::ref_debug`], after [`Asterisk::stop_gracefully`].
    ///
    /// # Panics
    ///
    /// When there is no reference log, or it means nothing: Asterisk gave up freeing because a
    /// module was still in use.
    #[track_caller]
    pub fn leaks(&self, file: &str) -> Vec<Leak> {
        assert!(
            !self.log().contains("switching to fast shutdown"),
            "a module was in use at the stop, so Asterisk freed nothing (after SIP calls: \
             wait_sip_forgotten)"
        );
        let log = self.folder.path().join("log/refs");
        let log = fs::File::open(&log).unwrap_or_else(|error| panic!("{}: {error}", log.display()));
        leaks(std::io::BufReader::new(log), file)
    }

    /// What valgrind found until the end of a node built with [`Builder::under_valgrind`].
    ///
    /// # Panics
    ///
    /// When valgrind has not come to its end.
    #[track_caller]
    pub fn memory_faults(&self) -> Vec<MemoryFault> {
        valgrind::faults(self.folder.path())
    }

    #[track_caller]
    fn stop_by(&self, command: &str) -> ExitStatus {
        // The connection ends with the process: what it answered does not matter.
        let _ = self.try_cli(command, seconds(60));
        self.process().wait(seconds(60))
    }
}

impl Drop for Asterisk {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let crash = self.crashed().is_some();
            let how = if crash { "crashed" } else { "was running" };
            let printed = self.server.printed();
            let log = tail(&self.log(), SHOWN_LOG_LINES);
            eprintln!("--- {:?} {how}; it printed:\n{}", self.version, tail(&printed, 20));
            eprintln!("--- the end of its log:\n{log}\n---");
        }
    }
}

/// What `asterisk -rx` does, without starting a process for it.
fn console(socket: &Path, command: &str, within: Duration) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(within))?;
    stream.set_write_timeout(Some(within))?;
    stream.write_all(format!("cli quit after {command}\0").as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    // NUL bytes mark levels of verbosity; the first line is "host/pid/version".
    answer.retain(|byte| *byte != 0);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    Ok(answer.split_once('\n').map_or(String::new(), |(_, rest)| rest.to_owned()))
}
