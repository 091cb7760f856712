// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The servers of the demo, together.

use std::fmt::Write as _;

use rig::root::Root;
use rig::{Asterisk, Broker, Consul, Consumer, Tenant, Version, eventually, seconds};
use serde_json::{Value, json};

use crate::print::step;

pub(crate) const APP: &str = "demo";
pub(crate) const EXCHANGE: &str = "asterisk";

/// Extension that goes into the application.
pub(crate) const STASIS: &str = "100";
/// Extension that plays a greeting and hangs up.
pub(crate) const GREETING: &str = "101";

const MODULES: [&str; 4] =
    ["res_stasis_amqp", "res_consul", "res_consul_discovery", "res_consul_stasis_app"];

/// RabbitMQ, Consul, Asterisk with the modules, and a consumer of all its events from the first on.
pub(crate) struct Stage<'a> {
    pub(crate) asterisk: Asterisk,
    pub(crate) consul: Consul,
    pub(crate) consumer: Consumer,
    pub(crate) tenant: Tenant<'a>,
}

/// Where a root has to be made first, that shows its own progress.
pub(crate) fn provide_roots() {
    for root in [Root::Testing, Root::Bullseye] {
        let _ = root.path();
    }
}

/// The broker, apart from [`Stage`] that borrows it.
pub(crate) fn broker() -> Broker {
    step("RabbitMQ: starting", || {
        let broker = Broker::own();
        let version = Root::Testing.version("rabbitmq-server");
        (format!("version {version} on 127.0.0.1:{}", broker.port()), broker)
    })
}

impl<'a> Stage<'a> {
    pub(crate) fn set(broker: &'a Broker) -> Self {
        let tenant = broker.named_tenant(APP);
        let consul = step("Consul: starting", || {
            let consul = Consul::builder().with(&json!({"ui": true})).start();
            let version = Root::Bullseye.version("consul");
            (format!("version {version} on 127.0.0.1:{}", consul.port()), consul)
        });
        let consumer = step("A consumer: binding a queue", || {
            let consumer = Consumer::topic(&tenant.url(), EXCHANGE, &["#"]);
            (format!("to exchange \"{EXCHANGE}\", routing key \"#\""), consumer)
        });
        let asterisk = step("Asterisk with the four modules: starting", || {
            let node = Asterisk::builder(Version::V22)
                .conf("amqp.conf", amqp_conf(&tenant))
                .conf("consul.conf", consul_conf(&consul, 5060))
                .extension(STASIS, &[&format!("Stasis({APP},hello)"), "Hangup()"])
                .extension(GREETING, &["Answer()", "Playback(hello-world)", "Hangup()"]);
            let asterisk = MODULES.into_iter().fold(node, rig::Builder::module).start();
            // Which port it has is known only now.
            asterisk.write_conf("consul.conf", &consul_conf(&consul, asterisk.sip_port()));
            asterisk.cli("module reload res_consul_discovery.so");
            let version = Version::V22.root().version("asterisk");
            (format!("version {version}, SIP on 127.0.0.1:{}", asterisk.sip_port()), asterisk)
        });
        let stage = Self { asterisk, consul, consumer, tenant };
        step("The node in Consul", || (stage.wait_registered(), ()));
        step(&format!("consul kv put applications/{APP}"), || {
            stage.consul.kv_put(&format!("applications/{APP}"), "");
            (stage.wait_application(), ())
        });
        stage
    }

    /// Waits until Consul has the node, with its check passing; what it has of it, for a reader.
    #[track_caller]
    fn wait_registered(&self) -> String {
        let port = self.asterisk.sip_port();
        let node = self.wait_node("registered and passing", |node| {
            node["AggregatedStatus"] == "passing" && node["Service"]["Port"] == port
        });
        let service = &node["Service"];
        format!(
            "service {}, id {}, {}:{port}, check {}",
            text(&service["Service"]),
            text(&service["ID"]),
            text(&service["Address"]),
            text(&node["AggregatedStatus"])
        )
    }

    /// Waits until the node is as `fits` says, by its id in Consul.
    #[track_caller]
    pub(crate) fn wait_node(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        eventually(&format!("the node to be {what} in Consul"), seconds(20), || {
            match self.consul.service(self.asterisk.entity_id()) {
                Some(node) if fits(&node) => Ok(node),
                other => Err(format!("{other:?}\n{}", self.asterisk.cli("consul show status"))),
            }
        })
    }

    /// Waits until the application is there, and a service in Consul; where, for a reader.
    #[track_caller]
    fn wait_application(&self) -> String {
        let id = format!("stasis/{}/{APP}", self.asterisk.entity_id());
        eventually("the application to be there", seconds(20), || {
            let listed = self.asterisk.ari().get("/amqp").ok();
            if listed["applications"] == json!([APP]) && self.consul.service(&id).is_some() {
                Ok(())
            } else {
                Err(self.asterisk.cli("consul show applications"))
            }
        });
        format!("application \"{APP}\" is there: in Asterisk, and in Consul as service {id}")
    }

    /// Waits until nothing of the application is left.
    #[track_caller]
    pub(crate) fn wait_no_application(&self) {
        let id = format!("stasis/{}/{APP}", self.asterisk.entity_id());
        eventually("the application to be gone", seconds(20), || {
            let listed = self.asterisk.ari().get("/amqp").ok();
            let gone = listed["applications"] == json!([]) && self.consul.service(&id).is_none();
            if gone { Ok(()) } else { Err(self.asterisk.cli("consul show applications")) }
        });
    }

    /// Addresses, passwords and what to try: what `make up` prints.
    pub(crate) fn leaflet(&self, demo: &str) -> String {
        let broker = self.tenant.broker();
        let ari = self.asterisk.ari();
        let (user, password) = ari.login();
        let (admin, admin_password) = broker.admin();
        let curl = format!("curl -u {user}:{password} -X POST");
        let mut text = String::new();
        let mut line = |name: &str, value: String| {
            let _ = writeln!(text, "  {name:<22} {value}");
        };
        line("RabbitMQ", self.tenant.url());
        line(
            "its web page",
            format!("http://127.0.0.1:{} ({admin} / {admin_password})", broker.management_port()),
        );
        let consul = self.consul.port();
        line("Consul", format!("http://127.0.0.1:{consul}"));
        line("its web page", format!("http://127.0.0.1:{consul}/ui"));
        line("Asterisk, ARI", format!("{} ({user} / {password})", ari.url("")));
        line(
            "Asterisk, SIP",
            format!("127.0.0.1:{} (UDP, no registration)", self.asterisk.sip_port()),
        );
        line("extensions", format!("{STASIS}: Stasis({APP}); {GREETING}: a greeting"));
        line("logs, configuration", self.asterisk.folder().display().to_string());
        let _ = writeln!(text, "\nTo try, the first in a terminal of its own:");
        let call = ari.url(&format!("/channels?endpoint=Local/{GREETING}@default&app={APP}"));
        let program = Root::Bullseye.path().join("usr/bin/consul");
        let program = format!("CONSUL_HTTP_ADDR=127.0.0.1:{consul} {}", program.display());
        let http = format!("http://127.0.0.1:{consul}/v1");
        let asterisk = |command| self.asterisk.cli_command_line(command);
        let filter = r#"'{"events":{"allowed":["StasisStart","StasisEnd"]}}'"#;
        for (what, command) in [
            ("see the events as they come", format!("{demo} watch")),
            ("a call into the application", format!("{curl} '{call}'")),
            (
                "one more application, on every node",
                format!("{program} kv put applications/another"),
            ),
            (
                "which is told of starts and ends only",
                format!("{program} kv put applications/another {filter}"),
            ),
            ("and end it", format!("curl -X DELETE {http}/kv/applications/another")),
            ("what there is in Consul", format!("curl '{http}/agent/services?pretty'")),
            ("take the node out of service, and back", asterisk("discovery set maintenance on")),
            ("", asterisk("discovery set maintenance off")),
            (
                "Asterisk's console: discovery show status, consul show status, consul show \
                 applications, amqp show status",
                asterisk(""),
            ),
        ] {
            if !what.is_empty() {
                let _ = writeln!(text, "  # {what}");
            }
            let _ = writeln!(text, "  {command}");
        }
        text
    }
}

fn amqp_conf(tenant: &Tenant<'_>) -> String {
    let (user, password) = (tenant.user(), tenant.password());
    let (port, vhost) = (tenant.broker().port(), tenant.vhost());
    format!(
        "[general]\nenabled = yes\n\n\
         [bunny]\ntype = connection\nurl = amqp://{user}@127.0.0.1:{port}/{vhost}\n\
         password = {password}\n\n\
         [stasis]\ntype = stasis\nconnection = bunny\nexchange = {EXCHANGE}\n\
         publish_ami_events = yes\npublish_channel_events = yes\n"
    )
}

fn consul_conf(consul: &Consul, sip_port: u16) -> String {
    let port = consul.port();
    format!(
        "[general]\nenabled = yes\n\n[consul]\nport = {port}\n\n\
         [discovery]\ndiscovery_ip = 127.0.0.1\ndiscovery_port = {sip_port}\n\n\
         [stasis_app]\napp_prefix = applications/\n"
    )
}

/// A text of Consul's answer.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}
