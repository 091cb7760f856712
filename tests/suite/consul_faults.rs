// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A network between the node and Consul that does what networks do: nothing spins, nothing hangs,
//! and at the end all is as the keys say.

use std::time::{Duration, Instant};

use rig::{Asterisk, BlackHole, Broker, Consul, Proxy, Tenant, Version, eventually, seconds};

use crate::fleet::{
    APPS, CONSUL, ConsulConf, DISCOVERY, app_id, consul_counter, elapse, lines_with, load,
    load_all, node, reload, unload, unload_all_in_time, unload_in_time, wait_consul, wait_exactly,
    wait_gone, wait_status,
};
use crate::pair::{self, AmqpConf};

on_each_version!(
    a_network_that_fails_in_every_way_leaves_the_right_state_and_never_spins,
    connections_that_are_cut_again_and_again_make_no_storm,
    an_unload_takes_no_time_whatever_the_network_does,
    an_agent_that_is_frozen_or_swallows_connects_holds_up_no_unload,
    a_reload_ends_what_is_in_flight_at_once,
    a_key_that_changes_after_the_unload_calls_nobody,
);

/// A node whose way to Consul is the proxy, with timeouts that a test can wait for.
struct Remote {
    asterisk: Asterisk,
    proxy: Proxy,
    consul: Consul,
    _tenant: Tenant<'static>,
}

impl Remote {
    fn start(version: Version) -> Self {
        let (consul, tenant) = (Consul::start(), Broker::shared().tenant());
        let proxy = Proxy::to(consul.port());
        let amqp = AmqpConf::new(&tenant.url()).text();
        let asterisk = node(version, &amqp, &conf(proxy.port())).start();
        let remote = Self { asterisk, proxy, consul, _tenant: tenant };
        remote.load();
        remote
    }

    /// Loads the modules and waits until all is well.
    #[track_caller]
    fn load(&self) {
        load_all(&self.asterisk);
        pair::wait_for_state(&self.asterisk, "connected");
        wait_status(&self.consul, self.asterisk.entity_id(), "passing");
        wait_consul(&self.asterisk, "reachable");
    }

    #[track_caller]
    fn wait_exactly(&self, names: &[&str]) {
        wait_exactly(&self.consul, &self.asterisk, names);
    }
}

fn conf(port: u16) -> ConsulConf {
    ConsulConf::new(port)
        .consul("connect_timeout", "500ms")
        .consul("request_timeout", "1s")
        .consul("watch_wait", "5s")
        .discovery("check_interval", "3s")
}

/// One way in which a network fails.
#[derive(Clone, Copy, Debug)]
enum Weather {
    /// Nobody listens any more, and what was connected is reset.
    Refused,
    /// Requests arrive, answers do not.
    Swallowed,
    /// Nothing arrives, nothing is said.
    Silent,
    /// All arrives too late.
    Late,
    /// Connections are accepted and reset: what stands before Consul has lost it.
    Reset,
}

const ALL: [Weather; 5] =
    [Weather::Refused, Weather::Swallowed, Weather::Silent, Weather::Late, Weather::Reset];

impl Weather {
    fn begin(self, remote: &Remote) {
        let Remote { proxy, consul, .. } = remote;
        match self {
            Self::Refused => {
                proxy.refuse();
                proxy.cut();
            }
            Self::Swallowed => proxy.swallow(),
            Self::Silent => proxy.black_hole(),
            Self::Late => proxy.delay(seconds(8)),
            Self::Reset => {
                consul.kill();
                proxy.cut();
            }
        }
    }

    fn end(self, remote: &Remote) {
        if matches!(self, Self::Reset) {
            remote.consul.start_again();
        }
        remote.proxy.pass();
    }
}

/// What is spent while nothing can come of it: tries, connections, and the time of the processor.
struct Effort {
    tries: u64,
    connections: usize,
    time: Duration,
}

impl Effort {
    fn so_far(remote: &Remote) -> Self {
        Self {
            tries: consul_counter(&remote.asterisk, "requests"),
            connections: remote.proxy.connections(),
            time: remote.asterisk.process().cpu_time(),
        }
    }
}

fn a_network_that_fails_in_every_way_leaves_the_right_state_and_never_spins(version: Version) {
    let remote = Remote::start(version);
    let Remote { asterisk, consul, .. } = &remote;
    let persistent = ["one", "two"];
    for name in persistent {
        consul.kv_put(&format!("applications/{name}"), "");
    }
    remote.wait_exactly(&persistent);
    for weather in ALL {
        let mark = asterisk.log_mark();
        weather.begin(&remote);
        wait_consul(asterisk, "unreachable");
        let (before, since) = (Effort::so_far(&remote), Instant::now());
        if !matches!(weather, Weather::Reset) {
            consul.kv_put("applications/three", "");
            consul.kv_delete("applications/one");
        }
        // Long enough that the pauses have grown.
        elapse(seconds(3));
        let later = Effort::so_far(&remote);
        // Three threads ask, each with pauses that grow from a quarter of a second.
        let tries = later.tries - before.tries;
        assert!(tries < 80, "{weather:?}: {tries} tries in {:?}", since.elapsed());
        let connections = later.connections - before.connections;
        assert!(connections < 80, "{weather:?}: {connections} connections");
        let time = later.time - before.time;
        assert!(time < seconds(1), "{weather:?}: {time:?} of processor time");
        // Once; again only where an answer was on its way yet.
        let told = lines_with(asterisk, mark, "is unreachable: ");
        assert!((1..=2).contains(&told.len()), "{weather:?}: {told:#?}");

        weather.end(&remote);
        if matches!(weather, Weather::Reset) {
            // In development mode all keys are gone with it.
            consul.kv_put("applications/two", "");
            consul.kv_put("applications/three", "");
        }
        remote.wait_exactly(&["three", "two"]);
        wait_status(consul, asterisk.entity_id(), "passing");
        wait_consul(asterisk, "reachable");
        consul.kv_delete("applications/three");
        consul.kv_put("applications/one", "");
        remote.wait_exactly(&persistent);
    }
    unload_all_in_time(asterisk);
}

fn connections_that_are_cut_again_and_again_make_no_storm(version: Version) {
    let remote = Remote::start(version);
    let Remote { asterisk, consul, proxy, .. } = &remote;
    consul.kv_put("applications/one", "");
    remote.wait_exactly(&["one"]);
    let (before, mark, since) = (Effort::so_far(&remote), asterisk.log_mark(), Instant::now());
    for round in 0..40 {
        proxy.cut();
        consul.kv_put("applications/one", round.to_string());
        elapse(Duration::from_millis(100));
    }
    let later = Effort::so_far(&remote);
    let connections = later.connections - before.connections;
    assert!(connections < 120, "{connections} connections in {:?}", since.elapsed());
    let tries = later.tries - before.tries;
    assert!(tries < 120, "{tries} tries in {:?}", since.elapsed());
    let told = lines_with(asterisk, mark, "WARNING[").len();
    assert!(told < 20, "{told} warnings in {:?}\n{}", since.elapsed(), &asterisk.log()[mark..]);
    consul.kv_delete("applications/one");
    consul.kv_put("applications/two", "");
    remote.wait_exactly(&["two"]);
    unload_all_in_time(asterisk);
}

fn an_unload_takes_no_time_whatever_the_network_does(version: Version) {
    let remote = Remote::start(version);
    let Remote { asterisk, consul, .. } = &remote;
    // With the timeouts of the defaults, so that no unload waits for one of them.
    let conf = ConsulConf::new(remote.proxy.port());
    asterisk.write_conf("consul.conf", &conf.text());
    for (index, weather) in ALL.into_iter().enumerate() {
        if index > 0 {
            remote.load();
        } else {
            reload(asterisk, CONSUL);
        }
        let name = format!("{index}");
        consul.kv_put(&format!("applications/{name}"), "");
        crate::fleet::wait_app(consul, asterisk, &name);
        weather.begin(&remote);
        // So that something is surely under way: an application's end, and its deregistration.
        let answer = asterisk.ari().delete(&format!("/amqp/{name}"));
        assert!(answer.status < 500, "{answer:?}");
        unload_all_in_time(asterisk);
        weather.end(&remote);
    }
    remote.load();
    unload_all_in_time(asterisk);
    wait_gone(consul, asterisk.entity_id());
}

fn an_agent_that_is_frozen_or_swallows_connects_holds_up_no_unload(version: Version) {
    let remote = Remote::start(version);
    let Remote { asterisk, consul, .. } = &remote;
    asterisk.write_conf("consul.conf", &ConsulConf::new(consul.port()).text());
    reload(asterisk, CONSUL);
    consul.kv_put("applications/frozen", "");
    remote.wait_exactly(&["frozen"]);
    consul.freeze();
    let since = Instant::now();
    for command in ["consul show status", "consul show applications", "discovery show status"] {
        asterisk.cli(command);
    }
    assert!(since.elapsed() < seconds(2), "commands took {:?}", since.elapsed());
    unload_all_in_time(asterisk);

    // Loaded while it is frozen: nothing waits for it.
    let since = Instant::now();
    load_all(asterisk);
    assert!(since.elapsed() < seconds(4), "the loads took {:?}", since.elapsed());
    unload_all_in_time(asterisk);
    load_all(asterisk);
    consul.thaw();
    wait_status(consul, asterisk.entity_id(), "passing");
    remote.wait_exactly(&["frozen"]);

    let hole = BlackHole::new();
    asterisk.write_conf("consul.conf", &ConsulConf::new(hole.port()).text());
    reload(asterisk, CONSUL);
    wait_consul(asterisk, "un");
    unload_all_in_time(asterisk);
    load_all(asterisk);
    unload_all_in_time(asterisk);
}

fn a_reload_ends_what_is_in_flight_at_once(version: Version) {
    let remote = Remote::start(version);
    let Remote { asterisk, consul, proxy, .. } = &remote;
    let conf = ConsulConf::new(proxy.port());
    asterisk.write_conf("consul.conf", &conf.text());
    reload(asterisk, CONSUL);
    consul.kv_put("applications/first", "");
    remote.wait_exactly(&["first"]);
    // The watch waits for an answer that does not come, for a minute.
    proxy.swallow();
    consul.kv_put("applications/second", "");
    asterisk.write_conf("consul.conf", &ConsulConf::new(consul.port()).text());
    let since = Instant::now();
    reload(asterisk, CONSUL);
    assert!(since.elapsed() < seconds(1), "the reload took {:?}", since.elapsed());
    remote.wait_exactly(&["first", "second"]);
    assert!(since.elapsed() < seconds(6), "there after {:?}", since.elapsed());
    eventually("nothing to be left of the old way", seconds(5), || {
        match proxy.open_connections() {
            0 => Ok(()),
            count => Err(count),
        }
    });
    unload_all_in_time(asterisk);
}

fn a_key_that_changes_after_the_unload_calls_nobody(version: Version) {
    let remote = Remote::start(version);
    let Remote { asterisk, consul, proxy, .. } = &remote;
    consul.kv_put("applications/one", "");
    remote.wait_exactly(&["one"]);
    // The predecessor's watch lived on, and called into code that was not there any more.
    unload_in_time(asterisk, APPS);
    wait_gone(consul, &app_id(asterisk, "one"));
    eventually("the watch's connection to end", seconds(5), || {
        let shown = asterisk.cli("consul show status");
        if shown.contains("applications/") { Err(shown) } else { Ok(()) }
    });
    let asked = proxy.requests_to("/v1/kv/");
    for round in 0..20 {
        consul.kv_put("applications/two", round.to_string());
        consul.kv_delete("applications/one");
        consul.kv_put("applications/one", "");
    }
    asterisk.assert_alive();
    assert_eq!(proxy.requests_to("/v1/kv/"), asked);

    load(asterisk, APPS);
    remote.wait_exactly(&["one", "two"]);
    // The same with the connection itself, which others need and so must go after them.
    unload_in_time(asterisk, APPS);
    unload(asterisk, DISCOVERY);
    unload_in_time(asterisk, CONSUL);
    let asked = proxy.requests();
    for round in 0..20 {
        consul.kv_put("applications/two", round.to_string());
    }
    assert_eq!((proxy.requests(), proxy.open_connections()), (asked, 0));
    asterisk.assert_alive();
}
