// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A node with all four modules, and what Consul knows of it.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

pub(crate) use rig::ConsulConf;
use rig::{Asterisk, Broker, Builder, Consul, Tenant, Version, eventually, seconds};
use serde_json::Value;

use crate::pair::{self, AmqpConf};

pub(crate) const AMQP: &str = "res_stasis_amqp";
pub(crate) const CONSUL: &str = "res_consul";
pub(crate) const DISCOVERY: &str = "res_consul_discovery";
pub(crate) const APPS: &str = "res_consul_stasis_app";

/// In an order in which each finds what it needs.
pub(crate) const MODULES: [&str; 4] = [AMQP, CONSUL, DISCOVERY, APPS];

/// A node with the four modules in place, none loaded, and some extensions to call.
pub(crate) fn node(version: Version, amqp: &str, consul: &ConsulConf) -> Builder {
    let node = pair::node(version, amqp).conf("consul.conf", consul.text());
    [CONSUL, DISCOVERY, APPS].into_iter().fold(node, Builder::installed_module)
}

/// Loads a module.
#[track_caller]
pub(crate) fn load(asterisk: &Asterisk, module: &str) {
    let answer = asterisk.cli(&format!("module load {module}.so"));
    assert!(answer.contains(&format!("Loaded {module}.so")), "{answer}\n{}", asterisk.log());
}

#[track_caller]
pub(crate) fn load_all(asterisk: &Asterisk) {
    for module in MODULES {
        load(asterisk, module);
    }
}

#[track_caller]
pub(crate) fn unload(asterisk: &Asterisk, module: &str) {
    let answer = asterisk.cli(&format!("module unload {module}.so"));
    assert!(answer.contains(&format!("Unloaded {module}.so")), "{answer}\n{}", asterisk.log());
}

#[track_caller]
pub(crate) fn unload_all(asterisk: &Asterisk) {
    for module in MODULES.into_iter().rev() {
        unload(asterisk, module);
    }
}

#[track_caller]
pub(crate) fn reload(asterisk: &Asterisk, module: &str) {
    let answer = asterisk.cli(&format!("module reload {module}.so"));
    assert!(answer.contains("reloaded successfully"), "{answer}\n{}", asterisk.log());
}

/// An `amqp.conf` that publishes, to a vhost that all scenarios share which look at no event.
pub(crate) fn amqp() -> String {
    static TENANT: OnceLock<Tenant<'static>> = OnceLock::new();
    AmqpConf::new(&TENANT.get_or_init(|| Broker::shared().tenant()).url()).text()
}

/// A node with all four modules loaded, connected to a vhost of its own and to an agent of its own.
pub(crate) struct Fleet {
    pub(crate) tenant: Tenant<'static>,
    pub(crate) consul: Consul,
    pub(crate) asterisk: Asterisk,
}

impl Fleet {
    /// With an agent in development mode; the node is registered and passing.
    pub(crate) fn start(version: Version) -> Self {
        Self::with(version, Consul::start(), |conf| conf)
    }

    pub(crate) fn with(
        version: Version,
        consul: Consul,
        change: impl FnOnce(ConsulConf) -> ConsulConf,
    ) -> Self {
        Self::furnished(version, consul, change, |node| node)
    }

    /// With more in the node than [`node`] has.
    pub(crate) fn furnished(
        version: Version,
        consul: Consul,
        change: impl FnOnce(ConsulConf) -> ConsulConf,
        furnish: impl FnOnce(Builder) -> Builder,
    ) -> Self {
        let tenant = Broker::shared().tenant();
        let conf = change(ConsulConf::new(consul.port()));
        let amqp = AmqpConf::new(&tenant.url()).text();
        let asterisk = furnish(node(version, &amqp, &conf)).start();
        load_all(&asterisk);
        pair::wait_for_state(&asterisk, "connected");
        let fleet = Self { tenant, consul, asterisk };
        fleet.wait_passing();
        fleet
    }

    /// The id the node is registered with by default.
    pub(crate) fn id(&self) -> &str {
        self.asterisk.entity_id()
    }

    /// Waits until the node is registered, its check passing, and no maintenance on.
    #[track_caller]
    pub(crate) fn wait_passing(&self) -> Value {
        wait_status(&self.consul, self.id(), "passing")
    }

    /// Waits until the application is there and registered.
    #[track_caller]
    pub(crate) fn wait_app(&self, name: &str) {
        wait_app(&self.consul, &self.asterisk, name);
    }

    #[track_caller]
    pub(crate) fn wait_no_app(&self, name: &str) {
        wait_no_app(&self.consul, &self.asterisk, name);
    }

    #[track_caller]
    pub(crate) fn reload(&self, module: &str, conf: &ConsulConf) {
        self.asterisk.write_conf("consul.conf", &conf.text());
        reload(&self.asterisk, module);
    }

    /// The configuration that asks for this agent, to be changed and reloaded.
    pub(crate) fn conf(&self) -> ConsulConf {
        ConsulConf::new(self.consul.port())
    }
}

/// Waits until the agent has the service with this aggregated status: passing, warning, critical or
/// maintenance.
#[track_caller]
pub(crate) fn wait_status(consul: &Consul, id: &str, status: &str) -> Value {
    eventually(&format!("service {id} to be {status}"), seconds(10), || {
        let service = consul.service(id);
        match service {
            Some(service) if service["AggregatedStatus"] == status => Ok(service),
            other => Err(format!("{other:?}")),
        }
    })
}

/// Waits until the agent does not have the service.
#[track_caller]
pub(crate) fn wait_gone(consul: &Consul, id: &str) {
    eventually(&format!("service {id} to be gone"), seconds(10), || match consul.service(id) {
        None => Ok(()),
        Some(service) => Err(service),
    });
}

/// The id of an application's service.
pub(crate) fn app_id(asterisk: &Asterisk, name: &str) -> String {
    format!("stasis/{}/{name}", asterisk.entity_id())
}

/// The names of the applications whose events are published, in order.
pub(crate) fn apps(asterisk: &Asterisk) -> Vec<String> {
    let listed = asterisk.ari().get("/amqp").ok()["applications"].clone();
    let names = listed.as_array().cloned().unwrap_or_default();
    names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

/// The names of the applications that the agent has as services of this node, in order.
pub(crate) fn registered_apps(consul: &Consul, asterisk: &Asterisk) -> Vec<String> {
    let prefix = app_id(asterisk, "");
    let services = consul.services();
    let ours = services.iter().filter(|(id, _)| id.starts_with(&prefix));
    let mut names: Vec<String> =
        ours.filter_map(|(_, service)| service["Service"].as_str().map(str::to_owned)).collect();
    names.sort_unstable();
    names
}

#[track_caller]
pub(crate) fn wait_app(consul: &Consul, asterisk: &Asterisk, name: &str) {
    wait_apps(consul, asterisk, &format!("application {name}"), |names| {
        names.iter().any(|known| known == name)
    });
}

/// Waits until the application is registered, for a node whose ARI the rig has no user of.
#[track_caller]
pub(crate) fn wait_app_service(consul: &Consul, asterisk: &Asterisk, name: &str) {
    eventually(&format!("application {name} in Consul"), seconds(20), || {
        let names = registered_apps(consul, asterisk);
        if names.iter().any(|known| known == name) { Ok(()) } else { Err(format!("{names:?}")) }
    });
}

#[track_caller]
pub(crate) fn wait_no_app(consul: &Consul, asterisk: &Asterisk, name: &str) {
    wait_apps(consul, asterisk, &format!("no application {name}"), |names| {
        names.iter().all(|known| known != name)
    });
}

/// Waits until these applications, and no others, are there and registered.
#[track_caller]
pub(crate) fn wait_exactly(consul: &Consul, asterisk: &Asterisk, wanted: &[&str]) {
    let mut wanted: Vec<&str> = wanted.to_vec();
    wanted.sort_unstable();
    wait_apps(consul, asterisk, &format!("applications {wanted:?}"), |names| names == wanted);
}

#[track_caller]
fn wait_apps(consul: &Consul, asterisk: &Asterisk, what: &str, fits: impl Fn(&[String]) -> bool) {
    eventually(&format!("{what}, in Asterisk and in Consul"), seconds(10), || {
        let (there, registered) = (apps(asterisk), registered_apps(consul, asterisk));
        if fits(&there) && fits(&registered) {
            Ok(())
        } else {
            Err(format!("in Asterisk {there:?}, in Consul {registered:?}"))
        }
    });
}

/// `consul show status`, once its state begins with `word`.
#[track_caller]
pub(crate) fn wait_consul(asterisk: &Asterisk, word: &str) -> String {
    eventually(&format!("Consul to be {word}"), seconds(20), || {
        let shown = asterisk.cli("consul show status");
        let state = shown.lines().find_map(|line| line.trim().strip_prefix("State:"));
        match state.map(str::trim) {
            Some(state) if state.starts_with(word) => Ok(shown),
            _ => Err(shown),
        }
    })
}

/// One counter of `consul show status`.
#[track_caller]
pub(crate) fn consul_counter(asterisk: &Asterisk, name: &str) -> u64 {
    let shown = asterisk.cli("consul show status");
    let value = shown.lines().find_map(|line| {
        let value = line.trim().strip_prefix(name)?.strip_prefix(' ')?;
        value.trim().parse().ok()
    });
    value.unwrap_or_else(|| panic!("no counter {name} in:\n{shown}"))
}

/// The lines of the log since a mark that have a text.
pub(crate) fn lines_with(asterisk: &Asterisk, mark: usize, text: &str) -> Vec<String> {
    let log = asterisk.log();
    let new = log.get(mark..).unwrap_or_default().lines();
    new.filter(|line| line.contains(text)).map(str::to_owned).collect()
}

/// The names of the process' threads that are not Asterisk's own.
pub(crate) fn our_threads(asterisk: &Asterisk) -> Vec<String> {
    let tasks = format!("/proc/{}/task", asterisk.process().pid());
    let tasks = std::fs::read_dir(&tasks).unwrap_or_else(|error| panic!("{tasks}: {error}"));
    let named = tasks.flatten().filter_map(|task| {
        let name = std::fs::read_to_string(task.path().join("comm")).ok()?;
        Some(name.trim().to_owned())
    });
    // Asterisk gives its threads no names, so they have the process' own; pjproject does.
    let theirs = ["asterisk", "memcheck-amd64-", "SIP", "timer"];
    named.filter(|name| !theirs.contains(&name.as_str())).collect()
}

/// What an unload of all four modules must leave behind: nothing.
#[track_caller]
pub(crate) fn assert_all_gone(asterisk: &Asterisk) {
    for module in MODULES {
        assert!(!asterisk.process().maps(&format!("{module}.so")), "{module} is still mapped");
    }
    assert_eq!(our_threads(asterisk), [""; 0]);
    let listed = asterisk.cli("core show threads");
    let ours = ["amqp", "lapin", "consul", "discovery", "stasis_app"];
    assert!(!ours.iter().any(|name| listed.contains(name)), "{listed}");
    asterisk.assert_alive();
}

/// What an unload may take, whatever Consul does: two seconds, and what a machine that is busy with
/// other scenarios adds.
const UNLOAD: Duration = seconds(3);

/// Unloads the four modules, each in its time, and looks that nothing is left.
#[track_caller]
pub(crate) fn unload_all_in_time(asterisk: &Asterisk) {
    for module in MODULES.into_iter().rev() {
        unload_in_time(asterisk, module);
    }
    assert_all_gone(asterisk);
}

#[track_caller]
pub(crate) fn unload_in_time(asterisk: &Asterisk, module: &str) {
    let since = Instant::now();
    unload(asterisk, module);
    let took = since.elapsed();
    assert!(took < UNLOAD, "the unload of {module} took {took:?}");
}

/// Lets a time pass in which something is counted.
pub(crate) fn elapse(time: Duration) {
    let since = Instant::now();
    let look = || if since.elapsed() >= time { Ok(()) } else { Err("not yet") };
    eventually("a time to pass", time + seconds(10), look);
}

/// A call that stays in an application once it is in it: its path in ARI.
#[track_caller]
pub(crate) fn call_that_stays(asterisk: &Asterisk, app: &str) -> String {
    let ari = asterisk.ari();
    let call = ari.post(&format!("/channels?endpoint=Local/stay@default&app={app}")).ok();
    eventually(&format!("the call to be in application {app}"), seconds(10), || {
        let told = ari.get(&format!("/applications/{app}")).ok();
        let channels = told["channel_ids"].as_array().cloned().unwrap_or_default();
        if channels.contains(&call["id"]) { Ok(()) } else { Err(told) }
    });
    let call = format!("/channels/{}", call["id"].as_str().expect("an id"));
    // It is subscribed to a moment before the application can do anything with it.
    eventually("the call to be the application's", seconds(10), || {
        match ari.delete(&format!("{call}/silence")) {
            reply if reply.status == 204 => Ok(()),
            reply => Err(reply.body),
        }
    });
    call
}
