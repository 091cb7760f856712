// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Kamailio with the configuration of `deploy/kamailio`, unchanged, and the dispatcher that keeps its
//! list.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::asterisk::Asterisk;
use crate::folder::Folder;
use crate::gateway;
use crate::ports;
use crate::process::{Process, Signal, guarded, tail};
use crate::root::{Inside, Root, checkout};
use crate::server::Server;
use crate::sip_socket::SipSocket;
use crate::wait::{eventually, seconds};

/// Its folder is there before it runs, and so are the paths that it and the dispatcher meet at.
#[derive(Debug)]
pub struct Kamailio {
    port: u16,
    server: Server,
    folder: Folder,
}

impl Kamailio {
    /// One that is not started yet. `local` are more lines of `kamailio-local.cfg`.
    ///
    /// # Panics
    ///
    /// When its files can't be written.
    #[track_caller]
    pub fn new(local: &str) -> Self {
        Self::at(ports::free(), local)
    }

    /// Like [`Kamailio::new`], for SIP on this port.
    ///
    /// # Panics
    ///
    /// When its files can't be written.
    #[track_caller]
    pub fn at(port: u16, local: &str) -> Self {
        let folder = Folder::new("kamailio");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let file = checkout().join("deploy/kamailio/kamailio.cfg");
        let text = fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        folder.write("kamailio.cfg", text);
        let own = format!(
            "listen=udp:127.0.0.1:{port}\nlisten=tcp:127.0.0.1:{port}\n\
             #!define NODES_LIST \"{}\"\n#!define RPC_SOCKET \"{}\"\n{local}\n",
            path("dispatcher.list"),
            path("rpc.sock"),
        );
        folder.write("kamailio-local.cfg", own);
        let server = Server::new("Kamailio", folder.path().join("log"));
        Self { port, server, folder }
    }

    /// Starts it, again too, and waits until it serves. There must be a list.
    ///
    /// # Panics
    ///
    /// When it ends, or takes more than 20 s.
    #[track_caller]
    pub fn start(&self) {
        // A process id space of its own: whatever ends its first process ends its children too.
        let program = Root::Testing
            .command("unshare")
            .args(["--pid", "--fork", "--kill-child", "kamailio"])
            .bind(self.folder.path())
            .args(["-DD", "-E", "-m", "32", "-M", "4", "-f"])
            .arg(self.folder.path().join("kamailio.cfg"));
        self.server.start(program);
        let socket = SipSocket::new();
        eventually("Kamailio to serve", seconds(20), || {
            self.server.assert_runs(|| self.log());
            let request = socket.request("OPTIONS", &format!("sip:127.0.0.1:{}", self.port), "");
            socket.send(self.port, &request);
            socket.receive(seconds(1)).ok_or_else(|| tail(&self.log(), 5))
        });
    }

    /// Kills it (SIGKILL) with its children, and waits.
    pub fn kill(&self) {
        self.server.kill();
    }

    /// Whether its configuration, with these lines in `kamailio-local.cfg`, is one.
    ///
    /// # Errors
    ///
    /// What it says is wrong.
    pub fn check(local: &str) -> Result<String, String> {
        let kamailio = Self::new(local);
        kamailio.write_list("# none\n");
        let command = kamailio.inside("kamailio").args(["-c", "-f"]);
        command.arg(kamailio.folder.path().join("kamailio.cfg")).run()
    }

    /// The UDP and TCP port of its SIP on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process that its own are children of.
    pub fn process(&self) -> Arc<Process> {
        self.server.process()
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The list that it reads, as it is now; empty when there is none.
    pub fn list(&self) -> String {
        fs::read_to_string(self.list_path()).unwrap_or_default()
    }

    /// Writes the list by hand.
    pub fn write_list(&self, text: &str) {
        self.folder.write("dispatcher.list", text);
    }

    /// The ports of the nodes that the list has in a set.
    pub fn listed(&self, set: u8) -> Vec<u16> {
        let start = format!("{set} sip:127.0.0.1:");
        let list = self.list();
        let ports = list.lines().filter_map(|line| line.strip_prefix(&start)?.split(' ').next());
        ports.filter_map(|port| port.parse().ok()).collect()
    }

    /// The ports of set 1 that it holds itself, each with its state: `AP` is active, `IP` is not.
    #[track_caller]
    pub fn destinations(&self) -> Vec<(u16, String)> {
        let Some(answer) = self.rpc("dispatcher.list") else { return Vec::new() };
        let sets = answer["RECORDS"].as_array().cloned().unwrap_or_default();
        let first = sets.iter().find(|set| set["SET"]["ID"] == 1);
        let targets = first.map(|set| set["SET"]["TARGETS"].clone()).unwrap_or_default();
        let targets = targets.as_array().cloned().unwrap_or_default();
        let read = |target: &Value| {
            let port = target["DEST"]["URI"].as_str()?.rsplit(':').next()?.parse().ok()?;
            Some((port, target["DEST"]["FLAGS"].as_str()?.to_owned()))
        };
        targets.iter().filter_map(read).collect()
    }

    /// Waits until it holds these nodes, and no others, for new calls.
    #[track_caller]
    pub fn wait_destinations(&self, nodes: &[&Asterisk], within: Duration) {
        let mut wanted: Vec<u16> = nodes.iter().map(|node| node.sip_port()).collect();
        wanted.sort_unstable();
        eventually(&format!("the destinations {wanted:?}"), within, || {
            let destinations = self.destinations();
            let mut ports: Vec<u16> = destinations.iter().map(|(port, _)| *port).collect();
            ports.sort_unstable();
            if ports == wanted { Ok(()) } else { Err(format!("{destinations:?}")) }
        });
    }

    /// The result of a call over its socket for JSON-RPC; `None` when it gives none.
    ///
    /// # Panics
    ///
    /// When there is no answer.
    #[track_caller]
    pub fn rpc(&self, method: &str) -> Option<Value> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let own = self.folder.path().join(format!("asks-{id}"));
        let socket = UnixDatagram::bind(&own).unwrap_or_else(|error| panic!("a socket: {error}"));
        let asked = json!({"jsonrpc": "2.0", "method": method, "id": id}).to_string();
        let answer = socket
            .set_read_timeout(Some(seconds(10)))
            .and_then(|()| socket.send_to(asked.as_bytes(), self.socket_path()))
            .and_then(|_| {
                let mut buffer = vec![0; 1 << 17];
                let count = socket.recv(&mut buffer)?;
                Ok(buffer[..count].to_vec())
            })
            .unwrap_or_else(|error| panic!("Kamailio, {method}: {error}"));
        let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
        answer.get("result").cloned()
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        self.server.printed()
    }

    /// Fails the test if it has ended, or one of its processes has crashed.
    ///
    /// # Panics
    ///
    /// With its log.
    #[track_caller]
    pub fn assert_alive(&self) {
        self.server.assert_runs(|| self.log());
        let log = self.log();
        assert!(!log.contains("core was") && !log.contains("CRITICAL"), "{}", tail(&log, 40));
    }

    fn inside(&self, program: &str) -> Inside {
        Root::Testing.command(program).bind(self.folder.path())
    }

    fn list_path(&self) -> PathBuf {
        self.folder.path().join("dispatcher.list")
    }

    fn socket_path(&self) -> PathBuf {
        self.folder.path().join("rpc.sock")
    }
}

impl Drop for Kamailio {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the list:\n{}", self.list());
            eprintln!("--- the end of Kamailio's log:\n{}\n---", tail(&self.log(), 40));
        }
    }
}

/// `gateway dispatcher` for a Kamailio; killed on drop.
#[derive(Debug)]
pub struct Dispatcher {
    process: Process,
    // Removed when the process is gone.
    _folder: Folder,
}

impl Dispatcher {
    /// Starts it. `consul` are lines of its section, with an address at least.
    ///
    /// # Panics
    ///
    /// When its file can't be written.
    #[track_caller]
    pub fn start(consul: &str, kamailio: &Kamailio) -> Self {
        let folder = Folder::new("dispatcher");
        let file = folder.write("gateway.toml", format!("[consul]\n{consul}\n"));
        let mut command = guarded(gateway::binary());
        command.arg("dispatcher").arg("--config").arg(file);
        command.arg("--list").arg(kamailio.list_path());
        command.arg("--kamailio").arg(kamailio.socket_path());
        let process = Process::spawn("dispatcher", command, &folder.path().join("log"));
        Self { process, _folder: folder }
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        self.process.output()
    }

    /// Waits until its log has `text` so many times.
    #[track_caller]
    pub fn wait_log(&self, text: &str, times: usize) {
        eventually(&format!("{text:?} in the dispatcher's log"), seconds(20), || {
            let log = self.log();
            if log.matches(text).count() >= times { Ok(()) } else { Err(tail(&log, 8)) }
        });
    }

    /// Fails the test if it has ended.
    ///
    /// # Panics
    ///
    /// With the end of its log.
    #[track_caller]
    pub fn assert_alive(&self) {
        if let Some(status) = self.process.ended() {
            panic!("the dispatcher ended ({status}):\n{}", tail(&self.log(), 20));
        }
    }

    /// SIGTERM, and waits for its end in order.
    ///
    /// # Panics
    ///
    /// When it ends otherwise.
    #[track_caller]
    pub fn stop(&self) {
        self.process.signal(Signal::TERM);
        let status = self.process.wait(seconds(10));
        assert!(status.success(), "the dispatcher: {status}\n{}", self.log());
    }
}

impl Drop for Dispatcher {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the end of the dispatcher's log:\n{}\n---", tail(&self.log(), 40));
        }
    }
}
