// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A RabbitMQ of our own: nothing of it touches a broker that the machine has.

use std::fmt::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::ari::{Reply, http};
use crate::certificates::Certificates;
use crate::folder::Folder;
use crate::ports;
use crate::process::{Process, Signal, tail};
use crate::root::{Inside, Root};
use crate::server::Server;
use crate::wait::{eventually, seconds};

const ADMIN: (&str, &str) = ("rig", "rig-password");

/// A broker: node, ports, data and Erlang's port mapper are its own.
#[derive(Debug)]
pub struct Broker {
    node: String,
    ports: Ports,
    agent: ureq::Agent,
    certificates: Option<Certificates>,
    shared: bool,
    server: Server,
    /// The other's, for a node of a cluster.
    _port_mapper: Option<Process>,
    folder: Folder,
}

#[derive(Clone, Copy, Debug)]
struct Ports {
    amqp: u16,
    amqps: u16,
    management: u16,
    distribution: u16,
    port_mapper: u16,
}

impl Ports {
    /// Free ones, with the port mapper on this one.
    fn free(port_mapper: u16) -> Self {
        Self {
            amqp: ports::free(),
            amqps: ports::free(),
            management: ports::free(),
            distribution: ports::free(),
            port_mapper,
        }
    }
}

impl Broker {
    /// The broker that the tests of this process share, started by the first. It lives until the
    /// process ends; a test takes a [`Broker::tenant`] of it and leaves the broker alone.
    #[track_caller]
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Broker> = OnceLock::new();
        SHARED.get_or_init(|| Self { shared: true, ..Self::own() })
    }

    /// A broker to stop, kill, freeze and fill.
    #[track_caller]
    pub fn own() -> Self {
        Self::with(None, "")
    }

    /// A broker with a TLS listener too. `clients`: whether it demands a client's certificate.
    #[track_caller]
    pub fn with_tls(clients: bool) -> Self {
        let demand = format!("ssl_options.fail_if_no_peer_cert = {clients}\n");
        Self::with(Some(Certificates::new()), &demand)
    }

    /// A broker with more lines in `rabbitmq.conf`.
    ///
    /// # Panics
    ///
    /// When it does not come up within two minutes.
    #[track_caller]
    pub fn with(certificates: Option<Certificates>, configuration: &str) -> Self {
        Self::mapped(ports::free(), ports::free(), certificates, configuration)
    }

    /// A broker with AMQP and its management interface on these ports.
    #[track_caller]
    pub fn at(amqp: u16, management: u16) -> Self {
        Self::mapped(amqp, management, None, "")
    }

    /// With a port mapper of its own.
    #[track_caller]
    fn mapped(
        amqp: u16,
        management: u16,
        certificates: Option<Certificates>,
        configuration: &str,
    ) -> Self {
        let folder = Folder::new("mq");
        folder.sub("home");
        let port = ports::free();
        // In the foreground and ours: else the server starts one that outlives everything.
        let port_mapper = Root::Testing
            .command("epmd")
            .args(["-address", "127.0.0.1", "-port", &port.to_string()])
            .spawn("epmd", &folder.path().join("epmd.printed"));
        eventually("epmd to listen", seconds(10), || TcpStream::connect(("127.0.0.1", port)));
        let ports = Ports { amqp, management, ..Ports::free(port) };
        Self::begun(folder, ports, Some(port_mapper), certificates, configuration)
    }

    /// One more node, in a cluster with this one. It ends before this one does.
    ///
    /// # Panics
    ///
    /// When it does not come up within two minutes, or does not join.
    #[track_caller]
    pub fn joined(&self) -> Self {
        let folder = Folder::new("mq");
        let cookie = "home/.erlang.cookie";
        folder.sub("home");
        std::fs::copy(self.folder.path().join(cookie), folder.path().join(cookie))
            .unwrap_or_else(|error| panic!("{cookie}: {error}"));
        let ports = Ports::free(self.ports.port_mapper);
        let other = Self::begun(folder, ports, None, None, "");
        other.ctl(&["stop_app"]);
        other.ctl(&["join_cluster", &self.node]);
        other.ctl(&["start_app"]);
        other
    }

    #[track_caller]
    fn begun(
        folder: Folder,
        ports: Ports,
        port_mapper: Option<Process>,
        certificates: Option<Certificates>,
        configuration: &str,
    ) -> Self {
        let node = format!("rig-{}@localhost", ports.amqp);
        folder.write("enabled_plugins", "[rabbitmq_management].\n");
        let text = written(ports, certificates.as_ref()) + configuration;
        folder.write("rabbitmq.conf", text);
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(seconds(30)))
            .proxy(None)
            .build()
            .into();
        let broker = Self {
            node,
            ports,
            agent,
            certificates,
            shared: false,
            server: Server::new("RabbitMQ", folder.path().join("printed")),
            _port_mapper: port_mapper,
            folder,
        };
        broker.start();
        broker
    }

    /// Starts it again, with the same ports and data, and waits until it serves.
    ///
    /// # Panics
    ///
    /// When it runs already, or does not come up within two minutes.
    #[track_caller]
    pub fn start(&self) {
        self.start_without_waiting();
        eventually("RabbitMQ to serve", seconds(120), || {
            self.server.assert_runs(|| self.log());
            match self.try_api("GET", "/health/checks/ready-to-serve-clients", None) {
                Ok(Reply { status: 200, .. }) => Ok(()),
                other => Err(format!("{other:?}\n{}", tail(&self.log(), 3))),
            }
        });
    }

    /// Starts it again and returns at once.
    ///
    /// # Panics
    ///
    /// When it runs already.
    #[track_caller]
    pub fn start_without_waiting(&self) {
        let program = self
            .command("/usr/lib/rabbitmq/bin/rabbitmq-server")
            // The script then becomes the server, so that signals reach it.
            .env("RUNNING_UNDER_SYSTEMD", "1");
        self.server.start(program);
    }

    /// Stops it in order (SIGTERM), and waits for the end.
    #[track_caller]
    pub fn stop(&self) {
        self.server.stop(seconds(60));
    }

    /// Kills it (SIGKILL) and waits.
    pub fn kill(&self) {
        self.server.kill();
    }

    /// Freezes it (SIGSTOP): connections stay, nothing answers.
    pub fn freeze(&self) {
        self.server.signal(Signal::STOP);
    }

    /// Ends [`Broker::freeze`].
    pub fn thaw(&self) {
        self.server.signal(Signal::CONT);
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        let log = std::fs::read(self.folder.path().join("log/rabbit.log")).unwrap_or_default();
        self.server.printed() + &String::from_utf8_lossy(&log)
    }

    /// Its process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.server.running().map(|server| server.pid())
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The TCP port for AMQP on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.ports.amqp
    }

    /// The TCP port for AMQP over TLS on 127.0.0.1 (a broker made by [`Broker::with_tls`]).
    pub fn tls_port(&self) -> u16 {
        self.ports.amqps
    }

    /// The TCP port of the management interface on 127.0.0.1.
    pub fn management_port(&self) -> u16 {
        self.ports.management
    }

    /// User and password of the administrator.
    pub fn admin(&self) -> (&str, &str) {
        ADMIN
    }

    /// The authority and certificates of its TLS listener.
    ///
    /// # Panics
    ///
    /// When it has none.
    #[track_caller]
    pub fn certificates(&self) -> &Certificates {
        self.certificates.as_ref().expect("a broker made by with_tls")
    }

    /// A new virtual host with a user who may do everything in it.
    #[track_caller]
    pub fn tenant(&self) -> Tenant<'_> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        self.named_tenant(&format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed)))
    }

    /// Like [`Broker::tenant`], of this name.
    #[track_caller]
    pub fn named_tenant(&self, name: &str) -> Tenant<'_> {
        let tenant = Tenant {
            broker: self,
            vhost: name.to_owned(),
            user: name.to_owned(),
            password: format!("{name}-password"),
        };
        self.api("PUT", &format!("/vhosts/{name}"), Some(&json!({}))).ok();
        tenant.set_password(&tenant.password);
        tenant.set_permissions(".*", ".*", ".*");
        tenant
    }

    /// A request to the management interface; `path` comes after `/api`.
    ///
    /// # Panics
    ///
    /// When there is no HTTP answer.
    #[track_caller]
    pub fn api(&self, method: &str, path: &str, body: Option<&Value>) -> Reply {
        self.try_api(method, path, body)
            .unwrap_or_else(|error| panic!("RabbitMQ, {method} /api{path}: {error}"))
    }

    /// Runs `rabbitmqctl`, which takes about two seconds.
    ///
    /// # Panics
    ///
    /// When it fails.
    #[track_caller]
    pub fn ctl(&self, arguments: &[&str]) -> String {
        self.command("/usr/lib/rabbitmq/bin/rabbitmqctl")
            .args(["-n", &self.node])
            .args(arguments)
            .run()
            .unwrap_or_else(|error| panic!("rabbitmqctl {}: {error}", arguments.join(" ")))
    }

    /// Sets or clears the memory alarm: with it, the broker reads from no publisher.
    #[track_caller]
    pub fn memory_alarm(&self, on: bool) {
        self.ctl(&["set_vm_memory_high_watermark", if on { "0" } else { "0.6" }]);
    }

    /// Sets or clears the disk alarm.
    #[track_caller]
    pub fn disk_alarm(&self, on: bool) {
        self.ctl(&["set_disk_free_limit", if on { "1000000GB" } else { "1MB" }]);
    }

    fn try_api(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Reply, ureq::Error> {
        let url = format!("http://127.0.0.1:{}/api{path}", self.ports.management);
        http(&self.agent, method, &url, ADMIN, body)
    }

    /// A program of RabbitMQ with this broker's environment.
    fn command(&self, program: &str) -> Inside {
        let path = |name: &str| self.folder.path().join(name);
        let command = Root::Testing.command(program).bind(self.folder.path());
        let command = match &self.certificates {
            Some(certificates) => command.bind(certificates.folder()),
            None => command,
        };
        command
            .env("HOME", path("home"))
            .env("ERL_EPMD_PORT", self.ports.port_mapper.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODENAME", &self.node)
            .env("RABBITMQ_DIST_PORT", self.ports.distribution.to_string())
            .env("RABBITMQ_CONF_ENV_FILE", path("none"))
            .env("RABBITMQ_CONFIG_FILE", path("rabbitmq.conf"))
            .env("RABBITMQ_ADVANCED_CONFIG_FILE", path("none.config"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", path("enabled_plugins"))
            .env("RABBITMQ_MNESIA_BASE", path("data"))
            .env("RABBITMQ_LOG_BASE", path("log"))
            .env("RABBITMQ_PID_FILE", path("pid"))
            // Two cores, and no busy waiting for work: tests run beside it.
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", ERLANG)
    }
}

const ERLANG: &str = "+S 2:2 +SDio 2 +sbwt none +sbwtdcpu none +sbwtdio none \
                      -kernel inet_dist_use_interface {127,0,0,1}";

fn written(ports: Ports, certificates: Option<&Certificates>) -> String {
    let Ports { amqp, amqps, management, .. } = ports;
    let (user, password) = ADMIN;
    let mut text = format!(
        "listeners.tcp.1 = 127.0.0.1:{amqp}\n\
         management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {management}\n\
         default_user = {user}\ndefault_pass = {password}\n\
         disk_free_limit.absolute = 1MB\n\
         collect_statistics_interval = 500\n\
         log.console = false\nlog.file = rabbit.log\nlog.file.level = info\n"
    );
    if let Some(certificates) = certificates {
        let (certificate, key) = certificates.server();
        let _ = write!(
            text,
            "listeners.ssl.1 = 127.0.0.1:{amqps}\nssl_options.verify = verify_peer\n\
             ssl_options.cacertfile = {}\nssl_options.certfile = {}\nssl_options.keyfile = {}\n",
            certificates.ca().display(),
            certificate.display(),
            key.display(),
        );
    }
    text
}

/// A virtual host and its user, of one test; removed on drop.
#[derive(Debug)]
pub struct Tenant<'a> {
    broker: &'a Broker,
    vhost: String,
    user: String,
    password: String,
}

impl Tenant<'_> {
    /// The broker it is of.
    pub fn broker(&self) -> &Broker {
        self.broker
    }

    /// The virtual host's name.
    pub fn vhost(&self) -> &str {
        &self.vhost
    }

    /// The user's name.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The user's first password.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// Its address, with the password.
    pub fn url(&self) -> String {
        let Self { broker, vhost, user, password } = self;
        format!("amqp://{user}:{password}@127.0.0.1:{}/{vhost}", broker.port())
    }

    /// Its address on the TLS listener.
    pub fn tls_url(&self) -> String {
        let Self { broker, vhost, user, password } = self;
        format!("amqps://{user}:{password}@localhost:{}/{vhost}", broker.tls_port())
    }

    /// Changes the user's password on the broker.
    #[track_caller]
    pub fn set_password(&self, password: &str) {
        let user = json!({"password": password, "tags": ""});
        self.broker.api("PUT", &format!("/users/{}", self.user), Some(&user)).ok();
    }

    /// Sets what the user may configure, write and read (regular expressions).
    #[track_caller]
    pub fn set_permissions(&self, configure: &str, write: &str, read: &str) {
        let permissions = json!({"configure": configure, "write": write, "read": read});
        let path = format!("/permissions/{}/{}", self.vhost, self.user);
        self.broker.api("PUT", &path, Some(&permissions)).ok();
    }

    /// Sets with which routing keys the user may publish to an exchange (a regular expression).
    #[track_caller]
    pub fn set_topic_permission(&self, exchange: &str, write: &str) {
        let permission = json!({"exchange": exchange, "write": write, "read": ".*"});
        let path = format!("/topic-permissions/{}/{}", self.vhost, self.user);
        self.broker.api("PUT", &path, Some(&permission)).ok();
    }

    /// Declares an exchange, durable unless `options` say otherwise.
    #[track_caller]
    pub fn declare_exchange(&self, name: &str, kind: &str) {
        let exchange = json!({"type": kind, "durable": true});
        self.api("PUT", &format!("/exchanges/{}/{name}", self.vhost), Some(&exchange)).ok();
    }

    /// What the broker knows of an exchange; `None` when there is none.
    #[track_caller]
    pub fn exchange(&self, name: &str) -> Option<Value> {
        let reply = self.api("GET", &format!("/exchanges/{}/{name}", self.vhost), None);
        (reply.status != 404).then(|| reply.ok())
    }

    /// Deletes an exchange.
    #[track_caller]
    pub fn delete_exchange(&self, name: &str) {
        self.api("DELETE", &format!("/exchanges/{}/{name}", self.vhost), None).ok();
    }

    /// Declares a durable queue with arguments (`{}` for none).
    #[track_caller]
    pub fn declare_queue(&self, name: &str, arguments: &Value) {
        let queue = json!({"durable": true, "arguments": arguments});
        self.api("PUT", &format!("/queues/{}/{name}", self.vhost), Some(&queue)).ok();
    }

    /// Binds a queue to an exchange by a routing key.
    #[track_caller]
    pub fn bind(&self, exchange: &str, queue: &str, key: &str) {
        let path = format!("/bindings/{}/e/{exchange}/q/{queue}", self.vhost);
        self.api("POST", &path, Some(&json!({"routing_key": key}))).ok();
    }

    /// Takes up to `count` messages off a queue; `payload`, `routing_key`, `properties` of each.
    #[track_caller]
    pub fn take(&self, queue: &str, count: usize) -> Vec<Value> {
        let request = json!({"count": count, "ackmode": "ack_requeue_false", "encoding": "auto"});
        let path = format!("/queues/{}/{queue}/get", self.vhost);
        let messages = self.api("POST", &path, Some(&request)).ok();
        messages.as_array().cloned().unwrap_or_default()
    }

    /// Publishes to an exchange; whether it was routed to a queue.
    #[track_caller]
    pub fn publish(&self, exchange: &str, key: &str, headers: &Value, body: &str) -> bool {
        let message = json!({
            "properties": {"headers": headers, "delivery_mode": 2},
            "routing_key": key,
            "payload": body,
            "payload_encoding": "string",
        });
        let path = format!("/exchanges/{}/{exchange}/publish", self.vhost);
        self.api("POST", &path, Some(&message)).ok()["routed"] == true
    }

    /// The connections into this virtual host that the broker knows of (after up to a second).
    #[track_caller]
    pub fn connections(&self) -> Vec<Value> {
        let reply = self.api("GET", &format!("/vhosts/{}/connections", self.vhost), None);
        reply.ok().as_array().cloned().unwrap_or_default()
    }

    /// Closes all connections into this virtual host, as an operator would.
    #[track_caller]
    pub fn close_connections(&self) {
        for connection in self.connections() {
            let name = connection["name"].as_str().unwrap_or_default();
            let name = name.replace(' ', "%20").replace('>', "%3E");
            // 404: it has ended by itself meanwhile.
            self.api("DELETE", &format!("/connections/{name}"), None);
        }
    }

    /// Deletes the virtual host, as an operator would.
    #[track_caller]
    pub fn delete_vhost(&self) {
        self.api("DELETE", &format!("/vhosts/{}", self.vhost), None).ok();
    }

    fn api(&self, method: &str, path: &str, body: Option<&Value>) -> Reply {
        self.broker.api(method, path, body)
    }
}

impl Drop for Tenant<'_> {
    fn drop(&mut self) {
        // A test's own broker may be stopped or frozen, and is about to go with all it has.
        if self.broker.shared {
            let _ = self.broker.try_api("DELETE", &format!("/vhosts/{}", self.vhost), None);
            let _ = self.broker.try_api("DELETE", &format!("/users/{}", self.user), None);
        }
    }
}
