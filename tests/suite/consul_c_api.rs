// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! `include/asterisk/consul.h`, by a C module that is compiled here and calls it.

use rig::c_module::compile;
use rig::folder::Folder;
use rig::{Asterisk, Consul, Version};
use serde_json::json;

use crate::fleet::{CONSUL, ConsulConf, load, node, unload};

on_each_version!(
    a_c_module_registers_and_deregisters_a_service,
    a_c_module_reads_and_writes_keys,
    a_c_module_watches_keys_and_values,
    a_c_module_makes_any_request,
    careless_calls_are_refused,
    res_consul_stays_while_a_c_module_needs_it,
    only_what_the_header_declares_is_exported,
);

/// A node with res_consul and the C module loaded.
fn start(version: Version, port: u16, folder: &Folder) -> Asterisk {
    let file = compile(version, folder, "cc", include_str!("consul_caller.c"));
    let node = node(version, "", &ConsulConf::new(port)).module_file("cc", &file, false);
    let asterisk = node.start();
    load(&asterisk, CONSUL);
    load(&asterisk, "cc");
    asterisk
}

#[track_caller]
fn assert_answers(asterisk: &Asterisk, command: &str, answer: &str) {
    let given = asterisk.cli(&format!("cc {command}"));
    assert_eq!(given.trim(), answer, "cc {command}\n{}", asterisk.log());
}

fn a_c_module_registers_and_deregisters_a_service(version: Version) {
    let (consul, folder) = (Consul::start(), Folder::new("c"));
    let asterisk = start(version, consul.port(), &folder);
    assert_answers(&asterisk, "register", "returned 1");
    let service = consul.service("cc-id").expect("a service")["Service"].clone();
    assert_eq!(service["Service"], "cc");
    assert_eq!((&service["Address"], &service["Port"]), (&json!("127.0.0.9"), &json!(5099)));
    assert_eq!(service["Tags"], json!(["one", "two"]));
    assert_eq!(service["Meta"], json!({"key": "value", "other": "with blanks"}));
    assert_eq!(consul.checks_of("cc-id").len(), 1);

    assert_answers(&asterisk, "maintenance \"100% of a reason & more\"", "returned 1");
    assert_eq!(consul.maintenance_of("cc-id").as_deref(), Some("100% of a reason & more"));
    assert_answers(&asterisk, "maintenance", "returned 1");
    assert_eq!(consul.maintenance_of("cc-id"), None);
    assert_answers(&asterisk, "deregister cc-id", "returned 1");
    assert_eq!(consul.service("cc-id"), None);
    assert_answers(&asterisk, "maintenance again", "returned 0");
}

fn a_c_module_reads_and_writes_keys(version: Version) {
    let (consul, folder) = (Consul::start(), Folder::new("c"));
    let asterisk = start(version, consul.port(), &folder);
    for key in
        ["plain", "with blank", "a//b/../c", "%41?#&=+", "schl\u{fc}ssel/\u{1f600}", "folder/"]
    {
        assert_answers(&asterisk, &format!("get \"cc/{key}\""), "returned 0: NULL (0)");
        assert_answers(&asterisk, &format!("put \"cc/{key}\" \"v\u{e4}lue\""), "returned 1");
        assert_answers(&asterisk, &format!("get \"cc/{key}\""), "returned 1: v\u{e4}lue (6)");
        assert_eq!(consul.kv_keys("cc/"), [format!("cc/{key}")]);
        assert_answers(&asterisk, &format!("put \"cc/{key}\""), "returned 1");
        assert_answers(&asterisk, &format!("get \"cc/{key}\""), "returned 1:  (0)");
        assert_answers(&asterisk, &format!("delete \"cc/{key}\""), "returned 1");
        assert_eq!(consul.kv_keys("cc/"), [""; 0]);
    }
    assert_answers(&asterisk, &format!("get {}", "long".repeat(60)), "returned 0: NULL (0)");
    consul.kv_put_many(&[("cc/a", "1"), ("cc/b/c", "2"), ("other", "3")]);
    assert_answers(&asterisk, "delete-tree cc/", "returned 1");
    assert_eq!(consul.kv_keys(""), ["other"]);
    consul.kill();
    assert_answers(&asterisk, "get other", "returned -1: NULL (0)");
    assert_answers(&asterisk, "put other 4", "returned 0");
    asterisk.assert_alive();
}

fn a_c_module_watches_keys_and_values(version: Version) {
    let (consul, folder) = (Consul::start(), Folder::new("c"));
    let asterisk = start(version, consul.port(), &folder);
    assert_answers(&asterisk, "watch-keys cc/", "returned 0");
    assert_answers(&asterisk, "watch-keys cc/", "returned -1");
    assert_answers(&asterisk, "watch cc/", "returned a watch");
    asterisk.wait_log("keys: 0");
    asterisk.wait_log("pairs: 0, data 42");

    let mark = asterisk.log_mark();
    consul.kv_put("cc/\u{fc}ber//alles", "value");
    asterisk.wait_log_after(mark, "key 0: cc/\u{fc}ber//alles");
    asterisk.wait_log_after(mark, "pair cc/\u{fc}ber//alles = value (5 bytes, flags 0, index 1)");
    let mark = asterisk.log_mark();
    consul.kv_put("cc/\u{fc}ber//alles", "");
    asterisk.wait_log_after(mark, "(0 bytes, flags 0, index 1)");

    // From within its callback a watch can end itself; the other goes on.
    consul.kv_put("cc/stop", "");
    asterisk.wait_log("unwatch from within returned 0");
    assert_answers(&asterisk, "unwatch-keys cc/", "returned -1");
    let mark = asterisk.log_mark();
    consul.kv_put("cc/more", "seen");
    asterisk.wait_log_after(mark, "pair cc/more = seen");
    assert!(!asterisk.log()[mark..].contains("key 0:"), "{}", &asterisk.log()[mark..]);
    assert_answers(&asterisk, "unwatch", "returned");
    assert_answers(&asterisk, "watch-keys cc/", "returned 0");
    asterisk.wait_log_after(mark, "unwatch from within returned 0");

    unload(&asterisk, "cc");
    consul.kv_put("cc/after", "");
    unload(&asterisk, CONSUL);
    asterisk.assert_alive();
}

fn a_c_module_makes_any_request(version: Version) {
    let (consul, folder) = (Consul::start(), Folder::new("c"));
    let asterisk = start(version, consul.port(), &folder);
    let answer = asterisk.cli("cc request GET /v1/status/leader");
    assert!(answer.starts_with("returned 0, status 200, body \"127.0.0.1:"), "{answer}");
    assert!(answer.contains("afterwards returned -1, status 0"), "{answer}");
    let answer = asterisk.cli("cc request PUT /v1/kv/cc/put hello");
    assert!(answer.starts_with("returned 0, status 200, body true"), "{answer}");
    assert_eq!(consul.kv_keys("cc/"), ["cc/put"]);
    let answer = asterisk.cli("cc request GET /v1/no/such/thing");
    assert!(answer.starts_with("returned 0, status 404"), "{answer}");
    for (method, path) in [("GET", "/ui"), ("GET", "\"/v1/kv/a b\""), ("BREW", "/v1/status/leader")]
    {
        let answer = asterisk.cli(&format!("cc request {method} {path}"));
        assert!(answer.starts_with("returned -1, status 0, body "), "{method} {path}: {answer}");
    }
    let shown = asterisk.cli("cc status");
    assert!(shown.contains("returned -1\nreturned 0\nstate 2, answered 1, "), "{shown}");
    consul.kill();
    let shown = rig::eventually("the status to tell of it", rig::seconds(30), || {
        let shown = asterisk.cli("cc status");
        if shown.contains("state 3") { Ok(shown) } else { Err(shown) }
    });
    assert!(shown.contains("failed 1") && !shown.contains("why ''"), "{shown}");
}

fn careless_calls_are_refused(version: Version) {
    let (consul, folder) = (Consul::start(), Folder::new("c"));
    let asterisk = start(version, consul.port(), &folder);
    assert_answers(&asterisk, "nulls", "returned 0 0 -1 -1 0 0 0 -1");
    assert_answers(&asterisk, "get", "returned -1: NULL (0)");
    asterisk.assert_alive();
}

fn res_consul_stays_while_a_c_module_needs_it(version: Version) {
    let (consul, folder) = (Consul::start(), Folder::new("c"));
    let asterisk = start(version, consul.port(), &folder);
    let refused = asterisk.cli("module unload res_consul.so");
    assert!(refused.contains("Unable to unload resource res_consul.so"), "{refused}");
    unload(&asterisk, "cc");
    unload(&asterisk, CONSUL);
    load(&asterisk, CONSUL);
    load(&asterisk, "cc");
    assert_answers(&asterisk, "put cc/again yes", "returned 1");
    assert_eq!(consul.kv_keys("cc/"), ["cc/again"]);
}

/// The names that a module's file offers to others.
fn exported(version: Version, module: &str) -> Vec<String> {
    let file = version.artefact(module);
    let listed = std::process::Command::new("nm")
        .args(["-D", "--defined-only", "--format=posix"])
        .arg(&file)
        .output()
        .expect("nm starts");
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let names = String::from_utf8_lossy(&listed.stdout).into_owned();
    let mut names: Vec<String> =
        names.lines().filter_map(|line| line.split(' ').next().map(str::to_owned)).collect();
    names.sort_unstable();
    names
}

/// The functions that a header declares.
fn declared(header: &str) -> Vec<String> {
    let mut names: Vec<String> = header
        .match_indices("ast_")
        .filter_map(|(at, _)| {
            let name: String = header[at..]
                .chars()
                .take_while(|letter| letter.is_alphanumeric() || *letter == '_')
                .collect();
            let before = header[..at].chars().next_back().unwrap_or(' ');
            let after = header[at + name.len()..].chars().next().unwrap_or(' ');
            let line = header[..at].rsplit('\n').next().unwrap_or_default();
            let comment = line.trim_start().starts_with('*') || line.contains("/*");
            (after == '(' && (before == ' ' || before == '*') && !comment).then_some(name)
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn only_what_the_header_declares_is_exported(version: Version) {
    let consul = declared(include_str!("../../include/asterisk/consul.h"));
    assert!(consul.len() > 15, "{consul:?}");
    let amqp = declared(include_str!("../../include/asterisk/stasis_amqp.h"));
    assert!(amqp.len() > 1, "{amqp:?}");
    assert_eq!(exported(version, CONSUL), consul);
    assert_eq!(exported(version, "res_stasis_amqp"), amqp);
    for module in ["res_consul_discovery", "res_consul_stasis_app"] {
        assert_eq!(exported(version, module), [""; 0], "{module}");
    }
}
