// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A child process that never outlives its owner.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

pub use rustix::process::Signal;
use rustix::process::{Pid, Resource, Rlimit, kill_process, prlimit};

use crate::wait::{eventually, poll};

static LIVING: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// Kills all servers of this process, waits for their ends and removes all folders: for a program
/// that is about to exit without dropping them.
pub fn end_all() {
    let living = LIVING.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for &pid in &living {
        send(pid, Signal::KILL);
    }
    // What nobody has waited for stays as a zombie, but does nothing any more.
    let is_over = |pid: &u32| field(*pid, "State:").is_none_or(|state| state == "Z");
    let _ = poll(Duration::from_secs(10), || living.iter().all(is_over).then_some(()).ok_or(()));
    crate::folder::remove_all();
}

/// A running server: killed and waited for on drop. It also dies when this process does, however
/// that ends (see [`guarded`]).
#[derive(Debug)]
pub struct Process {
    name: String,
    pid: u32,
    output: PathBuf,
    child: Mutex<Child>,
}

/// A command that the kernel kills when the thread that spawned it ends: `PR_SET_PDEATHSIG`, which
/// survives exec. [`Process::spawn`] spawns from a thread that lives as long as the process.
pub fn guarded(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

impl Process {
    /// Starts `command` with both outputs into the file `output`.
    ///
    /// # Panics
    ///
    /// When it can't be started.
    #[track_caller]
    pub fn spawn(name: &str, mut command: Command, output: &Path) -> Self {
        let file = File::options().create(true).append(true).open(output);
        let (stdout, stderr) = file
            .and_then(|file| Ok((file.try_clone()?, file)))
            .unwrap_or_else(|error| panic!("{name}: {}: {error}", output.display()));
        // Its own group: Ctrl-C in a terminal is for us, and we end our servers in order.
        command.stdin(Stdio::null()).stdout(stdout).stderr(stderr).process_group(0);
        let child = spawn_from_lasting_thread(command)
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        LIVING.lock().unwrap_or_else(PoisonError::into_inner).insert(child.id());
        Self {
            name: name.to_owned(),
            pid: child.id(),
            output: output.to_owned(),
            child: Mutex::new(child),
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// What it has printed.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.output).unwrap_or_default()).into_owned()
    }

    /// Sends it a signal; nothing happens when it has ended.
    pub fn signal(&self, signal: Signal) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        // Only while it is not yet waited for is the id surely its own.
        if matches!(child.try_wait(), Ok(None)) {
            send(self.pid, signal);
        }
    }

    /// How it ended, if it has.
    pub fn ended(&self) -> Option<ExitStatus> {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        child.try_wait().ok().flatten()
    }

    /// Waits for its end.
    ///
    /// # Panics
    ///
    /// When it does not end `within`.
    #[track_caller]
    pub fn wait(&self, within: Duration) -> ExitStatus {
        let what = format!("the end of {} (pid {})", self.name, self.pid);
        eventually(&what, within, || self.ended().ok_or("it runs"))
    }

    /// Kills it and waits.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
        let _ = poll(Duration::from_secs(10), || self.ended().ok_or(()));
    }

    /// Resident memory in bytes; 0 when it has ended.
    pub fn rss_bytes(&self) -> u64 {
        let kilobytes: Option<u64> = field(self.pid, "VmRSS:").and_then(|text| text.parse().ok());
        kilobytes.unwrap_or_default() * 1024
    }

    /// The most resident memory since [`Process::forget_peak`], in bytes; 0 when it has ended.
    pub fn peak_rss_bytes(&self) -> u64 {
        let kilobytes: Option<u64> = field(self.pid, "VmHWM:").and_then(|text| text.parse().ok());
        kilobytes.unwrap_or_default() * 1024
    }

    /// From here on, the peak is of what follows.
    pub fn forget_peak(&self) {
        // It has ended: then there is no peak.
        let _ = fs::write(format!("/proc/{}/clear_refs", self.pid), "5");
    }

    /// The number of its threads; 0 when it has ended.
    pub fn threads(&self) -> usize {
        field(self.pid, "Threads:").and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    /// The number of its open files; 0 when it has ended.
    pub fn fds(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid)).map_or(0, Iterator::count)
    }

    /// User and system time it has used.
    pub fn cpu_time(&self) -> Duration {
        cpu_time(self.pid)
    }

    /// Whether a file whose name ends in `name` is mapped into it.
    pub fn maps(&self, name: &str) -> bool {
        fs::read_to_string(format!("/proc/{}/maps", self.pid))
            .unwrap_or_default()
            .lines()
            .any(|line| line.trim_end_matches(" (deleted)").ends_with(name))
    }
}

/// A process and all that it started, and those started, by their ids.
pub fn family(pid: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let parents: Vec<(u32, u32)> =
        ids.filter_map(|id| Some((id, field(id, "PPid:")?.parse().ok()?))).collect();
    let mut family = vec![pid];
    let mut place = 0;
    while let Some(parent) = family.get(place).copied() {
        family.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(id, _)| *id));
        place += 1;
    }
    family
}

/// User and system time that a process has used.
pub fn cpu_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // After the name, which is in brackets and may hold anything: fields 14 and 15 of proc(5).
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 =
        after_name.split_whitespace().skip(11).take(2).flat_map(str::parse::<u64>).sum();
    // Linux shows 100 ticks a second to every program.
    Duration::from_millis(ticks * 10)
}

/// The memory of a process in bytes; of what it shares with others, its part.
pub fn pss_bytes(pid: u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or_default() * 1024
}

/// Sends a signal to any process; nothing happens when there is none.
pub fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It has just ended: nothing to signal.
        let _ = kill_process(pid, signal);
    }
}

/// Sets the number of files that a process may have open, from now on (the soft limit); what it was.
///
/// # Panics
///
/// When there is no such process.
pub fn limit_files(pid: u32, count: u64) -> u64 {
    let path = format!("/proc/{pid}/limits");
    let limits = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let mut words = line.into_iter().flat_map(str::split_whitespace);
    let [soft, hard] = [words.next(), words.next()].map(|word| word?.parse().ok());
    let new = Rlimit { current: Some(count), maximum: hard };
    prlimit(i32::try_from(pid).ok().and_then(Pid::from_raw), Resource::Nofile, new)
        .unwrap_or_else(|error| panic!("the files of process {pid}: {error}"));
    soft.unwrap_or(u64::MAX)
}

/// The first word of a field of `/proc/<pid>/status`.
fn field(pid: u32, name: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix(name))?;
    value.split_whitespace().next().map(str::to_owned)
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        LIVING.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.pid);
    }
}

/// The last `count` lines of a text.
pub fn tail(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

type Spawning = (Command, Sender<io::Result<Child>>);

/// The signal of [`guarded`] comes when the spawning *thread* ends, and a test's thread ends long
/// before a server that other tests share.
fn spawn_from_lasting_thread(command: Command) -> io::Result<Child> {
    static SPAWNER: OnceLock<Mutex<Sender<Spawning>>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, receiver) = channel::<Spawning>();
        thread::spawn(move || {
            for (mut command, answer) in receiver {
                let _ = answer.send(command.spawn());
            }
        });
        Mutex::new(sender)
    });
    let (answer, child) = channel();
    spawner
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .send((command, answer))
        .map_err(io::Error::other)?;
    child.recv().map_err(io::Error::other)?
}
