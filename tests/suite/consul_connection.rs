// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The connection to Consul: what is shown of it, where it goes, and what a reload changes.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Instant;

use rig::{Answer, BlackHole, Consul, Pretender, Proxy, Version, eventually, ports, seconds};
use serde_json::json;

use crate::fleet::{
    APPS, CONSUL, ConsulConf, DISCOVERY, MODULES, amqp, assert_all_gone, lines_with, load,
    load_all, node, reload, unload, unload_all_in_time, wait_app, wait_consul, wait_exactly,
    wait_status,
};

on_each_version!(
    the_status_tells_each_state_and_why,
    the_settings_are_shown_without_the_token,
    the_token_goes_in_a_header_and_is_shown_nowhere,
    the_environment_applies_where_the_file_is_silent,
    every_option_applies_at_reload,
    names_and_addresses_of_both_families_are_reached,
    a_name_that_cannot_be_resolved_is_told_of,
    a_look_up_that_hangs_holds_up_no_unload_but_that_of_res_consul,
);

fn the_status_tells_each_state_and_why(version: Version) {
    let consul = Consul::start();
    let proxy = Proxy::to(consul.port());
    proxy.refuse();
    let asterisk = node(version, &amqp(), &ConsulConf::new(proxy.port())).start();
    load_all(&asterisk);
    let shown = wait_consul(&asterisk, "unreachable");
    let at = format!("http://127.0.0.1:{}", proxy.port());
    assert!(shown.contains(&at) && shown.contains("Connection refused"), "{shown}");
    let warning = asterisk.wait_log("is unreachable: ");
    assert!(warning.contains("WARNING[") && warning.contains(&at), "{warning}");

    proxy.pass();
    wait_consul(&asterisk, "reachable");
    asterisk.wait_log(&format!("Consul at {at} is reachable"));
    wait_status(&consul, asterisk.entity_id(), "passing");
    consul.kv_put("applications/demo", "");
    wait_app(&consul, &asterisk, "demo");
    let shown = asterisk.cli("consul show status");
    assert!(shown.contains("applications/"), "the watch is not shown:\n{shown}");

    proxy.refuse();
    proxy.cut();
    wait_consul(&asterisk, "unreachable");
    proxy.pass();
    wait_consul(&asterisk, "reachable");
    // The line comes after the state.
    asterisk.wait_log("is reachable again");
    let log = asterisk.log();
    assert_eq!(log.matches("is unreachable: ").count(), 2, "{log}");
    assert_eq!(log.matches("is reachable again").count(), 1, "{log}");

    let leaderless = Pretender::start(|_| Answer::status(500).body("No cluster leader"));
    asterisk.write_conf("consul.conf", &ConsulConf::new(leaderless.port()).text());
    reload(&asterisk, CONSUL);
    let shown = wait_consul(&asterisk, "failing");
    assert!(shown.contains("No cluster leader"), "{shown}");
    assert_eq!(lines_with(&asterisk, 0, "No cluster leader").len(), 1);

    let off = "[general]\nenabled = no\n";
    asterisk.write_conf("consul.conf", off);
    reload(&asterisk, CONSUL);
    wait_consul(&asterisk, "disabled");
    for module in [APPS, DISCOVERY] {
        unload(&asterisk, module);
    }
    unload(&asterisk, CONSUL);
    let shown = asterisk.cli("consul show status");
    assert!(shown.contains("No such command"), "{shown}");
}

/// One line of `consul show settings`.
#[track_caller]
fn setting(shown: &str, name: &str) -> String {
    let value = |line: &str| line.trim().strip_prefix(name)?.strip_prefix(':').map(str::to_owned);
    let found = shown.lines().find_map(value);
    found.unwrap_or_else(|| panic!("no {name} in:\n{shown}")).trim().to_owned()
}

fn the_settings_are_shown_without_the_token(version: Version) {
    let asterisk = node(version, &amqp(), &ConsulConf::new(8501)).start();
    let file = asterisk.folder().join("etc/token").display().to_string();
    asterisk.write_conf("token", "hunter2-of-the-file\n");
    let conf = ConsulConf::new(8501)
        .consul("host", "consul.example")
        .consul("datacenter", "elsewhere")
        .consul("connect_timeout", "3s")
        .consul("request_timeout", "7s")
        .consul("watch_wait", "40s");
    asterisk.write_conf("consul.conf", &conf.clone().consul("token", "hunter2").text());
    load(&asterisk, CONSUL);
    let shown = asterisk.cli("consul show settings");
    for (name, value) in [
        ("Enabled", "yes"),
        ("Host", "consul.example"),
        ("Port", "8501"),
        ("Scheme", "http"),
        ("Token", "***"),
        ("Datacenter", "elsewhere"),
        ("Connect timeout", "3s"),
        ("Request timeout", "7s"),
        ("Watch wait", "40s"),
    ] {
        assert_eq!(setting(&shown, name), value, "{shown}");
    }

    asterisk.write_conf("consul.conf", &conf.clone().consul("token_file", &file).text());
    reload(&asterisk, CONSUL);
    let shown = asterisk.cli("consul show settings");
    assert_eq!(setting(&shown, "Token"), format!("*** (token_file {file})"));
    assert!(!shown.contains("hunter2"), "{shown}");

    asterisk.write_conf("consul.conf", &conf.text());
    reload(&asterisk, CONSUL);
    let shown = asterisk.cli("consul show settings");
    assert_eq!(setting(&shown, "Token"), "none");
}

fn the_token_goes_in_a_header_and_is_shown_nowhere(version: Version) {
    const SECRET: &str = "hunter2-hunter2";
    let consul = Consul::builder().default_deny().start();
    let proxy = Proxy::to(consul.port());
    let conf = ConsulConf::new(proxy.port());
    let asterisk = node(version, &amqp(), &conf).env("CONSUL_HTTP_TOKEN", SECRET).debug(9).start();
    let file = asterisk.folder().join("etc/token").display().to_string();
    asterisk.write_conf("token", &format!("{SECRET}\n"));
    let mut shown = String::new();
    for conf in [
        conf.clone(),
        conf.clone().consul("token", SECRET),
        conf.clone().consul("token_file", &file),
        conf.clone().consul("tokn", SECRET).consul("token", SECRET),
        conf.clone().consul("token", SECRET).consul("port", "none"),
    ] {
        asterisk.write_conf("consul.conf", &conf.text());
        if asterisk.process().maps("res_consul.so") {
            shown += &asterisk.cli("module reload res_consul.so");
        } else {
            load_all(&asterisk);
        }
        let before = proxy.requests();
        eventually("a request", seconds(20), || {
            if proxy.requests() > before { Ok(()) } else { Err("none") }
        });
        wait_consul(&asterisk, "refused");
        for command in [
            "consul show status",
            "consul show settings",
            "consul show applications",
            "discovery show status",
            "discovery show settings",
            "core show threads",
            "config show help res_consul",
        ] {
            shown += &asterisk.cli(command);
        }
    }
    shown +=
        &format!("{:?}", asterisk.ami().action("DiscoverySetMaintenance", &[("Enable", "true")]));
    for text in [&shown, &asterisk.log()] {
        assert_eq!(text.lines().find(|line| line.contains(SECRET)), None);
    }
    let asked = proxy.seen();
    assert!(asked.len() > 4, "{asked:?}");
    for request in asked {
        assert_eq!(request.header("X-Consul-Token"), Some(SECRET), "{request:?}");
        assert!(!request.target.contains("token") && !request.target.contains(SECRET));
        assert!(!String::from_utf8_lossy(&request.body).contains(SECRET), "{request:?}");
    }
    asterisk.assert_alive();
}

fn the_environment_applies_where_the_file_is_silent(version: Version) {
    let consul = Consul::builder().default_deny().start();
    let proxy = Proxy::to(consul.port());
    let token = consul.management_token().to_owned();
    let conf = "[discovery]\ndiscovery_ip = 127.0.0.1\n";
    let asterisk = node(version, &amqp(), &ConsulConf::new(1))
        .conf("consul.conf", conf)
        .env("CONSUL_HTTP_ADDR", &format!("http://127.0.0.1:{}/", proxy.port()))
        .env("CONSUL_HTTP_TOKEN", &token)
        .start();
    load_all(&asterisk);
    wait_status(&consul, asterisk.entity_id(), "passing");
    let shown = asterisk.cli("consul show settings");
    assert_eq!(setting(&shown, "Token"), "*** (CONSUL_HTTP_TOKEN)");
    assert_eq!(setting(&shown, "Port"), proxy.port().to_string());

    // What the file says goes before.
    asterisk.write_conf("consul.conf", &format!("{conf}[consul]\ntoken = another\n"));
    reload(&asterisk, CONSUL);
    wait_consul(&asterisk, "refused");
    asterisk.write_conf("consul.conf", &format!("{conf}[consul]\nhost = 127.0.0.1\nport = 1\n"));
    reload(&asterisk, CONSUL);
    let shown = wait_consul(&asterisk, "unreachable");
    assert!(shown.contains("http://127.0.0.1:1"), "{shown}");
    asterisk.write_conf("consul.conf", conf);
    reload(&asterisk, CONSUL);
    wait_consul(&asterisk, "reachable");
    wait_status(&consul, asterisk.entity_id(), "passing");
}

fn every_option_applies_at_reload(version: Version) {
    let consul = Consul::builder().default_deny().start();
    let token = consul.management_token().to_owned();
    let (first, second) = (Proxy::to(consul.port()), Proxy::to(consul.port()));
    let conf = ConsulConf::new(first.port()).consul("token", &token);
    let asterisk = node(version, &amqp(), &conf).start();
    load_all(&asterisk);
    wait_status(&consul, asterisk.entity_id(), "passing");
    let apply = |conf: &ConsulConf| {
        asterisk.write_conf("consul.conf", &conf.text());
        let since = Instant::now();
        reload(&asterisk, CONSUL);
        assert!(since.elapsed() < seconds(2), "the reload took {:?}", since.elapsed());
    };
    let wait_watch = |proxy: &Proxy, what: &str, fits: &dyn Fn(&rig::Request) -> bool| {
        let before = proxy.requests_to("/v1/kv/");
        eventually(&format!("a watch with {what}"), seconds(10), || {
            let seen = proxy.seen();
            let mut new = seen
                .iter()
                .filter(|request| request.begins("/v1/kv/"))
                .skip(before.saturating_sub(1));
            if new.any(fits) { Ok(()) } else { Err(format!("{:?}", seen.last())) }
        });
    };
    wait_watch(&first, "an index", &|request| {
        request.query("wait").as_deref() == Some("60000ms") && request.query("index").is_some()
    });

    // A watch in flight, with a minute to go, is where the file says at once.
    let conf = conf.consul("port", &second.port().to_string());
    apply(&conf);
    wait_watch(&second, "another port", &|request| request.query("index").is_some());
    consul.kv_put("applications/second", "");
    wait_app(&consul, &asterisk, "second");
    eventually("nothing to be left of the first", seconds(10), || {
        if first.open_connections() == 0 { Ok(()) } else { Err(first.open_connections()) }
    });

    let conf = conf.consul("watch_wait", "2s");
    apply(&conf);
    wait_watch(&second, "another wait", &|request| {
        request.query("wait").as_deref() == Some("2000ms")
    });

    let conf = conf.consul("datacenter", "rig");
    apply(&conf);
    wait_watch(&second, "a datacenter", &|request| request.query("dc").as_deref() == Some("rig"));
    let of_agent = |request: &&rig::Request| request.begins("/v1/agent/");
    assert!(second.seen().iter().filter(of_agent).all(|request| request.query("dc").is_none()));

    apply(&conf.clone().consul("token", "wrong"));
    wait_consul(&asterisk, "refused");
    apply(&conf);
    wait_consul(&asterisk, "reachable");

    second.swallow();
    apply(&conf.clone().consul("request_timeout", "300ms"));
    let since = Instant::now();
    wait_consul(&asterisk, "unreachable");
    assert!(since.elapsed() < seconds(6), "found out after {:?}", since.elapsed());
    second.pass();

    let hole = BlackHole::new();
    let nowhere = conf.clone().consul("port", &hole.port().to_string());
    apply(&nowhere.consul("connect_timeout", "300ms"));
    let shown = eventually("the connect to be given up", seconds(10), || {
        let shown = wait_consul(&asterisk, "unreachable");
        if shown.contains("300ms") { Ok(shown) } else { Err(shown) }
    });
    assert!(shown.contains(&format!("127.0.0.1:{}", hole.port())), "{shown}");

    apply(&conf);
    consul.kv_put("applications/third", "");
    wait_exactly(&consul, &asterisk, &["second", "third"]);
    wait_status(&consul, asterisk.entity_id(), "passing");
    unload_all_in_time(&asterisk);
}

fn names_and_addresses_of_both_families_are_reached(version: Version) {
    const HOSTS: &str = "::1 localhost six.example\n127.0.0.1 localhost\n127.0.0.1 four.example\n\
                         127.0.0.77 empty.example\n127.0.0.1 empty.example\n";
    let both = Consul::builder().with(&json!({"addresses": {"http": "127.0.0.1 ::1"}})).start();
    let four = Consul::start();
    let conf = ConsulConf::new(both.port());
    let asterisk = node(version, &amqp(), &conf).hosts(HOSTS).start();
    load_all(&asterisk);
    wait_consul(&asterisk, "reachable");
    for (consul, host, shown_as) in [
        (&both, "::1", "[::1]"),
        (&both, "six.example", "six.example"),
        (&both, "localhost", "localhost"),
        // Of a name's addresses, one that does not answer is passed over.
        (&four, "localhost", "localhost"),
        (&four, "empty.example", "empty.example"),
        (&four, "four.example", "four.example"),
    ] {
        let conf = ConsulConf::new(consul.port()).consul("host", host);
        asterisk.write_conf("consul.conf", &conf.text());
        reload(&asterisk, CONSUL);
        let shown = wait_consul(&asterisk, "reachable");
        assert!(shown.contains(&format!("http://{shown_as}:{}", consul.port())), "{shown}");
        consul.kv_put(&format!("applications/{host}"), "");
        wait_app(consul, &asterisk, host);
        consul.kv_delete(&format!("applications/{host}"));
    }
    unload_all_in_time(&asterisk);
}

fn a_name_that_cannot_be_resolved_is_told_of(version: Version) {
    // Nobody listens there.
    let conf = ConsulConf::new(8500).consul("host", "consul.example");
    let asterisk =
        node(version, &amqp(), &conf).name_server(Ipv4Addr::new(127, 53, 53, 53)).start();
    load_all(&asterisk);
    let shown = wait_consul(&asterisk, "unreachable");
    assert!(shown.contains("consul.example"), "{shown}");
    eventually("the reason", seconds(20), || {
        let shown = asterisk.cli("consul show status");
        if shown.contains("cannot resolve host consul.example") { Ok(()) } else { Err(shown) }
    });
    unload_all_in_time(&asterisk);
}

fn a_look_up_that_hangs_holds_up_no_unload_but_that_of_res_consul(version: Version) {
    // A name server that does not answer, on an address that no other has.
    let [high, low] = ports::free().to_be_bytes();
    let address = Ipv4Addr::new(127, 53, high, low);
    let _silent = UdpSocket::bind((address, 53)).expect("port 53 of a loopback address");
    let conf = ConsulConf::new(8500).consul("host", "consul.example");
    let conf = conf.consul("connect_timeout", "500ms");
    let asterisk = node(version, &amqp(), &conf).name_server(address).start();
    load_all(&asterisk);
    let shown = wait_consul(&asterisk, "unreachable");
    assert!(shown.contains("no answer from the resolver for host consul.example"), "{shown}");

    for module in MODULES.into_iter().rev().filter(|module| *module != CONSUL) {
        crate::fleet::unload_in_time(&asterisk, module);
    }
    // Its look-up cannot be ended, and must not go on without its code: the unload is refused
    // until it has returned.
    eventually("the unload", seconds(20), || {
        let since = Instant::now();
        let answer = asterisk.cli("module unload res_consul.so");
        assert!(since.elapsed() < seconds(3), "the unload took {:?}", since.elapsed());
        if answer.contains("Unloaded") {
            return Ok(());
        }
        asterisk.wait_log("the look-up of host consul.example does not return");
        assert!(asterisk.process().maps("res_consul.so"));
        Err(answer)
    });
    assert_all_gone(&asterisk);

    let consul = Consul::start();
    asterisk.write_conf("consul.conf", &ConsulConf::new(consul.port()).text());
    load_all(&asterisk);
    wait_status(&consul, asterisk.entity_id(), "passing");
    unload_all_in_time(&asterisk);
}
