// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What Prometheus is told.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::amqp::BrokerState;
use crate::events::Counts;
use crate::fleet::{ConsulState, State};
use crate::index::Kind;
use crate::proxy::Gateway;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    method: &'static str,
    area: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    node: String,
    outcome: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Word {
    kind: &'static str,
}

/// The counters; what can be looked up is looked up when they are read.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    answered: AtomicU64,
    requests: Family<Request, Counter>,
    times: Histogram,
    nodes: Family<Asked, Counter>,
    node_times: Histogram,
    pub questions: Counter,
    pub connections: Gauge,
    states: Family<Word, Gauge>,
    index: Family<Word, Gauge>,
    consul: Gauge,
    events: Family<Word, Counter>,
    pub sockets: Gauge,
    held: Gauge,
    clashing: Gauge,
    broker: Gauge,
    spans: Gauge,
    shared: Family<Word, Gauge>,
}

/// From half a millisecond on, doubled.
fn times() -> Histogram {
    Histogram::new([0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.25, 1.0, 5.0])
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("gateway"),
            answered: AtomicU64::new(0),
            requests: Family::default(),
            times: times(),
            nodes: Family::default(),
            node_times: times(),
            questions: Counter::default(),
            connections: Gauge::default(),
            states: Family::default(),
            index: Family::default(),
            consul: Gauge::default(),
            events: Family::default(),
            sockets: Gauge::default(),
            held: Gauge::default(),
            clashing: Gauge::default(),
            broker: Gauge::default(),
            spans: Gauge::default(),
            shared: Family::default(),
        };
        let registry = &mut metrics.registry;
        registry.register("requests", "Requests of clients", metrics.requests.clone());
        registry.register("request_seconds", "Time to a client's answer", metrics.times.clone());
        registry.register("node_requests", "Requests to nodes", metrics.nodes.clone());
        registry.register("node_seconds", "Time to a node's answer", metrics.node_times.clone());
        registry.register("questions", "Questions to all nodes", metrics.questions.clone());
        registry.register("connections", "Clients' connections", metrics.connections.clone());
        registry.register("nodes", "Nodes by their state in Consul", metrics.states.clone());
        registry.register("index", "Resources whose node is known", metrics.index.clone());
        registry.register("spans", "Bridges on several nodes", metrics.spans.clone());
        registry.register("consul_up", "Whether Consul answers", metrics.consul.clone());
        registry.register("events", "Events, by what became of them", metrics.events.clone());
        registry.register("event_sockets", "Event websockets", metrics.sockets.clone());
        registry.register("shared", "Of calls shared out among sockets", metrics.shared.clone());
        registry.register("held", "What applications have on the nodes", metrics.held.clone());
        let clashing = metrics.clashing.clone();
        registry.register("clashing_nodes", "Nodes with channel ids of others", clashing);
        registry.register("amqp_up", "Whether RabbitMQ is connected", metrics.broker.clone());
        metrics
    }
}

impl Metrics {
    pub(crate) fn note_request(
        &self,
        method: &hyper::Method,
        area: &'static str,
        status: StatusCode,
        took: Duration,
    ) {
        const KNOWN: [&str; 6] = ["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"];
        let known = KNOWN.into_iter().find(|known| *known == method.as_str());
        let label = Request { method: known.unwrap_or("other"), area, status: status.as_u16() };
        self.answered.fetch_add(1, Ordering::Relaxed);
        self.requests.get_or_create(&label).inc();
        self.times.observe(took.as_secs_f64());
    }

    /// Requests of clients so far.
    pub(super) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    pub(crate) fn note_node(
        &self,
        eid: &str,
        outcome: Result<StatusCode, &'static str>,
        took: Duration,
    ) {
        let outcome = match outcome {
            Ok(status) => status.as_str().to_owned(),
            Err(word) => word.to_owned(),
        };
        self.nodes.get_or_create(&Asked { node: eid.to_owned(), outcome }).inc();
        self.node_times.observe(took.as_secs_f64());
    }

    pub(crate) fn note_event(&self, kind: &'static str, count: u64) {
        if count > 0 {
            self.events.get_or_create(&Word { kind }).inc_by(count);
        }
    }

    /// What there is of shared applications.
    pub(crate) fn note_shared(&self, counts: Counts) {
        let Counts { sockets, calls, kept } = counts;
        for (kind, count) in [("sockets", sockets), ("calls", calls), ("kept", kept)] {
            let gauge = self.shared.get_or_create(&Word { kind }).clone();
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// Events of the nodes so far, each counted once.
    pub(super) fn taken(&self) -> u64 {
        self.events.get_or_create(&Word { kind: "taken" }).get()
    }

    /// All of them, as text.
    pub(super) fn text(&self, gateway: &Gateway) -> String {
        let fleet = gateway.watch.fleet.borrow().clone();
        for state in State::ALL {
            let count = fleet.nodes.iter().filter(|node| node.state == state).count();
            let gauge = self.states.get_or_create(&Word { kind: state.word() }).clone();
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        for kind in Kind::ALL.into_iter().filter(|kind| kind.is_kept()) {
            let gauge = self.index.get_or_create(&Word { kind: kind.word() }).clone();
            gauge.set(i64::try_from(gateway.index.count(kind)).unwrap_or(i64::MAX));
        }
        let answers = *gateway.watch.consul.borrow() == ConsulState::Answers;
        self.consul.set(i64::from(answers));
        let exchange = gateway.exchange.as_ref();
        let is_up = exchange.is_some_and(|one| *one.state.borrow() == BrokerState::Connected);
        self.broker.set(i64::from(is_up));
        self.held.set(i64::try_from(gateway.holdings.count()).unwrap_or(i64::MAX));
        self.clashing.set(i64::try_from(gateway.index.clashing_nodes()).unwrap_or(i64::MAX));
        self.spans.set(i64::try_from(gateway.bridges.spans().count()).unwrap_or(i64::MAX));
        let mut text = String::new();
        // Writing into a text does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
