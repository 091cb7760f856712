// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The whole system: what its parts meet at, and the parts as they are put on it.

use std::thread;

use serde_json::Value;

use crate::wait::{eventually, seconds};
use crate::{
    AmqpConf, App, Asterisk, Builder, Consul, ConsulConf, Dispatcher, Gateway, Kamailio, Tenant,
    Version, gateway, ports,
};

/// The number that callers of the conference dial.
pub const CONFERENCE: &str = "8000";

const MODULES: [&str; 4] =
    ["res_stasis_amqp", "res_consul", "res_consul_discovery", "res_consul_stasis_app"];

/// Consul, and a virtual host of RabbitMQ. Nothing else is where the parts of a system meet.
#[derive(Debug)]
pub struct Ground<'a> {
    /// The agent.
    pub consul: Consul,
    /// The virtual host.
    pub tenant: Tenant<'a>,
}

impl Ground<'_> {
    /// A node to be, with all four modules from its start. It is registered with the port that its
    /// SIP has, takes calls of other nodes, and gives the calls to [`CONFERENCE`] to the application
    /// `conf`, those to a name to the application of that name.
    pub fn node(&self) -> Builder {
        let sip = ports::free();
        let consul = ConsulConf::new(self.consul.port())
            .discovery("check_interval", "3s")
            .discovery("discovery_port", &sip.to_string());
        let node = Asterisk::builder(Version::V22)
            .system_name()
            .sip_port(sip)
            .conf("amqp.conf", AmqpConf::new(&self.tenant.url()).text())
            .conf("consul.conf", consul.text())
            .extension(CONFERENCE, &["Stasis(conf)", "Hangup()"])
            .extension("_[a-z].", &["Stasis(${EXTEN})", "Hangup()"])
            .trunk("a-secret-of-the-trunk");
        MODULES.into_iter().fold(node, Builder::module)
    }

    /// So many of them, each furnished with more, started side by side. Consul has each, passing.
    ///
    /// # Panics
    ///
    /// When one does not get there.
    #[track_caller]
    pub fn nodes(
        &self,
        count: usize,
        furnish: impl Fn(Builder) -> Builder + Sync,
    ) -> Vec<Asterisk> {
        let nodes: Vec<Asterisk> = thread::scope(|scope| {
            let starting: Vec<_> =
                (0..count).map(|_| scope.spawn(|| furnish(self.node()).start())).collect();
            let end = |one: thread::ScopedJoinHandle<'_, Asterisk>| one.join();
            let ended: Result<_, _> = starting.into_iter().map(end).collect();
            // What it panicked with has been told.
            ended.unwrap_or_else(|_| panic!("a node did not start"))
        });
        for node in &nodes {
            self.wait_node(node, "passing");
        }
        nodes
    }

    /// Waits until Consul has the node with this status: passing, warning, critical or maintenance.
    #[track_caller]
    pub fn wait_node(&self, node: &Asterisk, status: &str) -> Value {
        let what = format!("node {} to be {status} in Consul", node.entity_id());
        eventually(&what, seconds(30), || match self.consul.service(node.entity_id()) {
            Some(service) if service["AggregatedStatus"] == status => Ok(service),
            other => Err(format!("{other:?}")),
        })
    }

    /// Waits until the application is on the node, and a service in Consul.
    #[track_caller]
    pub fn wait_application(&self, node: &Asterisk, name: &str) {
        let id = format!("stasis/{}/{name}", node.entity_id());
        eventually(&format!("application {name} on {}", node.entity_id()), seconds(30), || {
            let listed = node.ari().get("/amqp").ok()["applications"].take();
            let is_there = listed.as_array().is_some_and(|all| all.iter().any(|one| one == name));
            let is_registered = self.consul.service(&id).is_some();
            if is_there && is_registered { Ok(()) } else { Err(format!("{listed}")) }
        });
    }

    /// Starts a Kamailio that was made, with the dispatcher that keeps its list, and waits until it
    /// sends calls to these nodes and no others.
    ///
    /// # Panics
    ///
    /// When it does not.
    #[track_caller]
    pub fn start_kamailio(&self, kamailio: &Kamailio, nodes: &[Asterisk]) -> Dispatcher {
        let address = format!("address = \"127.0.0.1:{}\"", self.consul.port());
        let dispatcher = Dispatcher::start(&address, kamailio);
        eventually("the list of nodes", seconds(20), || {
            if kamailio.list().is_empty() { Err(dispatcher.log()) } else { Ok(()) }
        });
        kamailio.start();
        kamailio.wait_destinations(&nodes.iter().collect::<Vec<_>>(), seconds(20));
        dispatcher
    }

    /// `[amqp]` of a gateway that is to know of events.
    pub fn gateway_amqp(&self) -> String {
        format!("url = \"{}\"", self.tenant.url())
    }

    /// Waits until a gateway sees so many nodes that take calls, and has RabbitMQ.
    #[track_caller]
    pub fn wait_gateway(&self, gateway: &Gateway, nodes: usize) {
        eventually(&format!("{nodes} nodes at the gateway, and RabbitMQ"), seconds(30), || {
            let seen = gateway.metric("gateway_nodes{kind=\"passing\"}");
            let amqp = gateway.metric("gateway_amqp_up");
            if (seen, amqp) == (nodes as f64, 1.0) {
                Ok(())
            } else {
                Err(format!("{seen} nodes, gateway_amqp_up {amqp}"))
            }
        });
    }

    /// A copy of an app, a program of the checkout, that asks the gateway. It consumes.
    ///
    /// # Panics
    ///
    /// When it does not.
    #[track_caller]
    pub fn app(&self, gateway: &Gateway, program: &str, more: &[(&str, &str)]) -> App {
        let (endpoint, url) = (gateway.ari().url(""), self.tenant.url());
        let consul = self.consul.port().to_string();
        let settings = [
            ("API_ENDPOINT", endpoint.as_str()),
            ("API_USERNAME", "rig"),
            ("API_PASSWORD", gateway::PASSWORD),
            ("AMQP_URL", &url),
            ("CONSUL_PORT", &consul),
            ("CONSUL_CHECK_INTERVAL", "500ms"),
            ("APP_RECONCILE", "5s"),
        ];
        App::start(program, &[settings.as_slice(), more].concat())
    }
}
