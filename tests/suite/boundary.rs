// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The boundary between Asterisk and Rust: panics stay inside, nothing of a module outlives it.

use rig::{Ami, Asterisk, Consul, Version, eventually, seconds};

use crate::fleet::{self, CONSUL, ConsulConf};

on_each_version!(
    a_panic_in_any_callback_leaves_asterisk_running,
    a_panic_in_load_declines_the_module,
    a_panic_in_reload_or_unload_is_a_failure_of_that_call,
    a_panic_at_exit_does_not_keep_asterisk_from_exiting,
    threads_that_end_after_the_unload_do_not_crash,
    threads_that_end_under_a_second_life_do_not_unmap_it,
    a_module_loaded_at_boot_touches_the_main_thread_and_still_goes,
    a_panic_in_the_callback_of_a_watch_ends_nothing,
    a_callback_that_hangs_holds_up_no_other_watch,
);

const CALL: &str = "/channels?endpoint=Local/100@default&extension=100&context=default";

fn node(version: Version) -> Asterisk {
    Asterisk::builder(version)
        .extension("100", &["Answer()", "Set(X=1)", "UserEvent(Here)", "Stasis(boundary)"])
        .installed_module("res_boundary")
        .start()
}

/// On a thread of Asterisk's that lives as long as the connection.
fn touch_by(ami: &Ami) {
    let answer = ami.action("Command", &[("Command", "boundary touch")]);
    let printed: Vec<_> = answer.values("Output").collect();
    assert_eq!(printed, ["touched"], "{answer:?}");
}

fn load(asterisk: &Asterisk) {
    let answer = asterisk.cli("module load res_boundary.so");
    assert!(answer.contains("Loaded res_boundary.so"), "{answer}");
}

fn unload(asterisk: &Asterisk) {
    let answer = asterisk.cli("module unload res_boundary.so");
    assert!(answer.contains("Unloaded res_boundary.so"), "{answer}");
    assert!(!is_mapped(asterisk), "the module is still mapped after its unload");
}

fn is_mapped(asterisk: &Asterisk) -> bool {
    let maps = format!("/proc/{}/maps", asterisk.process().pid());
    let maps = std::fs::read_to_string(&maps).unwrap_or_else(|error| panic!("{maps}: {error}"));
    maps.contains("res_boundary.so")
}

fn a_panic_in_any_callback_leaves_asterisk_running(version: Version) {
    let asterisk = node(version);
    load(&asterisk);
    let ari = asterisk.ari();
    let mut panics = 0;
    let mut expect = |place: &str| {
        panics += 1;
        let logged = asterisk.wait_log(&format!("internal error, caught: on purpose, in {place}"));
        assert!(logged.contains("lib.rs:"), "no file and line in: {logged}");
        eventually("the panic to be counted", seconds(10), || {
            let shown = asterisk.cli("boundary show panics");
            if shown.contains(&format!("panics {panics}")) { Ok(()) } else { Err(shown) }
        });
    };

    asterisk.cli("boundary panic cli");
    expect("cli");

    let joined = asterisk.cli("boundary panic thread");
    assert!(joined.contains("joined Ok(true)"), "{joined}");
    expect("thread");

    asterisk.cli("boundary panic ari");
    assert_eq!(ari.get("/boundary").status, 500);
    expect("ari");
    assert_eq!(ari.get("/boundary").status, 204);

    for place in ["stasis", "hook", "app"] {
        asterisk.cli(&format!("boundary panic {place}"));
        ari.post(CALL).ok();
        expect(place);
    }
    asterisk.assert_alive();
    unload(&asterisk);
}

fn a_panic_in_load_declines_the_module(version: Version) {
    let asterisk = node(version);
    for call in ["load", "start"] {
        asterisk.write_conf("boundary.conf", &format!("[general]\npanic = {call}\n"));
        let answer = asterisk.cli("module load res_boundary.so");
        assert!(answer.contains("Unable to load module res_boundary.so"), "{answer}");
        asterisk.wait_log(&format!("internal error, caught: on purpose, in {call}"));
        asterisk.wait_log("not loaded: it panicked");
    }
    asterisk.write_conf("boundary.conf", "[general]\n");
    load(&asterisk);
    unload(&asterisk);
}

fn a_panic_in_reload_or_unload_is_a_failure_of_that_call(version: Version) {
    let asterisk = node(version);
    load(&asterisk);

    asterisk.write_conf("boundary.conf", "[general]\npanic = reload\n");
    asterisk.cli("module reload res_boundary.so");
    asterisk.wait_log("not reloaded, the configuration before stays: it panicked");

    asterisk.write_conf("boundary.conf", "[general]\npanic = unload\n");
    let answer = asterisk.cli("module unload res_boundary.so");
    assert!(answer.contains("Unable to unload"), "{answer}");
    asterisk.wait_log("not unloaded: it panicked");
    assert!(asterisk.cli("boundary show panics").contains("panics 0"));

    asterisk.write_conf("boundary.conf", "[general]\n");
    unload(&asterisk);
}

fn a_panic_at_exit_does_not_keep_asterisk_from_exiting(version: Version) {
    let asterisk = node(version);
    load(&asterisk);
    asterisk.write_conf("boundary.conf", "[general]\npanic = shutdown\n");
    let status = asterisk.stop_now();
    assert!(status.success(), "{status}");
}

/// Scenario A: a key's destructor in code that is gone, called when the thread ends.
fn threads_that_end_after_the_unload_do_not_crash(version: Version) {
    let asterisk = node(version);
    for _ in 0..5 {
        load(&asterisk);
        let sessions = [asterisk.ami(), asterisk.ami()];
        sessions.iter().for_each(touch_by);
        assert_eq!(asterisk.ari().get("/boundary").status, 204);
        unload(&asterisk);
        drop(sessions);
        wait_for_sessions_to_end(&asterisk);
    }
    asterisk.assert_alive();
}

/// Scenario B: threads that held on to a former life of the module end while it is loaded again,
/// and other modules come and go.
fn threads_that_end_under_a_second_life_do_not_unmap_it(version: Version) {
    let asterisk = node(version);
    for _ in 0..5 {
        load(&asterisk);
        let sessions = [asterisk.ami(), asterisk.ami()];
        sessions.iter().for_each(touch_by);
        unload(&asterisk);
        load(&asterisk);
        sessions.iter().for_each(touch_by);
        drop(sessions);
        wait_for_sessions_to_end(&asterisk);
        let others = asterisk.cli("module unload app_echo.so");
        assert!(others.contains("Unloaded app_echo.so"), "{others}");
        asterisk.cli("module load app_echo.so");
        assert!(is_mapped(&asterisk), "the running module was unmapped");
        assert!(asterisk.cli("boundary touch").contains("touched"));
        unload(&asterisk);
    }
    asterisk.assert_alive();
}

fn a_module_loaded_at_boot_touches_the_main_thread_and_still_goes(version: Version) {
    let asterisk = Asterisk::builder(version).module("res_boundary").start();
    assert!(asterisk.cli("boundary touch").contains("touched"));
    unload(&asterisk);
    load(&asterisk);
    unload(&asterisk);
    assert!(asterisk.stop_gracefully().success());
}

/// Until the threads of all manager and ARI sessions have ended.
fn wait_for_sessions_to_end(asterisk: &Asterisk) {
    eventually("the sessions to end", seconds(20), || {
        let threads = asterisk.cli("core show threads");
        if threads.contains("handle_tcptls_connection") { Err(threads) } else { Ok(()) }
    });
}

const WATCHER: &str = "res_watcher";

/// A node whose module watches the keys below `one/` and `two/`; both are known to have none.
fn watching(version: Version, consul: &Consul) -> Asterisk {
    let asterisk = Asterisk::builder(version)
        .conf("consul.conf", ConsulConf::new(consul.port()).text())
        .installed_module(CONSUL)
        .installed_module(WATCHER)
        .start();
    fleet::load(&asterisk, CONSUL);
    fleet::load(&asterisk, WATCHER);
    for prefix in ["one/", "two/"] {
        asterisk.wait_log(&format!("{prefix} has 0 keys"));
    }
    asterisk
}

fn a_panic_in_the_callback_of_a_watch_ends_nothing(version: Version) {
    let consul = Consul::start();
    let asterisk = watching(version, &consul);
    for round in 1..=3 {
        let mark = asterisk.log_mark();
        consul.kv_put("one/key", "panic");
        let logged = asterisk.wait_log_after(mark, "internal error, caught: on purpose, in the");
        assert!(logged.contains("watch of one/") && logged.contains("lib.rs:"), "{logged}");
        // The same watch tells of the next change, and so does the other.
        consul.kv_put("one/key", format!("good {round}"));
        consul.kv_put("two/key", format!("good {round}"));
        for prefix in ["one/", "two/"] {
            asterisk.wait_log_after(mark, &format!("{prefix}key is 'good {round}'"));
        }
        let caught = asterisk.log()[mark..].matches("internal error, caught").count();
        assert_eq!(caught, 1, "the callback was called again for what it had panicked at");
    }
    fleet::unload(&asterisk, WATCHER);
    consul.kv_put("one/key", "panic");
    fleet::unload(&asterisk, CONSUL);
    for module in [WATCHER, CONSUL] {
        assert!(!asterisk.process().maps(&format!("{module}.so")), "{module} is still mapped");
    }
    asterisk.assert_alive();
}

fn a_callback_that_hangs_holds_up_no_other_watch(version: Version) {
    let consul = Consul::start();
    let asterisk = watching(version, &consul);
    consul.kv_put("one/key", "hold");
    asterisk.wait_log("one/ is held");
    let mark = asterisk.log_mark();
    consul.kv_put("one/key", "later");
    for value in ["a", "b"] {
        consul.kv_put("two/key", value);
        asterisk.wait_log_after(mark, &format!("two/key is '{value}'"));
    }
    assert!(!asterisk.log()[mark..].contains("one/ is released"), "it was not held");
    asterisk.cli("watcher release");
    asterisk.wait_log_after(mark, "one/key is 'later'");

    // An unload waits for the callback, for what it runs in is going; and for a command that was
    // asked for meanwhile.
    consul.kv_put("one/key", "hold");
    asterisk.wait_log_after(mark, "one/ is held");
    std::thread::scope(|scope| {
        let unloading = scope.spawn(|| fleet::unload(&asterisk, WATCHER));
        eventually("the unload to have begun", seconds(10), || {
            // It holds the list of modules, so this does not answer.
            match asterisk.try_cli("module show like res_watcher", seconds(1)) {
                Err(_) => Ok(()),
                Ok(shown) => Err(shown),
            }
        });
        let lingering = scope.spawn(|| asterisk.cli("watcher linger"));
        asterisk.wait_log_after(mark, "a command lingers");
        asterisk.cli("watcher release");
        let answer = lingering.join().expect("the command");
        assert_eq!(answer, "lingered\n");
        unloading.join().expect("the unload");
    });
    assert!(!asterisk.log().contains("command that is in use"), "{}", asterisk.log());
    let answer = asterisk.cli("watcher release");
    assert!(answer.contains("No such command"), "{answer}");
    fleet::unload(&asterisk, CONSUL);
    asterisk.assert_alive();
}
