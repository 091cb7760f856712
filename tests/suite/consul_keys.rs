// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What the watch of keys sees: every change, many at once, and an index that goes backwards.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use rig::{Consul, Proxy, Version, eventually, seconds};

use crate::fleet::{
    CONSUL, ConsulConf, Fleet, MODULES, apps, assert_all_gone, consul_counter, elapse,
    registered_apps, reload, unload, unload_all_in_time, wait_consul,
};

on_each_version!(
    keys_that_are_put_changed_and_deleted_are_followed,
    an_agent_restored_from_an_older_state_is_followed_backwards,
    keys_beside_the_prefix_make_no_storm_of_requests,
    [alone: two_thousand_keys_at_once_are_there_and_gone]
);

fn keys_that_are_put_changed_and_deleted_are_followed(version: Version) {
    let short = |conf: ConsulConf| conf.consul("watch_wait", "2s");
    let fleet = Fleet::with(version, Consul::start(), short);
    let Fleet { consul, asterisk, .. } = &fleet;
    let exactly = |names: &[&str]| crate::fleet::wait_exactly(consul, asterisk, names);
    consul.kv_put("applications/a", "");
    consul.kv_put("applications/b/c", "1");
    consul.kv_put("applications/folder/", "");
    consul.kv_put("application", "");
    consul.kv_put("applicationsx", "");
    consul.kv_put("applications/", "");
    exactly(&["a", "b/c"]);
    consul.kv_put("applications/a", "{\"events\": {\"allowed\": [{\"type\": \"StasisStart\"}]}}");
    eventually("the filter", seconds(10), || {
        let shown = asterisk.ari().get("/applications/a").ok();
        if shown["events_allowed"][0]["type"] == "StasisStart" { Ok(()) } else { Err(shown) }
    });
    // Put and deleted within one answer of Consul's, or not: the end counts.
    for round in 0..30 {
        consul.kv_put("applications/flicker", round.to_string());
        consul.kv_delete("applications/flicker");
    }
    consul.kv_put("applications/d", "");
    exactly(&["a", "b/c", "d"]);
    consul.kv_delete("applications/a");
    exactly(&["b/c", "d"]);
    consul.kv_delete_tree("applications/b");
    exactly(&["d"]);
    consul.kv_delete_tree("applications/");
    exactly(&[]);
    // Below a prefix without any key.
    consul.kv_put("applications/e", "");
    exactly(&["e"]);
    // Of this Consul does not tell a query that waits, if keys below its prefix were deleted before:
    // the index goes back. It is seen when the wait is over.
    consul.kv_delete_tree("");
    exactly(&[]);
    asterisk.assert_alive();
}

fn two_thousand_keys_at_once_are_there_and_gone(version: Version) {
    let fleet = Fleet::start(version);
    let Fleet { consul, asterisk, .. } = &fleet;
    let pairs: Vec<(String, String)> =
        (0..2000).map(|number| (format!("applications/app-{number}"), String::new())).collect();
    // Each application that begins or ends is told to all others there are, by Asterisk itself: the
    // time goes with the square of their number, and is the same where ARI creates them.
    let wait_count = |wanted: usize| {
        let (since, spent) = (Instant::now(), asterisk.process().cpu_time());
        eventually(&format!("{wanted} applications, in both"), seconds(120), || {
            let count = apps(asterisk).len();
            if count != wanted {
                return Err(format!("{count} in Asterisk"));
            }
            let count = registered_apps(consul, asterisk).len();
            if count == wanted { Ok(()) } else { Err(format!("{count} in Consul")) }
        });
        let spent = asterisk.process().cpu_time() - spent;
        println!("{wanted} applications after {:?}, {spent:?} of Asterisk's", since.elapsed());
    };
    consul.kv_put_many(&pairs);
    wait_count(2000);
    consul.kv_delete_tree("applications/");
    wait_count(0);
    consul.kv_put_many(&pairs[..300]);
    wait_count(300);
    // Also an unload takes them all away.
    for module in MODULES.into_iter().rev() {
        unload(asterisk, module);
    }
    assert_eq!(registered_apps(consul, asterisk), [""; 0]);
    assert_all_gone(asterisk);
}

fn an_agent_restored_from_an_older_state_is_followed_backwards(version: Version) {
    let consul = Consul::builder().persistent().start();
    let fleet = Fleet::with(version, consul, |conf| conf);
    let Fleet { consul, asterisk, .. } = &fleet;
    let exactly = |names: &[&str]| crate::fleet::wait_exactly(consul, asterisk, names);
    consul.kv_put("applications/old", "");
    consul.kv_put("applications/both", "");
    exactly(&["both", "old"]);
    let snapshot = consul.snapshot();
    for round in 0..50 {
        consul.kv_put("applications/both", round.to_string());
    }
    consul.kv_delete("applications/old");
    consul.kv_put("applications/new", "");
    exactly(&["both", "new"]);

    consul.restore(&snapshot);
    exactly(&["both", "old"]);
    // And on from there: by an index that was seen already.
    consul.kv_put("applications/later", "");
    exactly(&["both", "later", "old"]);
    fleet.wait_passing();
    unload_all_in_time(asterisk);
}

fn keys_beside_the_prefix_make_no_storm_of_requests(version: Version) {
    let fleet = Fleet::start(version);
    let Fleet { consul, asterisk, .. } = &fleet;
    let proxy = Proxy::to(consul.port());
    asterisk.write_conf("consul.conf", &ConsulConf::new(proxy.port()).text());
    reload(asterisk, CONSUL);
    wait_consul(asterisk, "reachable");
    // A query below a prefix without a key is answered at every write of any key.
    let ended = AtomicBool::new(false);
    let (writes, asked, took) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut writes = 0;
            while !ended.load(Ordering::Relaxed) {
                consul.kv_put("other/key", writes.to_string());
                writes += 1;
            }
            writes
        });
        let (before, since) = (proxy.requests_to("/v1/kv/"), Instant::now());
        elapse(seconds(3));
        let (asked, took) = (proxy.requests_to("/v1/kv/") - before, since.elapsed());
        ended.store(true, Ordering::Relaxed);
        (writer.join().expect("it writes"), asked, took)
    });
    assert!(writes > 100, "only {writes} writes");
    assert!(
        asked as f64 / took.as_secs_f64() < 15.0,
        "{asked} requests in {took:?}, {writes} writes"
    );
    assert!(consul_counter(asterisk, "limited") > 0);
    // It is not blind meanwhile.
    consul.kv_put("applications/seen", "");
    fleet.wait_app("seen");
}
