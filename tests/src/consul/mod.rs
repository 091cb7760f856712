// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Consul agents of our own: in development mode, or with what a site has: data on disk, tokens,
//! TLS, a second agent.

mod access;
mod builder;
mod keys;
mod services;

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use ureq::http::Request;

use crate::ari::{Reply, http_with};
use crate::folder::Folder;
use crate::process::{Process, Signal, tail};
use crate::root::{Inside, Root};
use crate::server::Server;
use crate::wait::{eventually, seconds};

pub use builder::ConsulBuilder;

const TOKEN: &str = "X-Consul-Token";

/// A running agent, which is its own server unless it joined another; killed on drop. It keeps its
/// ports over its lives.
#[derive(Debug)]
pub struct Consul {
    node: String,
    http: u16,
    https: Option<u16>,
    serf: u16,
    development: bool,
    management_token: Option<String>,
    agent: ureq::Agent,
    server: Server,
    folder: Folder,
}

impl Consul {
    /// Starts one in development mode: a server of its own, with no tokens, that keeps nothing on
    /// disk. Waits until it has a leader.
    ///
    /// # Panics
    ///
    /// When it does not come up within 30 s.
    #[track_caller]
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// One with more than [`Consul::start`] gives.
    pub fn builder() -> ConsulBuilder {
        ConsulBuilder::new()
    }

    /// Starts it again, with the same ports and the data that it keeps, and waits until it has a
    /// leader (and with tokens, until those are taken).
    ///
    /// # Panics
    ///
    /// When it runs already, or does not come up within 30 s.
    #[track_caller]
    pub fn start_again(&self) {
        self.start_again_without_waiting();
        eventually("Consul to have a leader", seconds(30), || {
            self.server.assert_runs(|| self.log());
            match self.try_request("GET", "/v1/status/leader", None) {
                Ok(Reply { status: 200, body: Value::String(leader) }) if !leader.is_empty() => {
                    Ok(())
                }
                other => Err(format!("{other:?}\n{}", tail(&self.log(), 10))),
            }
        });
        if self.management_token.is_some() {
            // A new leader sets up what the tokens stand on.
            eventually("Consul to take its token", seconds(30), || {
                match self.try_request("GET", "/v1/acl/token/self", None) {
                    Ok(Reply { status: 200, .. }) => Ok(()),
                    other => Err(format!("{other:?}\n{}", tail(&self.log(), 10))),
                }
            });
        }
    }

    /// Like [`Consul::start_again`], and returns at once.
    ///
    /// # Panics
    ///
    /// When it runs already.
    #[track_caller]
    pub fn start_again_without_waiting(&self) {
        self.server.start(self.command());
    }

    /// Stops it in order (SIGTERM) and waits for the end. A server stays a member of its
    /// datacenter; one that joined, and one in development mode, leaves.
    #[track_caller]
    pub fn stop(&self) {
        self.server.stop(seconds(30));
    }

    /// Kills it (SIGKILL) and waits.
    pub fn kill(&self) {
        self.server.kill();
    }

    /// Makes it leave its datacenter, which takes its node and all its services out of the
    /// catalog, and end. Within some seconds after it has joined another, its first synchronisation
    /// may bring them back while it leaves.
    #[track_caller]
    pub fn leave(&self) {
        self.request("PUT", "/v1/agent/leave", None).ok();
        self.server.wait(seconds(30));
    }

    /// Removes the data it keeps, as a machine that is set up anew; only while it is stopped.
    ///
    /// # Panics
    ///
    /// When it runs.
    #[track_caller]
    pub fn wipe(&self) {
        assert!(self.server.running().is_none(), "Consul runs: stop it, then wipe it");
        let data = self.folder.path().join(builder::DATA);
        match std::fs::remove_dir_all(&data) {
            // In development mode there is none.
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                panic!("{}: {error}", data.display());
            }
            _ => {}
        }
    }

    /// Freezes it (SIGSTOP): connections stay, new ones are accepted by the kernel, nothing answers.
    pub fn freeze(&self) {
        self.server.signal(Signal::STOP);
    }

    /// Ends [`Consul::freeze`].
    pub fn thaw(&self) {
        self.server.signal(Signal::CONT);
    }

    /// The TCP port of its HTTP API on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.http
    }

    /// The TCP port of its HTTPS API on 127.0.0.1.
    ///
    /// # Panics
    ///
    /// When it was made without [`ConsulBuilder::tls`].
    #[track_caller]
    pub fn https_port(&self) -> u16 {
        self.https.unwrap_or_else(|| panic!("an agent made with tls has an HTTPS port"))
    }

    /// The name of its node in the catalog.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Its process of now, or its last: signals, what it uses.
    pub fn process(&self) -> Arc<Process> {
        self.server.process()
    }

    /// Its log so far, of all its lives.
    pub fn log(&self) -> String {
        self.server.printed()
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A request to its HTTP API, with the management token where there is one; `path` begins with
    /// `/v1/`. A redirection is not followed.
    ///
    /// # Panics
    ///
    /// When there is no HTTP answer within a minute.
    #[track_caller]
    pub fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Reply {
        self.try_request(method, path, body)
            .unwrap_or_else(|error| panic!("Consul, {method} {path}: {error}"))
    }

    /// Like [`Consul::request`], with a token of one's own; an empty one is nobody's.
    ///
    /// # Panics
    ///
    /// When there is no HTTP answer within a minute.
    #[track_caller]
    pub fn request_as(&self, token: &str, method: &str, path: &str, body: Option<&Value>) -> Reply {
        http_with(&self.agent, method, &self.url(path), (TOKEN, token), body)
            .unwrap_or_else(|error| panic!("Consul, {method} {path}: {error}"))
    }

    /// Like [`Consul::request`], to an agent that may be gone.
    ///
    /// # Errors
    ///
    /// When there is no HTTP answer.
    pub fn try_request(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Reply, ureq::Error> {
        http_with(&self.agent, method, &self.url(path), (TOKEN, self.token()), body)
    }

    /// All that the datacenter's servers hold (catalog, keys, tokens), to [`Consul::restore`].
    ///
    /// # Panics
    ///
    /// When Consul refuses.
    #[track_caller]
    pub fn snapshot(&self) -> Vec<u8> {
        let request = Request::get(self.url("/v1/snapshot")).header(TOKEN, self.token()).body(());
        let request = request.unwrap_or_else(|error| panic!("Consul, snapshot: {error}"));
        let answer = self.agent.run(request).and_then(|mut answer| {
            Ok((answer.status().as_u16(), answer.body_mut().read_to_vec()?))
        });
        match answer {
            Ok((200, snapshot)) => snapshot,
            other => panic!("Consul, snapshot: {other:?}"),
        }
    }

    /// Brings back what a snapshot holds: the indices of blocking queries go backwards, and what
    /// came since is gone.
    ///
    /// # Panics
    ///
    /// When Consul refuses.
    #[track_caller]
    pub fn restore(&self, snapshot: &[u8]) {
        let request = Request::put(self.url("/v1/snapshot")).header(TOKEN, self.token());
        let request = request.body(snapshot);
        let request = request.unwrap_or_else(|error| panic!("Consul, restore: {error}"));
        let answer = self.agent.run(request);
        let answer = answer.unwrap_or_else(|error| panic!("Consul, restore: {error}"));
        assert_eq!(answer.status(), 200, "Consul, restore");
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.http)
    }

    fn token(&self) -> &str {
        self.management_token.as_deref().unwrap_or_default()
    }

    fn command(&self) -> Inside {
        let command = Root::Bullseye.command("consul").bind(self.folder.path()).arg("agent");
        let command = if self.development { command.arg("-dev") } else { command };
        command.arg("-config-file").arg(self.folder.path().join(builder::CONFIGURATION))
    }
}

/// Some text as one part of a path.
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}
