// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A gateway in front of many nodes with many channels: what it takes to read them all, and what its
//! clients notice of that. The nodes are simulated, but for the one with the call that is asked for.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rig::{Answer, Consul, Gateway, Pretender, Request};
use serde_json::{Value, json};

use super::plan::Plan;
use super::site::{LOG, Site, wait_nodes};
use super::target::Load;
use crate::report::spread_json;
use crate::spread::Spread;

/// How often a gateway reads its nodes while its clients are watched; else it is 30 s.
const OFTEN: &str = "refresh = \"1s\"";
const NEVER: &str = "refresh = \"1h\"";

pub(super) struct Many {
    /// From the start of the process until it has read them all.
    pub(super) start_ms: f64,
    /// From the first question of a reading to the last, while requests come.
    pub(super) read_ms: Spread,
    /// Of the gateway with two nodes, with all of these, and the most meanwhile.
    pub(super) memory: [u64; 3],
    /// Requests while nothing is read, and while it is read all the time.
    pub(super) quiet: Load,
    pub(super) busy: Load,
}

impl Many {
    pub(super) fn json(&self) -> Value {
        let [small, all, peak] = self.memory;
        json!({
            "start_ms": self.start_ms.round(),
            "read_ms": spread_json(self.read_ms),
            "memory_two_nodes": small,
            "memory": all,
            "memory_peak": peak,
            "quiet": self.quiet.json(),
            "while_read": self.busy.json(),
        })
    }
}

pub(super) fn measure(plan: &Plan, site: &Site) -> Many {
    let consul = Consul::start();
    register(&consul, site.owner().entity_id(), site.owner().http_port());
    let model = site.channel();
    let nodes: Vec<Node> = (0..plan.nodes).map(|at| Node::start(at, plan, &model)).collect();
    for (at, node) in nodes.iter().enumerate() {
        register(&consul, &eid(at), node.pretender.port());
    }
    let began = Instant::now();
    let gateway = Gateway::start(consul.port(), &[LOG, ("index", NEVER)]);
    let start_ms = began.elapsed().as_secs_f64() * 1e3;
    wait_nodes(&gateway, plan.nodes + 1);
    let known = gateway.metric("gateway_index{kind=\"channel\"}");
    assert!(known >= (plan.nodes * plan.channels) as f64, "the index has {known} channels");
    let process = gateway.process();
    let memory = [site.memory(), process.rss_bytes(), process.peak_rss_bytes()];
    let quiet = site.shoot_by(&gateway, plan.watch);
    drop(gateway);

    let gateway = Gateway::start(consul.port(), &[LOG, ("index", OFTEN)]);
    nodes.iter().for_each(Node::forget);
    let busy = site.shoot_by(&gateway, plan.watch);
    drop(gateway);
    let read_ms = Spread::of(readings(&nodes));
    let read_ms = read_ms.unwrap_or_else(|| panic!("the nodes were not read again in time"));
    Many { start_ms, read_ms, memory, quiet, busy }
}

/// A simulated node, and when it was asked for its start, which begins a reading, and for its
/// bridges, which ends it.
struct Node {
    pretender: Pretender,
    asked: Arc<Mutex<Asked>>,
}

#[derive(Default)]
struct Asked {
    began: Vec<Instant>,
    ended: Vec<Instant>,
}

impl Node {
    fn start(at: usize, plan: &Plan, model: &Value) -> Self {
        let channels: Vec<Value> =
            (0..plan.channels).map(|number| channel(model, at, number)).collect();
        let channels = Value::from(channels).to_string();
        let asked: Arc<Mutex<Asked>> = Arc::default();
        let noted = Arc::clone(&asked);
        let pretender = Pretender::start(move |request: &Request| {
            let mut asked = noted.lock().unwrap_or_else(PoisonError::into_inner);
            let json = |text: &str| {
                Answer::status(200).header("Content-Type", "application/json").body(text)
            };
            match request.path() {
                "/ari/asterisk/info" => {
                    asked.began.push(Instant::now());
                    json("{\"status\":{\"startup_time\":\"2026-01-01T00:00:00.000+0000\"}}")
                }
                "/ari/channels" => json(&channels),
                "/ari/bridges" => {
                    asked.ended.push(Instant::now());
                    json("[]")
                }
                _ => Answer::status(404),
            }
        });
        Self { pretender, asked }
    }

    fn forget(&self) {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Asked::default();
    }
}

/// How long each whole reading took, in milliseconds.
fn readings(nodes: &[Node]) -> Vec<f64> {
    let asked: Vec<_> = nodes
        .iter()
        .map(|node| node.asked.lock().unwrap_or_else(PoisonError::into_inner))
        .collect();
    let whole = asked.iter().map(|asked| asked.ended.len()).min().unwrap_or_default();
    let reading = |number: usize| {
        let began = asked.iter().map(|asked| asked.began[number]).min()?;
        let ended = asked.iter().map(|asked| asked.ended[number]).max()?;
        Some((ended - began).as_secs_f64() * 1e3)
    };
    (0..whole).filter_map(reading).collect()
}

/// A real one's, as if it were another.
fn channel(model: &Value, node: usize, number: usize) -> Value {
    let mut channel = model.clone();
    channel["id"] = format!("{node:08x}-5ca1-4b1e-8000-{number:012x}").into();
    channel["name"] = format!("PJSIP/kamailio-{number:08x}").into();
    channel
}

fn eid(at: usize) -> String {
    format!("02:00:00:01:{:02x}:{:02x}", at / 256, at % 256)
}

/// As `res_consul_discovery` does.
fn register(consul: &Consul, eid: &str, port: u16) {
    let service = json!({
        "ID": eid,
        "Name": "asterisk",
        "Address": "127.0.0.1",
        "Port": 5060,
        "Meta": { "eid": eid, "ari_port": port.to_string(), "ari_scheme": "http" },
    });
    consul.request("PUT", "/v1/agent/service/register", Some(&service)).ok();
}
