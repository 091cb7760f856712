// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Copies of an app share its calls, those of all nodes, and take them over from each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use rig::folder::Folder;
use rig::ground::{CONFERENCE, Ground};
use rig::{App, Asterisk, Broker, Call, Consul, Gateway, eventually, seconds};
use serde_json::{Value, json};

use crate::gateway_fleet::{scenarios, text};

scenarios!(a_copy_that_is_killed_leaves_its_calls_to_the_other);

/// The conference, with a line in a file for each handler that is called.
const JOURNAL: &str = "tests/suite/apps/journal.py";
/// A number in whose calls a handler of that program fails.
const FAILING: &str = "8001";
const CALLS: usize = 50;

/// The longest wait, on a machine that is busy with others: queues write to its disk.
const PATIENCE: Duration = seconds(180);

struct Scene {
    ground: Ground<'static>,
    nodes: Vec<Asterisk>,
    gateway: Gateway,
    folder: Folder,
}

impl Scene {
    fn start() -> Self {
        let ground = Ground { consul: Consul::start(), tenant: Broker::shared().tenant() };
        let nodes = ground.nodes(2, |node| node.extension(FAILING, &["Stasis(conf)", "Hangup()"]));
        let amqp = ground.gateway_amqp();
        // A machine that others work on takes its time for a call between the nodes.
        let more = [("amqp", amqp.as_str()), ("bridges", "trunk_timeout = \"30s\"")];
        let gateway = Gateway::start(ground.consul.port(), &more);
        ground.wait_gateway(&gateway, nodes.len());
        Self { ground, nodes, gateway, folder: Folder::new("journal") }
    }

    #[track_caller]
    fn app(&self) -> App {
        let journal = self.journal().display().to_string();
        // So that a kill falls into handlers that run.
        let more = [("JOURNAL", journal.as_str()), ("JOURNAL_PAUSE", "0.1")];
        self.ground.app(&self.gateway, JOURNAL, &more)
    }

    fn journal(&self) -> PathBuf {
        self.folder.path().join("journal")
    }

    /// Each handler that was called: its name, the call, the message.
    fn journaled(&self) -> Vec<(String, String, String)> {
        let lines = std::fs::read_to_string(self.journal()).unwrap_or_default();
        let lines = lines.lines().map(|line| {
            let line: Value = serde_json::from_str(line).expect("a line of the journal");
            (text(&line["handler"]), text(&line["call"]), text(&line["message"]))
        });
        lines.collect()
    }

    /// The calls that a handler was called for.
    fn told(&self, handler: &str) -> BTreeSet<String> {
        let lines = self.journaled().into_iter();
        lines.filter(|(name, ..)| name == handler).map(|(_, call, _)| call).collect()
    }

    #[track_caller]
    fn wait_told(&self, handler: &str, count: usize) {
        eventually(&format!("{handler} of {count} calls"), PATIENCE, || {
            match self.told(handler).len() {
                seen if seen == count => Ok(()),
                seen => Err(seen),
            }
        });
    }

    /// Each call was told each of these just once, when repeats of a message are dropped.
    #[track_caller]
    fn assert_told_once(&self, handlers: &[&str]) {
        let mut messages: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
        for (handler, call, message) in self.journaled() {
            messages.entry((handler, call)).or_default().insert(message);
        }
        for ((handler, call), messages) in messages {
            let once = messages.len() == 1 || !handlers.contains(&handler.as_str());
            assert!(once, "{handler} of {call} by {messages:?}");
        }
    }

    /// The channels in the conference's bridge, on whichever node they are.
    fn bridged(&self) -> BTreeSet<String> {
        let told = self.gateway.ari().get("/bridges/conf").body;
        told["channels"].as_array().into_iter().flatten().map(text).collect()
    }

    /// Waits until each of so many calls is up and in the conference, but for those whose phone gave
    /// up: on a busy machine some may, and then they have ended.
    #[track_caller]
    fn wait_all_in(&self, count: usize) {
        eventually(&format!("each of {count} calls in the conference"), PATIENCE, || {
            let (began, up, ended) =
                (self.told("on_start"), self.told("on_up"), self.told("on_end"));
            let wanted: BTreeSet<String> = began.difference(&ended).cloned().collect();
            let bridged = self.bridged();
            let are_up = wanted.is_subset(&up) && ended.len() < 10;
            if began.len() == count && are_up && bridged == wanted {
                Ok(())
            } else {
                let out: Vec<&String> = wanted.difference(&bridged).collect();
                let not_up: Vec<&String> = wanted.difference(&up).collect();
                let ended = ended.len();
                Err(format!("{} began, {ended} ended, not up {not_up:?}, out {out:?}", began.len()))
            }
        });
    }

    #[track_caller]
    fn wait_copies(&self, count: usize) {
        eventually(&format!("{count} copies in Consul"), PATIENCE, || {
            let copies = self.ground.consul.health("conf-app");
            let are_well = |copy: &&Value| {
                let checks = copy["Checks"].as_array().cloned().unwrap_or_default();
                checks.iter().all(|check| check["Status"] == "passing")
            };
            // One that was killed is critical, and forgotten after a minute.
            let well = copies.iter().filter(are_well).count();
            if well == count { Ok(()) } else { Err(json!(copies)) }
        });
    }

    #[track_caller]
    fn wait_empty(&self, queue: &str) {
        let tenant = &self.ground.tenant;
        let path = format!("/queues/{}/{queue}", tenant.vhost());
        eventually(&format!("queue {queue} to be empty"), PATIENCE, || {
            let told = tenant.broker().api("GET", &path, None).ok();
            if told["messages"] == 0 { Ok(()) } else { Err(told["messages"].clone()) }
        });
    }
}

fn a_copy_that_is_killed_leaves_its_calls_to_the_other() {
    let scene = Scene::start();
    let (first, second) = (scene.app(), scene.app());
    for node in &scene.nodes {
        scene.ground.wait_application(node, "conf");
    }
    scene.wait_copies(2);
    // Each has its share.
    first.wait_partitions(8);
    second.wait_partitions(8);

    let each = u32::try_from(CALLS / scene.nodes.len()).expect("some calls");
    let call = |node| Call::several(node, CONFERENCE, seconds(600), each, 10);
    let calls: Vec<Call> = scene.nodes.iter().map(call).collect();
    eventually("half of the calls", PATIENCE, || match scene.told("on_start").len() {
        count if count >= CALLS / 2 => Ok(()),
        count => Err(count),
    });
    first.kill();
    scene.wait_all_in(CALLS);
    second.wait_partitions(16);
    second.wait_health("to have all calls", |told| {
        told["calls"].as_u64() == Some((CALLS - scene.told("on_end").len()) as u64)
    });
    scene.wait_copies(1);

    // What fails in one call is told with its id, and touches no other.
    let failing = Call::place(&scene.nodes[0], FAILING, seconds(600));
    scene.wait_all_in(CALLS + 1);
    assert!(second.log().contains(": on_start failed"), "{}", second.log());
    drop(failing);

    // A third takes its share of living calls, without a word to them twice.
    let third = scene.app();
    third.wait_partitions(8);
    second.wait_partitions(8);
    scene.nodes.iter().for_each(|node| node.hang_up_all(PATIENCE));
    drop(calls);
    for handler in ["on_start", "on_end"] {
        scene.wait_told(handler, CALLS + 1);
    }
    for name in ["app.conf", "app.conf.0"] {
        scene.wait_empty(name);
    }
    scene.assert_told_once(&["on_start", "on_up", "on_end"]);
    for app in [&second, &third] {
        app.wait_health("to have no calls", |told| told["calls"] == 0);
        assert!(app.terminate().success(), "{}", app.log());
    }
    scene.gateway.assert_alive();
    scene.nodes.iter().for_each(Asterisk::assert_alive);
}
