// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A node that is registered in Consul, without RabbitMQ and applications.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rig::wait::poll;
use rig::{Asterisk, Builder, Consul, Version, eventually, seconds};
use serde_json::Value;

use crate::fleet::{
    CONSUL, ConsulConf, DISCOVERY, load, node, reload, unload, wait_gone, wait_status,
};

/// A node with `res_consul` and `res_consul_discovery` loaded, and its agent.
pub(crate) struct Member {
    pub(crate) consul: Consul,
    pub(crate) asterisk: Asterisk,
}

impl Member {
    /// With an agent in development mode; it is registered and passing.
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
        let conf = change(quick(consul.port()));
        let asterisk = furnish(node(version, "", &conf)).start();
        register(&asterisk);
        let member = Self { consul, asterisk };
        member.wait("passing");
        member
    }

    /// One that has the modules loaded whenever it starts.
    pub(crate) fn from_boot(version: Version, consul: Consul) -> Self {
        let node = node(version, "", &quick(consul.port())).load(CONSUL).load(DISCOVERY);
        let member = Self { asterisk: node.start(), consul };
        member.wait("passing");
        member
    }

    /// The id it is registered with by default.
    pub(crate) fn id(&self) -> &str {
        self.asterisk.entity_id()
    }

    /// The configuration it has, to be changed and reloaded.
    pub(crate) fn conf(&self) -> ConsulConf {
        quick(self.consul.port())
    }

    #[track_caller]
    pub(crate) fn reload(&self, conf: &ConsulConf) {
        self.asterisk.write_conf("consul.conf", &conf.text());
        reload(&self.asterisk, DISCOVERY);
    }

    /// Waits until it is registered with this aggregated status.
    #[track_caller]
    pub(crate) fn wait(&self, status: &str) -> Value {
        wait_status(&self.consul, self.id(), status)
    }

    #[track_caller]
    pub(crate) fn wait_gone(&self) {
        wait_gone(&self.consul, self.id());
    }

    /// Waits until it is in maintenance for this reason.
    #[track_caller]
    pub(crate) fn wait_maintenance(&self, reason: &str) {
        wait_maintenance(&self.consul, self.id(), reason);
    }
}

/// As [`ConsulConf::new`], and the node looks every second.
pub(crate) fn quick(port: u16) -> ConsulConf {
    ConsulConf::new(port).discovery("check_interval", "3s")
}

#[track_caller]
pub(crate) fn register(asterisk: &Asterisk) {
    load(asterisk, CONSUL);
    load(asterisk, DISCOVERY);
}

/// Unloads both modules, and looks that nothing of them is left.
#[track_caller]
pub(crate) fn unregister(asterisk: &Asterisk) {
    for module in [DISCOVERY, CONSUL] {
        unload(asterisk, module);
        assert_gone(asterisk, module);
    }
}

/// What an unload must leave behind: nothing.
#[track_caller]
pub(crate) fn assert_gone(asterisk: &Asterisk, module: &str) {
    assert!(!asterisk.process().maps(&format!("{module}.so")), "{module} is still mapped");
    let listed = asterisk.cli("core show threads");
    let of_module = |line: &&str| match module {
        DISCOVERY => line.contains("discovery"),
        _ => line.contains("consul"),
    };
    assert_eq!(listed.lines().find(of_module), None);
    asterisk.assert_alive();
}

#[track_caller]
pub(crate) fn wait_maintenance(consul: &Consul, id: &str, reason: &str) {
    eventually(&format!("maintenance of {id} for {reason:?}"), seconds(10), || {
        match consul.maintenance_of(id) {
            Some(found) if found == reason => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
}

#[track_caller]
pub(crate) fn wait_no_maintenance(consul: &Consul, id: &str) {
    eventually(&format!("no maintenance of {id}"), seconds(10), || {
        match (consul.service(id), consul.maintenance_of(id)) {
            (Some(_), None) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
}

/// What its check says, once it says this in part, with this status.
#[track_caller]
pub(crate) fn wait_output(consul: &Consul, id: &str, status: &str, part: &str) -> String {
    let within = seconds(20);
    eventually(&format!("the check of {id} to be {status}: {part}"), within, || {
        let mut checks = consul.checks_of(id);
        let check = checks.remove(&format!("service:{id}")).unwrap_or_default();
        let output = check["Output"].as_str().unwrap_or_default().to_owned();
        let fits = check["Status"] == status && output.contains(part);
        if fits { Ok(output) } else { Err(check) }
    })
}

/// The statuses that a service had meanwhile, looked at all the time; `gone` while there was none.
pub(crate) fn statuses<T>(
    consul: &Consul,
    id: &str,
    meanwhile: impl FnOnce() -> T,
) -> (BTreeSet<String>, T) {
    struct Ends<'a>(&'a AtomicBool);
    impl Drop for Ends<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    let has_ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let mut seen = BTreeSet::new();
            let _ = poll(seconds(600), || {
                let service = consul.service(id).unwrap_or_default();
                seen.insert(service["AggregatedStatus"].as_str().unwrap_or("gone").to_owned());
                if has_ended.load(Ordering::SeqCst) { Ok(()) } else { Err(()) }
            });
            seen
        });
        let result = {
            let _ends = Ends(&has_ended);
            meanwhile()
        };
        (looking.join().expect("the looking thread"), result)
    })
}

/// What the agent made of the checks that it was given; `Value::Null` for one it does not have.
/// The API does not tell that, but an agent with data on disk keeps it there.
pub(crate) fn definition(consul: &Consul, id: &str) -> Value {
    let folder = consul.folder().join("data/checks");
    let files = std::fs::read_dir(&folder);
    let files = files.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let parsed = files.flatten().filter_map(|file| {
        let text = std::fs::read(file.path()).ok()?;
        serde_json::from_slice::<Value>(&text).ok()
    });
    let mut ours = parsed.filter(|check| check["Check"]["ServiceID"] == id);
    ours.find_map(|check| check.get("ChkType").cloned()).unwrap_or_default()
}
