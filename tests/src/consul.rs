// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A Consul agent, in its development mode.

use std::path::Path;

use serde_json::Value;

use crate::ari::{Reply, http};
use crate::folder::Folder;
use crate::ports;
use crate::process::{Process, tail};
use crate::root::Root;
use crate::wait::{eventually, seconds};

/// A running agent that is its own server; killed on drop.
#[derive(Debug)]
pub struct Consul {
    port: u16,
    agent: ureq::Agent,
    process: Process,
    folder: Folder,
}

impl Consul {
    /// Starts it and waits until it has a leader.
    ///
    /// # Panics
    ///
    /// When it does not come up within 30 s.
    #[track_caller]
    pub fn start() -> Self {
        let folder = Folder::new("consul");
        let http_port = ports::free();
        let configuration = serde_json::json!({
            "datacenter": "rig",
            "node_name": "rig",
            "bind_addr": "127.0.0.1",
            "client_addr": "127.0.0.1",
            "ports": {
                "http": http_port, "dns": -1, "grpc": -1,
                "serf_lan": ports::free(), "serf_wan": ports::free(), "server": ports::free(),
            },
        });
        let file = folder.write("consul.json", configuration.to_string());
        let process = Root::Bullseye
            .command("consul")
            .bind(folder.path())
            .args(["agent", "-dev", "-config-file"])
            .arg(file)
            .spawn("Consul", &folder.path().join("printed"));
        let agent =
            ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().into();
        let consul = Self { port: http_port, agent, process, folder };
        eventually("Consul to have a leader", seconds(30), || {
            let leader = consul.try_request("GET", "/v1/status/leader", None);
            match leader {
                Ok(Reply { status: 200, body: Value::String(leader) }) if !leader.is_empty() => {
                    Ok(())
                }
                other => Err(format!("{other:?}\n{}", tail(&consul.process.output(), 10))),
            }
        });
        consul
    }

    /// The TCP port of its HTTP API on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process: signals.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A request to its HTTP API; `path` begins with `/v1/`.
    ///
    /// # Panics
    ///
    /// When there is no HTTP answer.
    #[track_caller]
    pub fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Reply {
        self.try_request(method, path, body)
            .unwrap_or_else(|error| panic!("Consul, {method} {path}: {error}"))
    }

    fn try_request(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Reply, ureq::Error> {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        http(&self.agent, method, &url, ("", ""), body)
    }
}
