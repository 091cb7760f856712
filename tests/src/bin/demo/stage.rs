// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The servers of the demo, together.

use std::fmt::Write as _;

use rig::{Asterisk, Broker, Consumer, Tenant, Version};

use crate::print::step;

pub(crate) const APP: &str = "demo";
pub(crate) const EXCHANGE: &str = "asterisk";

/// Extension that goes into the application.
pub(crate) const STASIS: &str = "100";
/// Extension that plays a greeting and hangs up.
pub(crate) const GREETING: &str = "101";

/// RabbitMQ, Asterisk with the module, and a consumer of all its events from the first on.
pub(crate) struct Stage<'a> {
    pub(crate) asterisk: Asterisk,
    pub(crate) consumer: Consumer,
    pub(crate) tenant: Tenant<'a>,
}

/// The broker, apart from [`Stage`] that borrows it.
pub(crate) fn broker() -> Broker {
    step("RabbitMQ: starting", || {
        let broker = Broker::own();
        let version = rig::root::Root::Testing.version("rabbitmq-server");
        (format!("version {version} on 127.0.0.1:{}", broker.port()), broker)
    })
}

impl<'a> Stage<'a> {
    pub(crate) fn set(broker: &'a Broker) -> Self {
        let tenant = broker.named_tenant(APP);
        let consumer = step("A consumer: binding a queue", || {
            let consumer = Consumer::topic(&tenant.url(), EXCHANGE, &["#"]);
            (format!("to exchange \"{EXCHANGE}\", routing key \"#\""), consumer)
        });
        let asterisk = step("Asterisk with res_stasis_amqp: starting", || {
            let asterisk = Asterisk::builder(Version::V22)
                .module("res_stasis_amqp")
                .conf("amqp.conf", amqp_conf(&tenant))
                .extension(STASIS, &[&format!("Stasis({APP},hello)"), "Hangup()"])
                .extension(GREETING, &["Answer()", "Playback(hello-world)", "Hangup()"])
                .start();
            let version = Version::V22.root().version("asterisk");
            (format!("version {version}, SIP on 127.0.0.1:{}", asterisk.sip_port()), asterisk)
        });
        step(&format!("POST /ari/amqp/{APP}"), || {
            let reply = asterisk.ari().post(&format!("/amqp/{APP}"));
            assert_eq!(reply.status, 204, "POST /ari/amqp/{APP}: {}", reply.body);
            (format!("204: the events of application \"{APP}\" go to RabbitMQ"), ())
        });
        Self { asterisk, consumer, tenant }
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
        line("Asterisk, ARI", format!("{} ({user} / {password})", ari.url("")));
        line(
            "Asterisk, SIP",
            format!("127.0.0.1:{} (UDP, no registration)", self.asterisk.sip_port()),
        );
        line("extensions", format!("{STASIS}: Stasis({APP}); {GREETING}: a greeting"));
        line("logs, configuration", self.asterisk.folder().display().to_string());
        let _ = writeln!(text, "\nTo try, the first in a terminal of its own:");
        let call = ari.url(&format!("/channels?endpoint=Local/{GREETING}@default&app={APP}"));
        for (what, command) in [
            ("see the events as they come", format!("{demo} watch")),
            ("a call into the application", format!("{curl} '{call}'")),
            ("one more application", format!("{curl} {}", ari.url("/amqp/another"))),
            ("what the module says of itself", self.asterisk.cli_command_line("amqp show status")),
        ] {
            let _ = writeln!(text, "  # {what}\n  {command}");
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
