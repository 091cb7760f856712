// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The servers of a soak: RabbitMQ, Consul, and Asterisk with the four modules.

use std::time::Duration;

use rig::folder::Folder;
use rig::{Asterisk, Broker, Consul, Tenant, Version, eventually};
use serde_json::json;

/// An application that a key makes; calls go into it.
pub(crate) const APP: &str = "soak";

const MODULES: [&str; 4] =
    ["res_stasis_amqp", "res_consul", "res_consul_discovery", "res_consul_stasis_app"];

/// Without the dialplan's own lines, which cost more than the events.
const LOGGER: &str = "[general]\n[logfiles]\nfull => notice,warning,error\n";

pub(crate) struct Servers<'a> {
    pub(crate) asterisk: Asterisk,
    pub(crate) consul: Consul,
    pub(crate) broker: &'a Broker,
    pub(crate) tenant: Tenant<'a>,
    /// Of the spool; it goes when Asterisk has.
    _spool: Folder,
}

impl<'a> Servers<'a> {
    pub(crate) fn start(broker: &'a Broker) -> Self {
        let tenant = broker.named_tenant("soak");
        // Durable, so that publishing costs what it costs; bounded, since nobody consumes it.
        tenant.declare_exchange("asterisk", "topic");
        tenant.declare_queue("all", &json!({"x-queue-type": "classic", "x-max-length": 10_000}));
        tenant.bind("asterisk", "all", "#");
        let consul = Consul::builder().persistent().start();
        consul.kv_put(&format!("applications/{APP}"), "");
        let spool = Folder::new("spool");
        let amqp = format!(
            "[bunny]\ntype = connection\nurl = {}\nheartbeat_seconds = 5\n\
             [stasis]\ntype = stasis\nconnection = bunny\nspool_dir = {}/events\n",
            tenant.url(),
            spool.path().display()
        );
        let port = consul.port();
        let conf = format!("[consul]\nport = {port}\n[discovery]\ndiscovery_ip = 127.0.0.1\n");
        let node = crate::load::furnish(Asterisk::builder(Version::V22))
            .conf("logger.conf", LOGGER)
            .conf("amqp.conf", amqp)
            .conf("consul.conf", conf)
            .share(spool.path());
        let asterisk = MODULES.into_iter().fold(node, rig::Builder::module).start();
        let servers = Self { asterisk, consul, broker, tenant, _spool: spool };
        servers.wait_well(Duration::from_secs(60));
        servers
    }

    /// Waits until all is as it was before a fault: connected, nothing waits, the node passing and
    /// its application registered.
    #[track_caller]
    pub(crate) fn wait_well(&self, within: Duration) {
        eventually("all to be well again", within, || match self.is_well() {
            Ok(()) => Ok(()),
            Err(what) => Err(what),
        });
    }

    fn is_well(&self) -> Result<(), String> {
        let listed = self.asterisk.ari().get("/amqp").ok();
        if listed["connections"][0]["state"] != "connected" {
            return Err(format!("amqp: {}", listed["connections"]));
        }
        // Some are always under way.
        if listed["queue"]["events"].as_u64().is_none_or(|events| events > 100) {
            return Err(format!("amqp: {}", listed["queue"]));
        }
        if listed["applications"] != json!([APP]) {
            return Err(format!("applications: {}", listed["applications"]));
        }
        let id = self.asterisk.entity_id();
        for id in [id.to_owned(), format!("stasis/{id}/{APP}")] {
            let path = format!("/v1/agent/health/service/id/{id}");
            match self.consul.try_request("GET", &path, None) {
                Ok(reply) if reply.body["AggregatedStatus"] == "passing" => {}
                Ok(reply) => return Err(format!("Consul: {id}: {}", reply.body)),
                Err(error) => return Err(format!("Consul: {error}")),
            }
        }
        Ok(())
    }

    /// A counter of the publisher.
    pub(crate) fn counter(&self, name: &str) -> u64 {
        let listed = self.asterisk.ari().get("/amqp").ok();
        listed["counters"][name].as_u64().unwrap_or_else(|| panic!("no counter {name}: {listed}"))
    }
}
