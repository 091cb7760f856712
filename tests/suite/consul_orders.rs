// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The four modules loaded, unloaded and reloaded in every order there is, with keys that come and
//! go, and calls that live on.

use std::collections::BTreeSet;
use std::path::PathBuf;

use rig::{Asterisk, Broker, Consul, Version, eventually, seconds};
use serde_json::Value;

use crate::fleet::{
    AMQP, APPS, CONSUL, ConsulConf, DISCOVERY, MODULES, call_that_stays, load, load_all, node,
    registered_apps, reload, unload, unload_all, wait_exactly, wait_status,
};
use crate::pair::{AmqpConf, wait_for_state};
use crate::traffic::hang_up;

on_each_version!(
    a_hundred_lives_in_every_order_leave_nothing_behind,
    no_order_leaves_a_reference,
    an_order_that_cannot_be_is_refused,
);

/// What a module cannot be without.
fn needs(module: &str) -> &'static [&'static str] {
    match module {
        DISCOVERY => &[CONSUL],
        APPS => &[CONSUL, AMQP],
        _ => &[],
    }
}

/// Every order in which each module comes after what it needs.
fn orders() -> Vec<Vec<&'static str>> {
    fn extend(order: &[&'static str], all: &mut Vec<Vec<&'static str>>) {
        if order.len() == MODULES.len() {
            all.push(order.to_vec());
        }
        for module in MODULES.into_iter().filter(|module| !order.contains(module)) {
            if needs(module).iter().all(|needed| order.contains(needed)) {
                extend(&[order, &[module]].concat(), all);
            }
        }
    }
    let mut all = Vec::new();
    extend(&[], &mut all);
    all
}

#[test]
fn there_are_five_orders() {
    assert_eq!(orders().len(), 5, "{:?}", orders());
}

/// What is done between loads and unloads: chance, but the same in every run.
struct Chance(u64);

impl Chance {
    /// A number below `limit`.
    fn below(&mut self, limit: usize) -> usize {
        // Knuth's numbers; the high bits are the better ones.
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

/// A node with none of the modules loaded, and what goes on around it.
struct Walk<'a> {
    asterisk: &'a Asterisk,
    consul: &'a Consul,
    loaded: Vec<&'static str>,
    keys: BTreeSet<&'static str>,
    chance: Chance,
}

impl<'a> Walk<'a> {
    /// The applications whose keys come and go.
    const NAMES: [&'static str; 4] = ["two", "three/four", "five//six", "seven eight"];
    /// The application that is always wanted.
    const LASTING: &'static str = "one";

    fn new(asterisk: &'a Asterisk, consul: &'a Consul) -> Self {
        consul.kv_put(&format!("applications/{}", Self::LASTING), "");
        let keys = BTreeSet::from([Self::LASTING]);
        Self { asterisk, consul, loaded: Vec::new(), keys, chance: Chance(20_261_121) }
    }

    #[track_caller]
    fn load(&mut self, module: &'static str) {
        load(self.asterisk, module);
        self.loaded.push(module);
        self.stir();
    }

    #[track_caller]
    fn unload(&mut self, module: &'static str) {
        unload(self.asterisk, module);
        self.loaded.retain(|loaded| *loaded != module);
        // It has taken back what it told Consul, at once; or it says that there was no time.
        let (left, said) = match module {
            DISCOVERY => {
                let left = self.consul.service(self.asterisk.entity_id());
                (
                    left.map(|node| node.to_string()).into_iter().collect(),
                    "could not be deregistered",
                )
            }
            APPS => (registered_apps(self.consul, self.asterisk), "still registered in Consul"),
            _ => (Vec::new(), ""),
        };
        assert!(left.is_empty() || self.asterisk.log().contains(said), "{module} left {left:?}");
        self.stir();
    }

    /// Changes a key, or reloads a module, or neither.
    #[track_caller]
    fn stir(&mut self) {
        if self.chance.below(2) == 0 {
            let name = Self::NAMES[self.chance.below(Self::NAMES.len())];
            let key = format!("applications/{name}");
            if self.keys.remove(name) {
                self.consul.kv_delete(&key);
            } else {
                self.keys.insert(name);
                self.consul.kv_put(&key, "");
            }
        }
        if !self.loaded.is_empty() && self.chance.below(2) == 0 {
            let module = self.loaded[self.chance.below(self.loaded.len())];
            reload(self.asterisk, module);
        }
    }

    /// Waits until Consul has exactly what is loaded.
    #[track_caller]
    fn wait_settled(&self) {
        let is_loaded = |module| self.loaded.contains(&module);
        if is_loaded(APPS) {
            wait_exactly(
                self.consul,
                self.asterisk,
                &self.keys.iter().copied().collect::<Vec<_>>(),
            );
        }
        if is_loaded(DISCOVERY) {
            wait_status(self.consul, self.asterisk.entity_id(), "passing");
        }
        let apps = if is_loaded(APPS) { self.keys.len() } else { 0 };
        let services = self.consul.services();
        assert_eq!(services.len(), apps + usize::from(is_loaded(DISCOVERY)), "{services:?}");
    }
}

/// The threads that none of Asterisk's modules starts, by their names.
fn our_threads(asterisk: &Asterisk) -> Vec<String> {
    let tasks = PathBuf::from(format!("/proc/{}/task", asterisk.process().pid()));
    let tasks = std::fs::read_dir(&tasks).expect("Asterisk runs");
    let names = tasks.flatten().filter_map(|task| {
        let name = std::fs::read_to_string(task.path().join("comm")).ok()?;
        Some(name.trim().to_owned())
    });
    names.filter(|name| name != "asterisk" && !name.starts_with("threadpool")).collect()
}

/// Waits until nothing is left of four modules that are unloaded.
#[track_caller]
fn assert_nothing_is_left(asterisk: &Asterisk, before: (usize, usize, &[String])) {
    let (threads, fds, names) = before;
    for module in MODULES {
        assert!(!asterisk.process().maps(&format!("{module}.so")), "{module} is still mapped");
    }
    assert_eq!(our_threads(asterisk), names);
    eventually("threads and files to be as before", seconds(20), || {
        match (asterisk.process().threads(), asterisk.process().fds()) {
            (now, open) if now <= threads && open <= fds => Ok(()),
            now => Err(format!("{now:?}, before {:?}", (threads, fds))),
        }
    });
}

/// With an extension that counts without end, some fifty events a second.
fn start(version: Version, consul: &Consul, url: &str) -> rig::Builder {
    let trickle =
        ["Answer()", "Set(I=0)", "While(1)", "Set(I=$[${I} + 1])", "Wait(0.02)", "EndWhile()"];
    node(version, &AmqpConf::new(url).text(), &ConsulConf::new(consul.port()))
        .extension("trickle", &trickle)
}

fn a_hundred_lives_in_every_order_leave_nothing_behind(version: Version) {
    let (tenant, consul) = (Broker::shared().tenant(), Consul::start());
    let asterisk = start(version, &consul, &tenant.url()).start();
    let ari = asterisk.ari();
    asterisk.cli("channel originate Local/stay@default extension trickle@default");
    let mut walk = Walk::new(&asterisk, &consul);

    // A call in an application, which is there through all that follows.
    load_all(&asterisk);
    walk.loaded = MODULES.to_vec();
    walk.wait_settled();
    let call = call_that_stays(&asterisk, "one");
    unload_all(&asterisk);
    walk.loaded.clear();
    let names = our_threads(&asterisk);
    let before = (asterisk.process().threads(), asterisk.process().fds(), &*names);

    let orders = orders();
    for round in 0..4 * orders.len() * orders.len() {
        for module in &orders[round % orders.len()] {
            walk.load(module);
        }
        if round % 7 == 0 {
            walk.wait_settled();
        }
        for module in orders[round / orders.len() % orders.len()].iter().rev() {
            walk.unload(module);
        }
        asterisk.assert_alive();
    }
    assert_eq!(ari.get(&call).ok()["state"], "Up", "the call has ended");
    assert_nothing_is_left(&asterisk, before);

    for module in MODULES {
        walk.load(module);
    }
    walk.wait_settled();
    wait_for_state(&asterisk, "connected");
    for module in [DISCOVERY, APPS, CONSUL, AMQP] {
        walk.unload(module);
        walk.wait_settled();
    }
    assert_nothing_is_left(&asterisk, before);
    let complaints = asterisk.complaints();
    let caught: Vec<&String> = complaints.iter().filter(|line| line.contains("internal")).collect();
    assert!(caught.is_empty(), "{caught:?}");
    hang_up(&asterisk);
    assert!(asterisk.stop_gracefully().success());
}

fn no_order_leaves_a_reference(version: Version) {
    let (tenant, consul) = (Broker::shared().tenant(), Consul::start());
    let asterisk = start(version, &consul, &tenant.url()).ref_debug(true).start();
    let mut walk = Walk::new(&asterisk, &consul);
    let value = r#"{"events":{"disallowed":["Dial"]},"subscriptions":["deviceState:Stasis:x","bridge:none"]}"#;
    consul.kv_put("applications/one", value);
    let orders = orders();
    for (index, order) in orders.iter().enumerate() {
        for module in order {
            walk.load(module);
        }
        walk.wait_settled();
        let call = asterisk.ari().post("/channels?endpoint=Local/call@default&app=one");
        assert_eq!(call.status, 200, "{call:?}");
        for command in ["consul show applications", "consul show status", "discovery show status"] {
            asterisk.cli(command);
        }
        // One that is taken over, and one that is ended.
        drop(asterisk.ari().events("one"));
        asterisk.ari().delete("/amqp/one");
        // A channel in it would keep the application's name.
        hang_up(&asterisk);
        for module in orders[orders.len() - 1 - index].iter().rev() {
            walk.unload(module);
        }
    }
    // The last life is ended by the host.
    load_all(&asterisk);
    walk.loaded = MODULES.to_vec();
    walk.wait_settled();
    assert!(asterisk.stop_gracefully().success());
    assert_eq!(consul.services().len(), 0, "{:?}", consul.services());

    let log = std::fs::read(asterisk.folder().join("log/refs")).expect("a log of references");
    let log = String::from_utf8_lossy(&log);
    assert!(log.contains("/shim.c,"), "the log does not have what we do with objects");
    assert_eq!(asterisk.leaks(""), []);
}

/// `module load` of one whose needs are not there, and `module unload` of one that is needed: no.
fn an_order_that_cannot_be_is_refused(version: Version) {
    let (tenant, consul) = (Broker::shared().tenant(), Consul::start());
    consul.kv_put("applications/one", "");
    let asterisk = start(version, &consul, &tenant.url()).start();
    let running =
        |module: &str| asterisk.cli(&format!("module show like {module}.so")).contains(" Running");
    let refused_load = |module: &str| {
        let mark = asterisk.log_mark();
        let answer = asterisk.cli(&format!("module load {module}.so"));
        assert!(answer.contains(&format!("Unable to load module {module}.so")), "{answer}");
        asterisk.wait_log_after(mark, module);
        assert!(!running(module), "{module} runs");
    };
    let refused_unload = |module: &str| {
        let answer = asterisk.cli(&format!("module unload {module}.so"));
        let wanted = format!("Unable to unload resource {module}.so");
        assert!(answer.contains(&wanted), "{answer}");
        assert!(running(module), "{module} does not run");
    };
    for _ in 0..3 {
        refused_load(DISCOVERY);
        refused_load(APPS);
        load(&asterisk, AMQP);
        refused_load(APPS);
        unload(&asterisk, AMQP);
        load(&asterisk, CONSUL);
        refused_load(APPS);
        load(&asterisk, DISCOVERY);
        refused_load(APPS);
        refused_unload(CONSUL);
        load(&asterisk, AMQP);
        load(&asterisk, APPS);
        refused_unload(AMQP);
        refused_unload(CONSUL);
        // One that is there already.
        for module in MODULES {
            let answer = asterisk.cli(&format!("module load {module}.so"));
            assert!(answer.contains("Unable to load module"), "{answer}");
            assert!(running(module), "{module} does not run");
        }
        wait_exactly(&consul, &asterisk, &["one"]);
        wait_status(&consul, asterisk.entity_id(), "passing");
        unload(&asterisk, APPS);
        refused_unload(CONSUL);
        unload(&asterisk, AMQP);
        unload(&asterisk, DISCOVERY);
        unload(&asterisk, CONSUL);
        let left: Vec<Value> = consul.services().into_values().collect();
        assert!(left.is_empty(), "{left:?}");
        for module in MODULES {
            assert!(!asterisk.process().maps(&format!("{module}.so")), "{module} is still mapped");
        }
    }
    asterisk.assert_alive();
}
