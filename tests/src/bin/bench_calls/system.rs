// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The whole system under calls: Kamailio as `deploy/kamailio` has it with the dispatcher, nodes with
//! the four modules, the gateway, and two copies of the announcement.

use std::net::UdpSocket;
use std::time::Duration;

use rig::ground::Ground;
use rig::{
    App, Asterisk, Broker, Builder, Call, Consul, ConsulConf, Dispatcher, Gateway, Kamailio,
    eventually, ports, seconds,
};

use crate::usage::Part;

const ANNOUNCEMENT: &str = "apps/announcement/announcement.py";
/// It gives calls to the application of this name.
const NUMBER: &str = "announcement";
const COPIES: usize = 2;
/// Two ports for each call that a node may have.
const RTP_PORTS: u16 = 800;
/// What is no way to call too often: the callers here have one address.
pub(crate) const NO_FLOOD: &str = "#!define FLOOD_REQUESTS 1000000";
/// Nodes that start at one time.
const AT_ONCE: usize = 4;
const PATIENCE: Duration = seconds(120);

pub(crate) struct System<'a> {
    pub(crate) nodes: Vec<Asterisk>,
    kamailio: Kamailio,
    dispatcher: Dispatcher,
    gateway: Gateway,
    copies: Vec<App>,
    broker: &'a Broker,
    ground: Ground<'a>,
    /// What callers hear goes here, and nobody listens.
    audio: UdpSocket,
}

impl<'a> System<'a> {
    /// With so many nodes.
    pub(crate) fn start(broker: &'a Broker, count: usize) -> Self {
        let ground = Ground { consul: Consul::start(), tenant: broker.tenant() };
        let nodes = started(&ground, count);
        let kamailio = Kamailio::new(NO_FLOOD);
        let dispatcher = ground.start_kamailio(&kamailio, &nodes);
        let amqp = ground.gateway_amqp();
        let more = [("log", "level = \"info\""), ("amqp", amqp.as_str())];
        let gateway = Gateway::start(ground.consul.port(), &more);
        let copy = || ground.app(&gateway, ANNOUNCEMENT, &[("APP_RECONCILE", "1m")]);
        let copies = (0..COPIES).map(|_| copy()).collect();
        let audio = UdpSocket::bind(("127.0.0.1", ports::free()));
        let audio = audio.unwrap_or_else(|error| panic!("no port for audio: {error}"));
        let system = Self { nodes, kamailio, dispatcher, gateway, copies, broker, ground, audio };
        system.wait_whole();
        system
    }

    /// More nodes, until there are so many.
    pub(crate) fn grow(&mut self, count: usize) {
        let more = count.saturating_sub(self.nodes.len());
        self.nodes.extend(started(&self.ground, more));
        self.wait_whole();
    }

    /// Every part knows of every node, and every node of the application.
    fn wait_whole(&self) {
        self.kamailio.wait_destinations(&self.nodes.iter().collect::<Vec<_>>(), PATIENCE);
        self.ground.wait_gateway(&self.gateway, self.nodes.len());
        for node in &self.nodes {
            self.ground.wait_application(node, NUMBER);
        }
    }

    /// So many calls, so many a second.
    pub(crate) fn call(&self, hold: Duration, count: u32, rate: u32) -> Call {
        let audio = self.audio.local_addr().map_or(0, |address| address.port());
        Call::silent(self.kamailio.port(), NUMBER, hold, (count, rate), audio)
    }

    /// The channels of all nodes.
    pub(crate) fn channels(&self) -> u32 {
        self.nodes.iter().map(|node| counted(node, "active channel")).sum()
    }

    /// Events that all nodes have published.
    pub(crate) fn published(&self) -> u64 {
        let of = |node: &Asterisk| {
            let shown = node.cli("amqp show status");
            let value = shown.lines().find_map(|line| {
                let mut words = line.split_whitespace();
                (words.next() == Some("published")).then(|| words.next()?.parse::<u64>().ok())?
            });
            value.unwrap_or_else(|| panic!("no counter of what is published in {shown}"))
        };
        self.nodes.iter().map(of).sum()
    }

    /// Ends all calls, and waits until nobody has one.
    pub(crate) fn hang_up(&self) {
        for node in &self.nodes {
            node.cli("channel request hangup all");
        }
        eventually("the end of all calls", PATIENCE, || match self.channels() {
            0 => Ok(()),
            count => Err(count),
        });
        for copy in &self.copies {
            copy.wait_health("to have no calls", |told| told["calls"] == 0);
        }
    }

    /// All that runs, and these callers.
    pub(crate) fn parts(&self, callers: &[&Call]) -> Vec<Part> {
        vec![
            Part::new("Asterisk", self.nodes.iter().map(|node| node.process().pid())),
            Part::new("Kamailio", [self.kamailio.process().pid()]),
            Part::new("RabbitMQ", self.broker.pid()),
            Part::new("gateway", [self.gateway.process().pid()]),
            Part::new("app", self.copies.iter().map(|copy| copy.process().pid())),
            Part::new("Consul", [self.ground.consul.process().pid()]),
            Part::new("dispatcher", [self.dispatcher.process().pid()]),
            Part::new("SIPp", callers.iter().map(|call| call.process().pid())),
        ]
    }

    pub(crate) fn assert_alive(&self) {
        self.nodes.iter().for_each(Asterisk::assert_alive);
        self.kamailio.assert_alive();
        self.gateway.assert_alive();
    }
}

/// The number before `what` in `core show channels count`.
pub(crate) fn counted(node: &Asterisk, what: &str) -> u32 {
    let shown = node.cli("core show channels count");
    let line = shown.lines().find(|line| line.contains(what));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.unwrap_or_else(|| panic!("no {what} in {shown}"))
}

/// More nodes for a ground, some at a time.
pub(crate) fn started(ground: &Ground<'_>, count: usize) -> Vec<Asterisk> {
    let mut nodes = Vec::new();
    while nodes.len() < count {
        let furnished = |node| furnished(node, ground.consul.port());
        nodes.extend(ground.nodes(AT_ONCE.min(count - nodes.len()), furnished));
    }
    nodes
}

fn furnished(node: Builder, consul: u16) -> Builder {
    // Checked as often as by default: a machine that is busy is measured, and not how many it loses.
    let sip = ports::free();
    let consul = ConsulConf::new(consul).discovery("discovery_port", &sip.to_string());
    let rtp = ports::block(RTP_PORTS);
    let ports = format!("[general]\nrtpstart = {rtp}\nrtpend = {}\n", rtp + RTP_PORTS - 1);
    // For calls that no application has to do with.
    node.extension("9000", &["Answer()", "Wait(0.1)", "Hangup()"])
        .sip_port(sip)
        .conf("consul.conf", consul.text())
        .conf("rtp.conf", ports)
}
