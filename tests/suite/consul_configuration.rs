// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! `[consul]` of `consul.conf` as Asterisk reads it: what is wrong is said exactly, and never costs
//! what runs.

use rig::{Asterisk, Consul, Version, seconds};

use crate::configuration::unreadable;
use crate::fleet::{
    AMQP, APPS, CONSUL, ConsulConf, DISCOVERY, Fleet, lines_with, load, node, unload, wait_consul,
    wait_status,
};

on_each_version!(
    a_bad_value_declines_the_module_and_is_told_exactly,
    a_bad_value_at_reload_leaves_what_runs,
    unknown_names_are_warned_of_with_the_nearest_and_the_rest_applies,
    without_a_file_the_defaults_apply_and_a_broken_one_declines,
    what_is_off_asks_nothing,
);

/// Options of `[consul]` with values that cannot be, and what is said of each.
fn faults(asterisk: &Asterisk) -> Vec<(&'static str, String, String)> {
    let etc = asterisk.folder().join("etc");
    asterisk.write_conf("empty", "");
    let empty = etc.join("empty").display().to_string();
    let missing = "cannot be read: No such file or directory (os error 2)";
    let duration = "must be a number with a unit, such as 250ms, 5s, 2m or 1h";
    let bad = |name: &'static str, value: &str, reason: &str| {
        (name, value.to_owned(), format!("{name} = '{value}': {reason}"))
    };
    let alone = |name: &'static str, other: &str| {
        let file = etc.join("asterisk.conf").display().to_string();
        (name, file, format!("{name} is given without {other}"))
    };
    vec![
        bad("host", "http://consul", "must be a name or an address, without scheme, port and path"),
        bad("host", "[::1]", "an IPv6 address stands here without brackets"),
        bad("port", "0", "must be between 1 and 65535"),
        bad("port", "65536", "must be between 1 and 65535"),
        bad("scheme", "ftp", "must be one of http, https"),
        bad("token_file", "/nowhere/token", missing),
        bad("token_file", &empty, "its first line is empty"),
        bad("connect_timeout", "5", duration),
        bad("connect_timeout", "2m", "must be between 100ms and 1m"),
        bad("request_timeout", "0s", "must be between 100ms and 5m"),
        bad("watch_wait", "11m", "must be between 1s and 10m"),
        bad("ca_file", "/nowhere/ca", missing),
        bad("ca_file", &empty, "is empty"),
        bad("verify", "perhaps", "must be yes or no"),
        alone("cert_file", "key_file"),
        alone("key_file", "cert_file"),
    ]
}

/// The line of an option in the file, from 1.
fn line_of(conf: &ConsulConf, option: &str) -> usize {
    let begins = |line: &str| line.split(' ').next() == Some(option);
    1 + conf.text().lines().position(begins).expect("the option is in the file")
}

/// The errors of the log since a mark that are about the file.
fn told(asterisk: &Asterisk, mark: usize, level: &str) -> Vec<String> {
    let ours = lines_with(asterisk, mark, level);
    let text = |line: &String| line.split_once(".rs: ").map(|(_, text)| text.to_owned());
    ours.iter().filter_map(text).collect()
}

fn a_bad_value_declines_the_module_and_is_told_exactly(version: Version) {
    let consul = Consul::start();
    let good = ConsulConf::new(consul.port());
    let asterisk = node(version, "", &good).start();
    for (option, value, message) in faults(&asterisk) {
        let conf = good.clone().consul(option, &value);
        asterisk.write_conf("consul.conf", &conf.text());
        let mark = asterisk.log_mark();
        let answer = asterisk.cli("module load res_consul.so");
        assert!(answer.contains("Unable to load module res_consul.so"), "{answer}");
        let expected = [
            format!("consul.conf: [consul] line {}: {message}", line_of(&conf, option)),
            "not loaded: an error in consul.conf, see above".to_owned(),
        ];
        asterisk.wait_log_after(mark, &expected[1]);
        assert_eq!(told(&asterisk, mark, "ERROR["), expected);
    }
    let two = good.clone().consul("port", "x").consul("watch_wait", "y");
    asterisk.write_conf("consul.conf", &two.text());
    asterisk.cli("module load res_consul.so");
    asterisk.wait_log("not loaded: 2 errors in consul.conf, see above");
    asterisk.write_conf("consul.conf", &format!("{}[consul]\nport = 1\n", good.text()));
    asterisk.cli("module load res_consul.so");
    asterisk.wait_log("consul.conf: [consul]: the section is there twice");

    asterisk.write_conf("consul.conf", &good.text());
    load(&asterisk, CONSUL);
    asterisk.assert_alive();
}

fn a_bad_value_at_reload_leaves_what_runs(version: Version) {
    let fleet = Fleet::start(version);
    let asterisk = &fleet.asterisk;
    let settings = asterisk.cli("consul show settings");
    for (option, value, message) in faults(asterisk) {
        asterisk.write_conf("consul.conf", &fleet.conf().consul(option, &value).text());
        let mark = asterisk.log_mark();
        let answer = asterisk.cli("module reload res_consul.so");
        assert!(answer.contains("reported a reload failure"), "{answer}");
        // Its last line.
        asterisk.wait_log_after(mark, "not reloaded, the configuration before stays");
        let told = told(asterisk, mark, "ERROR[");
        assert!(told.iter().any(|line| line.ends_with(&message)), "{message}: {told:?}");
        assert_eq!(asterisk.cli("consul show settings"), settings);
    }
    // The connection is there as before, and the watch.
    fleet.consul.kv_put("applications/still", "");
    fleet.wait_app("still");
    fleet.reload(CONSUL, &fleet.conf());
    fleet.consul.kv_put("applications/again", "");
    fleet.wait_app("again");
}

fn unknown_names_are_warned_of_with_the_nearest_and_the_rest_applies(version: Version) {
    let consul = Consul::start();
    let good = ConsulConf::new(consul.port());
    let asterisk = node(version, "", &good).start();
    for (conf, before, after) in [
        (
            good.clone().consul("tokn", "hunter2"),
            "consul.conf: [consul] line ",
            ": unknown option 'tokn'; did you mean 'token'?",
        ),
        (
            good.clone().consul("colour", "red"),
            "consul.conf: [consul] line ",
            ": unknown option 'colour'",
        ),
        (
            good.clone().more("[stasis_apps]\napp_prefix = x/\n"),
            "consul.conf: [stasis_apps]",
            ": unknown section; did you mean [stasis_app]?",
        ),
        (
            good.clone().consul("ca_file", "/etc/passwd"),
            "consul.conf: [consul] line ",
            ": ca_file has no effect without scheme = https",
        ),
    ] {
        asterisk.write_conf("consul.conf", &conf.text());
        let mark = asterisk.log_mark();
        load(&asterisk, CONSUL);
        asterisk.wait_log_after(mark, after);
        let told = told(&asterisk, mark, "WARNING[");
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with(before) && told[0].ends_with(after), "{told:?}: {after}");
        let shown = asterisk.cli("consul show status");
        assert!(shown.contains(&format!("http://127.0.0.1:{}", consul.port())), "{shown}");
        unload(&asterisk, CONSUL);
    }
    assert!(!asterisk.log().contains("hunter2"));
}

fn without_a_file_the_defaults_apply_and_a_broken_one_declines(version: Version) {
    let asterisk = node(version, "", &ConsulConf::new(1)).start();
    let file = asterisk.folder().join("etc/consul.conf");
    std::fs::remove_file(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    load(&asterisk, CONSUL);
    let shown = asterisk.cli("consul show status");
    assert!(shown.contains("http://127.0.0.1:8500"), "{shown}");
    unload(&asterisk, CONSUL);

    asterisk.write_conf("consul.conf", "[consul\nport = 1\n");
    let answer = asterisk.cli("module load res_consul.so");
    assert!(answer.contains("Unable to load module res_consul.so"), "{answer}");
    asterisk.wait_log("not loaded: consul.conf: it cannot be parsed, see the lines above");

    // One that is there is not one that is missing: what it says is not what applies without.
    asterisk.write_conf("consul.conf", &ConsulConf::new(1).text());
    for module in [AMQP, CONSUL] {
        load(&asterisk, module);
    }
    unreadable(&asterisk, "consul.conf");
    let reason = format!(
        "consul.conf: {} cannot be opened: Too many levels of symbolic links (os error 40)",
        file.display()
    );
    for module in [DISCOVERY, APPS] {
        let mark = asterisk.log_mark();
        let answer = asterisk.cli(&format!("module load {module}.so"));
        assert!(answer.contains(&format!("Unable to load module {module}.so")), "{answer}");
        asterisk.wait_log_after(mark, &format!("not loaded: {reason}"));
    }
    let answer = asterisk.cli("module reload res_consul.so");
    assert!(answer.contains("reported a reload failure"), "{answer}");
    asterisk.wait_log(&format!("not reloaded, the configuration before stays: {reason}"));
    let shown = asterisk.cli("consul show status");
    assert!(shown.contains("http://127.0.0.1:1\n"), "{shown}");
    asterisk.assert_alive();
}

fn what_is_off_asks_nothing(version: Version) {
    let fleet = Fleet::start(version);
    let asterisk = &fleet.asterisk;
    fleet.consul.kv_put("applications/before", "");
    fleet.wait_app("before");
    let off = format!(
        "[general]\nenabled = no\n{}",
        &fleet.conf().text()["[general]\nenabled = yes\n".len()..]
    );
    asterisk.write_conf("consul.conf", &off);
    for module in [APPS, DISCOVERY, CONSUL] {
        crate::fleet::reload(asterisk, module);
    }
    wait_consul(asterisk, "disabled");
    // What is to be taken back may still be.
    crate::fleet::elapse(seconds(4));
    let asked = crate::fleet::consul_counter(asterisk, "requests");
    fleet.consul.kv_put("applications/meanwhile", "");

    asterisk.write_conf("consul.conf", &fleet.conf().text());
    let asked_until_now = crate::fleet::consul_counter(asterisk, "requests");
    for module in [CONSUL, DISCOVERY, APPS] {
        crate::fleet::reload(asterisk, module);
    }
    assert_eq!(asked_until_now, asked, "requests while it was off");
    fleet.wait_passing();
    fleet.wait_app("before");
    fleet.wait_app("meanwhile");
    wait_status(&fleet.consul, fleet.id(), "passing");
}
