// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! `make demo` and its fellows, as a person runs them: what they tell is so, and nothing is left.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rig::folder::Folder;
use rig::process::{Process, Signal};
use rig::root::Root;
use rig::{eventually, ports, seconds};

use crate::gateway_fleet::scenarios;

scenarios!(
    an_interrupted_demo_leaves_nothing,
    a_demo_that_fails_says_why_and_leaves_nothing,
    what_is_up_can_be_called_and_goes_down,
    up_says_what_it_cannot_do,
    the_demo_tells_its_story_and_leaves_nothing
);

const PROGRAM: &str = env!("CARGO_BIN_EXE_demo");
/// It takes 20 s on a machine of its own.
const PATIENCE: Duration = seconds(400);

/// The program with a variable in its environment that all its servers have too.
struct Demo {
    folder: Folder,
}

impl Demo {
    fn new() -> Self {
        let folder = Folder::new("demo");
        // A cache of its own, with the machine's servers: what somebody has left running is not seen.
        let cache = folder.sub("constellation");
        for root in [Root::Testing, Root::Bullseye] {
            let link = cache.join(root.name());
            symlink(root.path(), &link)
                .unwrap_or_else(|error| panic!("{}: {error}", link.display()));
        }
        Self { folder }
    }

    fn command(&self, what: &str, more: &[(&str, &str)]) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .arg(what)
            .env("DEMO_OF_TEST", self.mark())
            .env("XDG_CACHE_HOME", self.folder.path());
        command.envs(more.iter().copied()).stdin(Stdio::null());
        command
    }

    #[track_caller]
    fn run(&self, what: &str, more: &[(&str, &str)]) -> Output {
        self.command(what, more).output().unwrap_or_else(|error| panic!("{PROGRAM}: {error}"))
    }

    fn spawn(&self, what: &str, more: &[(&str, &str)]) -> Process {
        Process::spawn("the demo", self.command(what, more), &self.folder.path().join("printed"))
    }

    fn mark(&self) -> &Path {
        self.folder.path()
    }

    /// Waits until no process has the mark, and the folder of this process is gone.
    #[track_caller]
    fn assert_nothing_left(&self, pid: Option<u32>) {
        let mark = format!("DEMO_OF_TEST={}", self.mark().display());
        eventually("the demo's servers to be gone", seconds(20), || {
            let left = processes_with(&mark);
            if left.is_empty() { Ok(()) } else { Err(left.join("\n")) }
        });
        if let Some(pid) = pid {
            let folder = std::env::temp_dir().join(format!("constellation-rig/{pid}"));
            assert!(!folder.exists(), "{} is left", folder.display());
        }
    }
}

/// The command lines of the processes that have this in their environment.
fn processes_with(variable: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    let of_mark = entries.filter_map(|entry| {
        let environment = fs::read(entry.path().join("environ")).ok()?;
        let mut variables = environment.split(|byte| *byte == 0);
        variables.find(|one| *one == variable.as_bytes())?;
        let words = fs::read(entry.path().join("cmdline")).ok()?;
        Some(String::from_utf8_lossy(&words).replace('\0', " "))
    });
    of_mark.collect()
}

#[track_caller]
fn printed(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

fn the_demo_tells_its_story_and_leaves_nothing() {
    let demo = Demo::new();
    let run = demo.spawn("demo", &[]);
    let ended = run.wait(PATIENCE);
    let told = run.output();
    assert!(ended.success(), "{ended}\n{told}");
    for line in [
        "Alice, who says 440 Hz, dials 8000 … answered on node",
        "one bridge with both calls",
        "one channel on each",
        "Alice, Bob hear each other … each all others",
        "Consul: maintenance",
        "signal: 9 (SIGKILL)",
        "Bob, Carol, Dave, Erin hear each other … each all others",
        "no gap in either node's numbers",
        "all in order",
    ] {
        assert!(told.contains(line), "no {line:?} in:\n{told}");
    }
    demo.assert_nothing_left(Some(run.pid()));
}

fn an_interrupted_demo_leaves_nothing() {
    let demo = Demo::new();
    let run = demo.spawn("demo", &[]);
    eventually("the demo to have nodes", PATIENCE, || {
        let told = run.output();
        if told.contains("Node a in Consul") { Ok(()) } else { Err(told) }
    });
    run.signal(Signal::INT);
    let ended = run.wait(seconds(60));
    assert_eq!(ended.code(), Some(130), "{}", run.output());
    demo.assert_nothing_left(Some(run.pid()));
}

fn a_demo_that_fails_says_why_and_leaves_nothing() {
    let demo = Demo::new();
    // A gateway that is none.
    let output = demo.run("demo", &[("RIG_GATEWAY", "/bin/false")]);
    let (_, errors) = printed(&output);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("demo: the dispatcher"), "{errors}");
    demo.assert_nothing_left(None);
}

fn what_is_up_can_be_called_and_goes_down() {
    let demo = Demo::new();
    let ports: Vec<String> = (0..5).map(|_| ports::free().to_string()).collect();
    let names = ["SIP_PORT", "GATEWAY_PORT", "CONSUL_PORT", "AMQP_PORT", "RABBITMQ_PORT"];
    let mut settings: Vec<(&str, &str)> =
        names.into_iter().zip(ports.iter().map(String::as_str)).collect();
    settings.push(("NODES", "1"));
    let (told, errors) = printed(&demo.run("up", &settings));
    for line in [
        format!("sip:8000@127.0.0.1:{}", ports[0]),
        format!("http://127.0.0.1:{}/ (rig / gateway-password)", ports[1]),
        format!("http://127.0.0.1:{}/ui", ports[2]),
        format!("http://127.0.0.1:{}/ (rig / rig-password)", ports[4]),
        "`make down` ends it.".to_owned(),
    ] {
        assert!(told.contains(&line), "no {line:?} in:\n{told}\n{errors}");
    }
    let (again, _) = printed(&demo.run("up", &settings));
    assert!(again.contains("It is running already."), "{again}");
    // Nobody else is in the conference; and a number that there is not.
    let (called, errors) = printed(&demo.run("call", &[("SECONDS", "2")]));
    assert!(
        called.contains("8000 has answered") && called.contains("hung up after 2 s"),
        "{errors}"
    );
    let refused = demo.run("call", &[("NUMBER", "9999")]);
    assert!(!refused.status.success(), "{refused:?}");
    assert!(printed(&refused).1.contains("refused: 404"), "{refused:?}");
    let (down, errors) = printed(&demo.run("down", &[]));
    assert!(down.contains("All has ended."), "{down}\n{errors}");
    demo.assert_nothing_left(None);
}

fn up_says_what_it_cannot_do() {
    let demo = Demo::new();
    for count in ["0", "9", "two"] {
        let output = demo.run("up", &[("NODES", count)]);
        let (_, errors) = printed(&output);
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert_eq!(errors, format!("demo: NODES={count}: from 1 to 8\n"));
    }
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let output = demo.run("up", &[("SIP_PORT", &port)]);
    let (_, errors) = printed(&output);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains(&format!("demo: port {port}, for Kamailio: ")), "{errors}");
    assert!(errors.contains("make up SIP_PORT="), "{errors}");
    for what in ["call", "watch"] {
        let output = demo.run(what, &[]);
        let (_, errors) = printed(&output);
        assert!(!output.status.success() && errors.contains("(make up)"), "{what}: {errors}");
    }
    demo.assert_nothing_left(None);
}
