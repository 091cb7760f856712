// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A thousand nodes with a hundred channels each, for gateway, dispatcher and Consul: the nodes and
//! their ARI are simulated, all else is real.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rig::gateway::TOKEN;
use rig::{Broker, Consul, Dispatcher, Gateway, Kamailio, Tenant, eventually, seconds};
use serde_json::{Value, json};

use crate::ari::{self, Ari};
use crate::latency::Latency;
use crate::plan::Plan;
use crate::report::object;
use crate::simulated::register;
use crate::system::NO_FLOOD;
use crate::times::micros;
use crate::usage::{Meter, Part};

const NODES: u32 = 1000;
const CHANNELS: u32 = 100;
/// The node whose changes are looked for, and one that hangs.
const WATCHED: u32 = 1;
const HANGING: u32 = 2;
/// Those that change to see what a change costs.
const CHANGING: std::ops::Range<u32> = 100..120;
/// Between two of them: more than the pause that a watch makes.
const APART: Duration = Duration::from_millis(200);
/// Before one whose time is taken: what came before has been dealt with.
const CALM: Duration = seconds(2);
const PATIENCE: Duration = seconds(120);
const NEW_CALL: &str = "/channels?endpoint=Local/x@default&app=bench";

/// What was measured.
#[derive(Debug, Default)]
pub(crate) struct Thousand {
    registered_s: f64,
    listing_bytes: usize,
    ready_s: f64,
    indexed_s: f64,
    ready_cpu_s: f64,
    peak_mib: f64,
    memory_mib: f64,
    most_asked: usize,
    most_open: usize,
    read_s: f64,
    read_cpu_s: f64,
    create: Option<Latency>,
    unknown: Option<Latency>,
    /// Of those, the questions that a node did not answer in time.
    unsure: u32,
    list_s: f64,
    list_bytes: usize,
    /// From the change to the first call that goes elsewhere, and to the list that Kamailio has read.
    called: Option<Latency>,
    listed: Option<Latency>,
    called_beside_a_hang_ms: f64,
    /// Milliseconds of a processor that each change cost each part.
    change_cpu_ms: Vec<(&'static str, f64)>,
}

impl Thousand {
    pub(crate) fn json(&self) -> Value {
        json!({
            "nodes": NODES,
            "channels": NODES * CHANNELS,
            "registered_s": self.registered_s,
            "ready_s": self.ready_s,
            "ready_cpu_s": self.ready_cpu_s,
            "indexed_s": self.indexed_s,
            "memory_mib": self.memory_mib,
            "peak_mib": self.peak_mib,
            "most_requests_at_once": self.most_asked,
            "most_connections": self.most_open,
            "full_read_s": self.read_s,
            "full_read_cpu_s": self.read_cpu_s,
            "create_ms": self.create.map(Latency::json),
            "unknown_ms": self.unknown.map(Latency::json),
            "unsure": self.unsure,
            "list_s": self.list_s,
            "list_bytes": self.list_bytes,
            "listing_bytes": self.listing_bytes,
            "called_ms": self.called.map(Latency::json),
            "listed_ms": self.listed.map(Latency::json),
            "called_beside_a_hang_ms": self.called_beside_a_hang_ms,
            "change_cpu_ms": object(&self.change_cpu_ms),
        })
    }

    /// What, and how much, as it is printed.
    pub(crate) fn rows(&self) -> Vec<(&'static str, String)> {
        let of = |latency: Option<Latency>| {
            latency.map_or("-".to_owned(), |l| format!("{:.1}; {:.1}", l.p50, l.max))
        };
        let cpu: Vec<String> =
            self.change_cpu_ms.iter().map(|(name, cpu)| format!("{name} {cpu:.1}")).collect();
        let size = |bytes: usize| format!("{:.2}", bytes as f64 / f64::from(1 << 20));
        vec![
            ("gateway: from its start to ready, s", format!("{:.2}", self.ready_s)),
            ("  to 100,000 channels in its index, s", format!("{:.2}", self.indexed_s)),
            ("  processor time for that, s", format!("{:.2}", self.ready_cpu_s)),
            ("  requests to nodes at one time, at most", self.most_asked.to_string()),
            ("  connections to nodes, at most", self.most_open.to_string()),
            ("  memory; at most, MiB", format!("{:.0}; {:.0}", self.memory_mib, self.peak_mib)),
            (
                "  full read of all nodes, each 30 s: it takes; processor time, s",
                format!("{:.2}; {:.2}", self.read_s, self.read_cpu_s),
            ),
            ("  a new call: p50; longest, ms", of(self.create)),
            ("  a question to all nodes: p50; longest, ms", of(self.unknown)),
            ("  questions that not all nodes answered in time", self.unsure.to_string()),
            (
                "  GET /ari/channels: s; MiB",
                format!("{:.2}; {}", self.list_s, size(self.list_bytes)),
            ),
            ("one node critical in Consul: a watch brings, MiB", size(self.listing_bytes)),
            ("  to the first call elsewhere: p50; longest, ms", of(self.called)),
            ("  to Kamailio's list: p50; longest, ms", of(self.listed)),
            (
                "  to the first call elsewhere, while another node hangs, ms",
                format!("{:.0}", self.called_beside_a_hang_ms),
            ),
            ("  processor time, ms", cpu.join(", ")),
        ]
    }
}

struct Scene {
    consul: Consul,
    ari: Ari,
    gateway: Gateway,
    kamailio: Kamailio,
    dispatcher: Dispatcher,
}

pub(crate) fn run(plan: &Plan, broker: &Broker) -> Thousand {
    let tenant = broker.tenant();
    let mut figures = Thousand::default();
    let scene = Scene::set(&tenant, &mut figures);
    scene.read(&mut figures);
    scene.ask(plan, &mut figures);
    scene.change(plan, &mut figures);
    scene.hang(&mut figures);
    figures.peak_mib = mib(scene.gateway.process().peak_rss_bytes());
    scene.gateway.assert_alive();
    scene.kamailio.assert_alive();
    figures
}

impl Scene {
    /// With the nodes there before the gateway starts.
    fn set(tenant: &Tenant<'_>, figures: &mut Thousand) -> Self {
        let (consul, ari) = (Consul::start(), Ari::start(CHANNELS));
        let since = Instant::now();
        for node in 1..=NODES {
            register(&consul, node, ari.port, true);
        }
        figures.registered_s = since.elapsed().as_secs_f64();
        figures.listing_bytes = body_of(consul.port(), "/v1/health/service/asterisk");

        let url = format!("url = \"{}\"", tenant.url());
        let since = Instant::now();
        let gateway = Gateway::start_without_waiting(
            consul.port(),
            &[("log", "level = \"info\""), ("amqp", &url)],
        );
        eventually("the gateway to be ready", PATIENCE, || {
            ureq::get(format!("http://127.0.0.1:{}/health/ready", gateway.port())).call()
        });
        figures.ready_s = since.elapsed().as_secs_f64();
        let wanted = f64::from(NODES * CHANNELS);
        eventually("all channels in the index", PATIENCE, || {
            match gateway.metric("gateway_index{kind=\"channel\"}") {
                count if count >= wanted => Ok(()),
                count => Err(count),
            }
        });
        figures.indexed_s = since.elapsed().as_secs_f64();
        figures.ready_cpu_s = gateway.process().cpu_time().as_secs_f64();
        figures.memory_mib = mib(gateway.process().rss_bytes());
        figures.most_asked = ari.seen.most_asked();
        figures.most_open = ari.seen.most_open();

        let kamailio = Kamailio::new(NO_FLOOD);
        let address = format!("address = \"127.0.0.1:{}\"", consul.port());
        let dispatcher = Dispatcher::start(&address, &kamailio);
        eventually("the list", PATIENCE, || {
            if kamailio.list().contains(&place(WATCHED)) { Ok(()) } else { Err(dispatcher.log()) }
        });
        kamailio.start();
        dispatcher.wait_log("Kamailio has read the list", 1);
        Self { consul, ari, gateway, kamailio, dispatcher }
    }

    /// The next time that the gateway reads all nodes.
    fn read(&self, figures: &mut Thousand) {
        let requests = || self.ari.seen.requests.load(Relaxed);
        let cpu = || self.gateway.process().cpu_time();
        let (before, mut spent) = (requests(), cpu());
        eventually("the next full read", PATIENCE, || {
            if requests() > before + 10 {
                return Ok(());
            }
            spent = cpu();
            Err(requests() - before)
        });
        let since = Instant::now();
        // Its state, channels, bridges and applications of each.
        let all = before + u64::from(NODES) * 4;
        eventually("the end of the full read", PATIENCE, || {
            if requests() >= all { Ok(()) } else { Err(all - requests()) }
        });
        figures.read_s = since.elapsed().as_secs_f64();
        figures.read_cpu_s = cpu().saturating_sub(spent).as_secs_f64();
        figures.memory_mib = mib(self.gateway.process().rss_bytes());
    }

    /// Requests of clients that have to do with all nodes.
    fn ask(&self, plan: &Plan, figures: &mut Thousand) {
        let ari = self.gateway.ari();
        let times = |one: &mut dyn FnMut()| {
            let mut timed = |_| {
                let since = Instant::now();
                one();
                micros(since)
            };
            Latency::of((0..plan.requests).map(&mut timed).collect())
        };
        figures.create = times(&mut || {
            ari.post(NEW_CALL).ok();
        });
        let unsure = &mut figures.unsure;
        figures.unknown = times(&mut || match ari.get("/channels/unknown").status {
            404 => {}
            // A node did not say in time.
            503 => *unsure += 1,
            other => panic!("a question to all nodes: {other}"),
        });
        let since = Instant::now();
        figures.list_bytes = body_of(self.gateway.port(), "/ari/channels");
        figures.list_s = since.elapsed().as_secs_f64();
    }

    /// One node changes: when is it seen, and what does it cost?
    fn change(&self, plan: &Plan, figures: &mut Thousand) {
        let (mut called, mut listed) = (Vec::new(), Vec::new());
        for _ in 0..plan.changes {
            sleep(CALM);
            let (to_call, to_list) = self.turn_away();
            called.push(to_call);
            listed.push(to_list);
            self.take_back();
        }
        (figures.called, figures.listed) = (Latency::of(called), Latency::of(listed));

        let parts = [
            Part::new("Consul", [self.consul.process().pid()]),
            Part::new("gateway", [self.gateway.process().pid()]),
            Part::new("dispatcher", [self.dispatcher.process().pid()]),
            Part::new("Kamailio", [self.kamailio.process().pid()]),
        ];
        // What they do without any change is no part of it.
        let idle = Meter::start(&parts);
        sleep(APART * CHANGING.end.saturating_sub(CHANGING.start));
        let idle = idle.seconds();
        let meter = Meter::start(&parts);
        for node in CHANGING {
            register(&self.consul, node, self.ari.port, false);
            sleep(APART);
        }
        let each = |(used, idle): ((&'static str, f64), (_, f64))| {
            (used.0, (used.1 - idle.1).max(0.0) * 1000.0 / CHANGING.len() as f64)
        };
        figures.change_cpu_ms = meter.seconds().into_iter().zip(idle).map(each).collect();
    }

    /// The same beside a node that takes connections and answers nothing.
    fn hang(&self, figures: &mut Thousand) {
        self.ari.seen.hang(HANGING);
        // It is read as one that has come back.
        register(&self.consul, HANGING, self.ari.port, false);
        sleep(APART);
        register(&self.consul, HANGING, self.ari.port, true);
        sleep(APART);
        let (called, _) = self.turn_away();
        figures.called_beside_a_hang_ms = called as f64 / 1000.0;
        self.ari.seen.recover();
    }

    /// The watched node is critical: microseconds until a new call goes elsewhere, and until Kamailio
    /// has the list without it.
    fn turn_away(&self) -> (u64, u64) {
        let ari = self.gateway.ari();
        let told = self.dispatcher.log().matches("Kamailio has read the list").count();
        let since = Instant::now();
        register(&self.consul, WATCHED, self.ari.port, false);
        let (mut called, mut listed) = (None, None);
        eventually("a call to another node, and the list", PATIENCE, || {
            if called.is_none() {
                ari.post(NEW_CALL).ok();
                called = (self.ari.seen.called() != WATCHED).then(|| micros(since));
            }
            let has_told = || self.dispatcher.log().matches("Kamailio has read the list").count();
            if listed.is_none() && has_told() > told {
                listed = (!self.kamailio.list().contains(&place(WATCHED))).then(|| micros(since));
            }
            match (called, listed) {
                (Some(called), Some(listed)) => Ok((called, listed)),
                other => Err(format!("{other:?}")),
            }
        })
    }

    /// It is passing again, and takes calls.
    fn take_back(&self) {
        register(&self.consul, WATCHED, self.ari.port, true);
        eventually("the node to take calls again", PATIENCE, || {
            self.gateway.ari().post(NEW_CALL).ok();
            let is_listed = self.kamailio.list().contains(&place(WATCHED));
            if self.ari.seen.called() == WATCHED && is_listed { Ok(()) } else { Err("not yet") }
        });
    }
}

/// The beginning of a node's line among those that take calls.
fn place(node: u32) -> String {
    format!("\n1 sip:{}:5060 ", ari::address(node))
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// The size of an answer, as it is sent.
fn body_of(port: u16, path: &str) -> usize {
    let read = || {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {TOKEN}\r\n\
             Connection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = read().unwrap_or_else(|error| panic!("{path}: {error}"));
    assert!(
        answer.starts_with(b"HTTP/1.1 200"),
        "{path}: {}",
        String::from_utf8_lossy(&answer[..100])
    );
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n");
    answer.len() - head.map_or(0, |end| end + 4)
}
