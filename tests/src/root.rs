// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The Debian roots that servers run in, and commands inside them.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::process::{Process, guarded};

/// One of the roots that `tests/rig/provision.sh` makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// Debian testing: Asterisk 22, RabbitMQ 4, Kamailio, SIPp.
    Testing,
    /// Debian 11: Asterisk 16, Consul, gcc.
    Bullseye,
    /// Debian testing: Asterisk 22, valgrind.
    Memory,
    /// Debian testing: Chromium, wrk, nginx.
    Clients,
    /// Debian testing: Node.js.
    Node,
    /// librabbitmq of Debian testing; nothing runs in it.
    Bench,
}

impl Root {
    /// Its name, as the scripts of `tests/rig` take it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Testing => "testing",
            Self::Bullseye => "bullseye",
            Self::Memory => "memory",
            Self::Clients => "clients",
            Self::Node => "node",
            Self::Bench => "bench",
        }
    }

    /// Its folder; it is made first where it is missing.
    ///
    /// # Panics
    ///
    /// When that fails.
    pub fn path(self) -> PathBuf {
        self.provision();
        cache().join(self.name())
    }

    /// The version of one of the servers in it, without Debian's additions: 22.10.1.
    pub fn version(self, package: &str) -> String {
        let stamp = std::fs::read_to_string(self.path().join(".constellation"));
        let stamp = stamp.unwrap_or_default();
        let value = |line: &str| line.strip_prefix(package)?.strip_prefix('=').map(str::to_owned);
        let whole = stamp.lines().find_map(value).unwrap_or_default();
        let upstream = whole.split_once(':').map_or(whole.as_str(), |(_, rest)| rest);
        let is_part = |character: char| character.is_ascii_digit() || character == '.';
        upstream.split(|character| !is_part(character)).next().unwrap_or_default().to_owned()
    }

    /// Once a process: nothing but a look at the stamp where the root is there.
    fn provision(self) {
        static DONE: [OnceLock<bool>; 6] = [const { OnceLock::new() }; 6];
        let done = DONE[self as usize].get_or_init(|| {
            let script = Command::new(script("provision.sh")).arg(self.name()).status();
            script.is_ok_and(|status| status.success())
        });
        assert!(*done, "no servers: tests/rig/provision.sh failed, its last line says why");
    }

    /// A command to run inside it.
    pub fn command(self, program: impl AsRef<OsStr>) -> Inside {
        Inside {
            root: self,
            binds: Vec::new(),
            argv: vec![program.as_ref().to_owned()],
            environment: Vec::new(),
        }
    }
}

/// The cache folder: roots, and what `make up` leaves running.
pub fn cache() -> PathBuf {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    base.unwrap_or_else(|| panic!("neither XDG_CACHE_HOME nor HOME is set")).join("constellation")
}

/// The checkout this library was built from.
pub fn checkout() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests)
}

fn script(name: &str) -> PathBuf {
    checkout().join("tests/rig").join(name)
}

/// A command inside a root: it sees the root read-only, and what is bound.
#[derive(Clone, Debug)]
pub struct Inside {
    root: Root,
    binds: Vec<OsString>,
    argv: Vec<OsString>,
    environment: Vec<OsString>,
}

impl Inside {
    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.argv.push(argument.as_ref().to_owned());
        self
    }

    /// Adds several arguments.
    #[must_use]
    pub fn args(mut self, arguments: impl IntoIterator<Item: AsRef<OsStr>>) -> Self {
        self.argv.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        let mut assignment = OsString::from(name);
        assignment.push("=");
        assignment.push(value);
        self.environment.push(assignment);
        self
    }

    /// Runs it in this folder, which must be bound.
    #[must_use]
    pub fn current_dir(mut self, path: &Path) -> Self {
        let mut option = OsString::from("--chdir=");
        option.push(path);
        // An option of env, which takes its options first.
        self.environment.insert(0, option);
        self
    }

    /// Shows a folder or file at the same path inside.
    #[must_use]
    pub fn bind(self, path: &Path) -> Self {
        self.bind_at(path, path)
    }

    /// Shows a folder or file at another path inside.
    #[must_use]
    pub fn bind_at(mut self, source: &Path, target: &Path) -> Self {
        let mut bind = source.as_os_str().to_owned();
        bind.push(":");
        bind.push(target);
        self.binds.push(bind);
        self
    }

    /// The command line that does it, for a person to repeat.
    pub fn shown(&self) -> String {
        let mut words = vec![script("enter.sh").display().to_string(), self.root.name().to_owned()];
        for bind in &self.binds {
            words.push(format!("--bind {}", bind.display()));
        }
        words.push("--".to_owned());
        for word in &self.argv {
            let word = word.display().to_string();
            words.push(if word.contains(' ') { format!("'{word}'") } else { word });
        }
        words.join(" ")
    }

    /// Starts it as a server whose outputs go to the file `output`.
    #[track_caller]
    pub fn spawn(self, name: &str, output: &Path) -> Process {
        Process::spawn(name, self.into_command(), output)
    }

    /// Runs it to its end and gives what it printed; `Err` with both outputs when it fails.
    ///
    /// # Errors
    ///
    /// What it printed, when its exit status is not 0.
    ///
    /// # Panics
    ///
    /// When it can't be started.
    pub fn run(self) -> Result<String, String> {
        let shown = self.shown();
        let output = self
            .into_command()
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("{shown}: {error}"));
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(stdout);
        }
        Err(format!("{}: {stdout}{}", output.status, String::from_utf8_lossy(&output.stderr)))
    }

    fn into_command(self) -> Command {
        // The root must be there before its script is asked to enter it.
        let _ = self.root.path();
        let mut command = guarded(script("enter.sh"));
        command.arg(self.root.name());
        for bind in &self.binds {
            command.arg("--bind").arg(bind);
        }
        // Set inside: enter.sh has a use of its own for HOME.
        command.arg("--").arg("env").args(self.environment).args(self.argv);
        command
    }
}
