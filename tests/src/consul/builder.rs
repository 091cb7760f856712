// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What an agent is made of.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::Consul;
use crate::certificates::Certificates;
use crate::folder::Folder;
use crate::ports;
use crate::server::Server;
use crate::wait::seconds;

pub(super) const CONFIGURATION: &str = "consul.json";
pub(super) const DATA: &str = "data";

/// An agent to be; see [`Consul::builder`].
#[derive(Debug)]
pub struct ConsulBuilder {
    folder: Folder,
    kind: Kind,
    management_token: Option<String>,
    https: Option<Value>,
    http_port: Option<u16>,
    more: Value,
}

/// What the agent is in its datacenter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The only server, with nothing on disk.
    Development,
    /// The only server, with a data folder.
    Server,
    /// No server: it joins the one on this port, and has a data folder.
    Client { serf: u16 },
}

impl ConsulBuilder {
    pub(super) fn new() -> Self {
        Self {
            folder: Folder::new("consul"),
            kind: Kind::Development,
            management_token: None,
            https: None,
            http_port: None,
            more: json!({}),
        }
    }

    /// Keeps its data on disk: a restart brings back registrations and keys, unless they are wiped
    /// ([`Consul::wipe`]).
    #[must_use]
    pub fn persistent(mut self) -> Self {
        self.kind = Kind::Server;
        self
    }

    /// Joins the datacenter of another agent, which holds the servers' part. Keeps its own
    /// registrations on disk. Where the other has tokens, the management token is the same.
    #[must_use]
    pub fn joining(mut self, first: &Consul) -> Self {
        self.kind = Kind::Client { serf: first.serf };
        self.management_token.clone_from(&first.management_token);
        self
    }

    /// With tokens, and without one nothing is allowed.
    #[must_use]
    pub fn default_deny(mut self) -> Self {
        self.management_token = Some(uuid());
        self
    }

    /// With an HTTPS listener too ([`Consul::https_port`]); whether it demands a client's
    /// certificate. Files are copied: `certificates` may go.
    #[must_use]
    pub fn tls(mut self, certificates: &Certificates, client_certificate_required: bool) -> Self {
        let (certificate, key) = certificates.server();
        let copied = |name: &str, file: &Path| {
            let text = fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            self.folder.write(name, text)
        };
        self.https = Some(json!({
            "ca_file": copied("ca.pem", &certificates.ca()),
            "cert_file": copied("server.pem", &certificate),
            "key_file": copied("server.key", &key),
            "verify_incoming_https": client_certificate_required,
        }));
        self
    }

    /// With its HTTP API on this port.
    #[must_use]
    pub fn http_port(mut self, port: u16) -> Self {
        self.http_port = Some(port);
        self
    }

    /// With more of Consul's own configuration, such as `{"limits": {…}}`.
    #[must_use]
    pub fn with(mut self, configuration: &Value) -> Self {
        merge(&mut self.more, configuration);
        self
    }

    /// Starts it and waits until it has a leader.
    ///
    /// # Panics
    ///
    /// When it does not come up within 30 s.
    #[track_caller]
    pub fn start(self) -> Consul {
        let http = self.http_port.unwrap_or_else(ports::free);
        let serf = ports::free();
        let https = self.https.as_ref().map(|_| ports::free());
        let node = match self.kind {
            Kind::Development | Kind::Server => "rig".to_owned(),
            Kind::Client { .. } => format!("rig-{http}"),
        };
        let configuration = self.configuration(&node, http, https, serf);
        self.folder.write(CONFIGURATION, configuration.to_string());
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(seconds(60)))
            // Of an agent that was killed, no connection must be left.
            .max_idle_connections(0)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .build()
            .into();
        let consul = Consul {
            node,
            http,
            https,
            serf,
            development: self.kind == Kind::Development,
            management_token: self.management_token,
            agent,
            server: Server::new("Consul", self.folder.path().join("printed")),
            folder: self.folder,
        };
        consul.start_again();
        consul
    }

    fn configuration(&self, node: &str, http: u16, https: Option<u16>, serf: u16) -> Value {
        let mut configuration = json!({
            "datacenter": "rig",
            "primary_datacenter": "rig",
            "node_name": node,
            // The machine's: one that is wiped is still the same node to the others.
            "node_id": uuid(),
            "bind_addr": "127.0.0.1",
            "client_addr": "127.0.0.1",
            "ports": {
                "http": http, "https": https.map_or(-1, i32::from), "dns": -1, "grpc": -1,
                "serf_lan": serf, "serf_wan": -1, "server": ports::free(),
            },
            // Elections within a second, and a leave that waits for nobody.
            "performance": {"raft_multiplier": 1, "leave_drain_time": "1ms"},
        });
        let data = self.folder.path().join(DATA);
        merge(
            &mut configuration,
            &match self.kind {
                // Its own member list over the sites is part of what -dev starts.
                Kind::Development => json!({"ports": {"serf_wan": ports::free()}}),
                Kind::Server => json!({"server": true, "bootstrap_expect": 1, "data_dir": data}),
                Kind::Client { serf } => json!({
                    "server": false,
                    "retry_join": [format!("127.0.0.1:{serf}")],
                    "retry_interval": "1s",
                    "data_dir": data,
                }),
            },
        );
        if let Some(token) = &self.management_token {
            let tokens = json!({"master": token, "agent": token});
            let acl = json!({"enabled": true, "default_policy": "deny", "tokens": tokens});
            merge(&mut configuration, &json!({"acl": acl}));
        }
        if let Some(https) = &self.https {
            merge(&mut configuration, https);
        }
        merge(&mut configuration, &self.more);
        configuration
    }
}

/// Adds the members of `more`, also within objects.
fn merge(into: &mut Value, more: &Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (key, value) in more {
                merge(into.entry(key.as_str()).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more.clone(),
    }
}

pub(super) fn uuid() -> String {
    let uuid = fs::read_to_string("/proc/sys/kernel/random/uuid");
    uuid.unwrap_or_else(|error| panic!("no random number: {error}")).trim().to_owned()
}
