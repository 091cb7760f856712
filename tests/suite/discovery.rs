// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The node as a service in Consul: as `consul.conf` says, and kept so.

use std::time::Instant;

use rig::process::Signal;
use rig::{Asterisk, BlackHole, Consul, Proxy, Version, eventually, ports, seconds};
use serde_json::{Value, json};

use crate::fleet::{
    CONSUL, ConsulConf, DISCOVERY, load, node, reload, unload, wait_gone, wait_status,
};
use crate::member::{
    Member, assert_gone, definition, quick, register, statuses, unregister, wait_output,
};

on_each_version!(
    the_defaults_are_registered_and_taken_back,
    every_option_is_followed_in_place,
    an_id_that_changes_moves_the_node,
    the_address_is_that_of_the_interface,
    consul_asks_asterisk_itself,
    a_status_page_that_is_not_served_is_told_of,
    what_is_changed_by_hand_is_put_right,
    an_agent_that_comes_back_knows_the_node_again,
    it_is_registered_once_consul_is_there_and_does_not_spin_until_then,
    it_unloads_in_every_state_of_the_network,
    bad_values_decline_the_module_or_keep_what_runs,
    settings_and_status_are_shown,
);

/// A second, as Consul writes it down.
const SECOND: u64 = 1_000_000_000;

fn the_defaults_are_registered_and_taken_back(version: Version) {
    let consul = Consul::builder().persistent().start();
    let asterisk = node(version, "", &ConsulConf::new(consul.port())).start();
    register(&asterisk);
    let id = asterisk.entity_id();
    let service = wait_status(&consul, id, "passing")["Service"].take();
    assert_eq!(service["ID"], id);
    assert_eq!(service["Service"], "asterisk");
    assert_eq!((&service["Address"], &service["Port"]), (&json!("127.0.0.1"), &json!(5060)));
    assert_eq!(service["Tags"], json!(["asterisk"]));
    assert_eq!(service["Weights"], json!({"Passing": 1, "Warning": 1}));
    let running = version.root().version("asterisk");
    let meta = json!({
        "eid": id,
        "ari_port": asterisk.http_port().to_string(),
        "ari_scheme": "http",
        "version": running,
    });
    assert_eq!(service["Meta"], meta);

    let checks = consul.checks_of(id);
    assert_eq!(checks.keys().collect::<Vec<_>>(), [&format!("service:{id}")]);
    wait_output(&consul, id, "passing", &format!("Asterisk {running} is up"));
    let definition = definition(&consul, id);
    assert_eq!(definition["TTL"], 15 * SECOND);
    assert_eq!(definition["DeregisterCriticalServiceAfter"], 0);

    // There is no other, and whoever asks the catalog finds it healthy.
    assert_eq!(consul.services().len(), 1);
    eventually("the catalog to have it", seconds(10), || match &consul.health("asterisk")[..] {
        [one] if one["Service"]["ID"] == id => {
            let mut checks = one["Checks"].as_array().into_iter().flatten();
            if checks.all(|check| check["Status"] == "passing") {
                Ok(())
            } else {
                Err(one.to_string())
            }
        }
        other => Err(format!("{other:?}")),
    });

    unload(&asterisk, DISCOVERY);
    assert_eq!(consul.service(id), None);
    assert_gone(&asterisk, DISCOVERY);
    unload(&asterisk, CONSUL);
    assert_gone(&asterisk, CONSUL);
    assert_eq!(asterisk.complaints(), [""; 0]);
}

/// What one option, or some together, make of the service.
struct Followed {
    options: Vec<(String, String)>,
    pointer: &'static str,
    value: Value,
}

fn followed(options: &[(&str, &str)], pointer: &'static str, value: Value) -> Followed {
    let options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Followed { options: options.collect(), pointer, value }
}

fn every_option_is_followed_in_place(version: Version) {
    let consul = Consul::builder().persistent().start();
    let member = Member::with(version, consul, |conf| conf);
    let (consul, asterisk, id) = (&member.consul, &member.asterisk, member.id());
    let before = member.wait("passing")["Service"].take();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a host name");
    let of_service = [
        followed(&[("name", "pbx")], "/Service", json!("pbx")),
        followed(&[("name", "auto")], "/Service", json!(host.trim())),
        followed(&[("tags", "a, b ,c d")], "/Tags", json!(["a", "b", "c d"])),
        followed(&[("discovery_ip", "2001:db8::7")], "/Address", json!("2001:db8::7")),
        followed(&[("discovery_ip", "[2001:db8::8]")], "/Address", json!("2001:db8::8")),
        followed(&[("discovery_ip", "sip.example.org")], "/Address", json!("sip.example.org")),
        followed(&[("discovery_port", "5999")], "/Port", json!(5999)),
        followed(&[("meta_zone", "a: b, c")], "/Meta/zone", json!("a: b, c")),
        followed(&[("meta_ari_port", "443")], "/Meta/ari_port", json!("443")),
        followed(&[("meta_ari_scheme", "https")], "/Meta/ari_scheme", json!("https")),
        followed(
            &[("weight_passing", "7"), ("weight_warning", "3")],
            "/Weights",
            json!({"Passing": 7, "Warning": 3}),
        ),
    ];
    let port = asterisk.http_port().to_string();
    let url = format!("http://127.0.0.1:{port}/httpstatus");
    let http = [
        ("check_type", "http"),
        ("check_http_port", &*port),
        ("check_interval", "4s"),
        ("check_timeout", "1500ms"),
    ];
    let of_check = [
        followed(&[("check_interval", "9s")], "/TTL", json!(9 * SECOND)),
        followed(
            &[("deregister_after", "2m")],
            "/DeregisterCriticalServiceAfter",
            json!(120 * SECOND),
        ),
        followed(&http, "/HTTP", json!(url)),
        followed(&http, "/Interval", json!(4 * SECOND)),
        followed(&http, "/Timeout", json!(3 * SECOND / 2)),
        followed(&[("check", "no")], "", Value::Null),
        followed(&[], "/TTL", json!(3 * SECOND)),
    ];

    let (seen, ()) = statuses(consul, id, || {
        let apply =
            |followed: &Followed, look: &dyn Fn() -> Value| {
                let options = followed.options.iter();
                let conf =
                    options.fold(member.conf(), |conf, (name, value)| conf.discovery(name, value));
                member.reload(&conf);
                eventually(&format!("{:?} to be followed", followed.options), seconds(10), || {
                    match look() {
                        seen if seen.pointer(followed.pointer) == Some(&followed.value) => Ok(()),
                        seen => Err(seen),
                    }
                });
            };
        let service = || consul.service(id).unwrap_or_default()["Service"].take();
        for one in &of_service {
            apply(one, &service);
        }
        // The last reload has taken all of that back.
        apply(&followed(&[], "", before.clone()), &service);
        for one in &of_check {
            apply(one, &|| definition(consul, id));
        }
    });
    assert!(seen.iter().eq(["passing"]), "while its options changed it was {seen:?}");
    assert_eq!(consul.services().len(), 1);

    // Switched off and on.
    for (section, name) in [("discovery", "enabled"), ("general", "enabled")] {
        let off = member.conf().text();
        let off = match section {
            "general" => off.replace("enabled = yes", "enabled = no"),
            _ => member.conf().discovery(name, "no").text(),
        };
        asterisk.write_conf("consul.conf", &off);
        reload(asterisk, DISCOVERY);
        member.wait_gone();
        member.reload(&member.conf());
        member.wait("passing");
    }
    assert_eq!(asterisk.complaints(), [""; 0]);
    unregister(asterisk);
}

fn an_id_that_changes_moves_the_node(version: Version) {
    let member = Member::start(version);
    let (consul, asterisk) = (&member.consul, &member.asterisk);
    let only = || {
        let services: Vec<String> = consul.services().into_keys().collect();
        match &services[..] {
            [id] => Ok(id.clone()),
            other => Err(format!("{other:?}")),
        }
    };
    for id in ["node-1", "a node/of ours #1 100%", "größe"] {
        member.reload(&member.conf().discovery("id", id));
        wait_status(consul, id, "passing");
        eventually("one service", seconds(10), only);
    }
    member.reload(&member.conf().discovery("id", "auto"));
    wait_gone(consul, "größe");
    let uuid = eventually("one service", seconds(10), only);
    assert_eq!((uuid.len(), uuid.matches('-').count()), (36, 4), "{uuid} is no UUID");
    wait_status(consul, &uuid, "passing");

    // Of a load, not of a reload.
    member.reload(&member.conf().discovery("id", "auto").discovery("tags", "again"));
    eventually("the tags to change", seconds(10), || match consul.service(&uuid) {
        Some(service) if service["Service"]["Tags"] == json!(["again"]) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(only().as_ref(), Ok(&uuid));
    unload(asterisk, DISCOVERY);
    assert_eq!(consul.services().len(), 0);
    load(asterisk, DISCOVERY);
    let next = eventually("one service", seconds(10), only);
    assert_ne!(next, uuid, "each load has its own");

    member.reload(&member.conf());
    member.wait("passing");
    eventually("one service", seconds(10), only);
    unregister(asterisk);
    assert_eq!(consul.services().len(), 0);
}

fn the_address_is_that_of_the_interface(version: Version) {
    let consul = Consul::start();
    let of = |interface: &str| {
        quick(consul.port())
            .discovery("discovery_ip", "auto")
            .discovery("discovery_interface", interface)
    };
    let asterisk = node(version, "", &of("nosuch0")).start();
    register(&asterisk);
    let line = asterisk.wait_log("interface 'nosuch0' does not exist");
    assert!(line.contains("WARNING"), "{line}");
    // It is looked for again and again, and said once.
    let shown = asterisk.cli("discovery show status");
    assert!(shown.contains("interface 'nosuch0' does not exist"), "{shown}");
    assert_eq!(consul.services().len(), 0);

    asterisk.write_conf("consul.conf", &of("lo").text());
    reload(&asterisk, DISCOVERY);
    let service = wait_status(&consul, asterisk.entity_id(), "passing")["Service"].take();
    assert_eq!(service["Address"], "127.0.0.1");

    // One that has gone is no place for calls.
    asterisk.write_conf("consul.conf", &of("nosuch1").text());
    reload(&asterisk, DISCOVERY);
    let part = "interface 'nosuch1' does not exist";
    wait_output(&consul, asterisk.entity_id(), "critical", part);
    asterisk.write_conf("consul.conf", &of("lo").text());
    reload(&asterisk, DISCOVERY);
    wait_status(&consul, asterisk.entity_id(), "passing");
    assert_eq!(asterisk.log().matches("interface 'nosuch0' does not exist").count(), 1);
    unregister(&asterisk);
}

fn consul_asks_asterisk_itself(version: Version) {
    let consul = Consul::builder().persistent().start();
    let asterisk = node(version, "", &quick(consul.port())).start();
    let port = asterisk.http_port().to_string();
    let conf = quick(consul.port())
        .discovery("check_type", "http")
        .discovery("check_http_port", &port)
        .discovery("check_interval", "1s")
        .discovery("check_timeout", "1s");
    asterisk.write_conf("consul.conf", &conf.text());
    register(&asterisk);
    let id = asterisk.entity_id();
    let asked = format!("HTTP GET http://127.0.0.1:{port}/httpstatus: 200 OK");
    wait_output(&consul, id, "passing", &asked);
    asterisk.process().signal(Signal::STOP);
    wait_output(&consul, id, "critical", "");
    asterisk.process().signal(Signal::CONT);
    wait_output(&consul, id, "passing", &asked);
    assert_eq!(asterisk.complaints(), [""; 0]);
    unregister(&asterisk);
    assert_eq!(consul.service(id), None);
}

fn a_status_page_that_is_not_served_is_told_of(version: Version) {
    let consul = Consul::start();
    let http = |asterisk_port: u16| {
        format!(
            "[general]\nenabled = yes\nenable_status = no\nbindaddr = 127.0.0.1\n\
             bindport = {asterisk_port}\n"
        )
    };
    let port = ports::free();
    let conf = quick(consul.port())
        .discovery("check_type", "http")
        .discovery("check_http_port", &port.to_string())
        .discovery("check_interval", "1s");
    let asterisk = node(version, "", &conf).conf("http.conf", http(port)).start();
    register(&asterisk);
    let id = asterisk.entity_id();
    wait_output(&consul, id, "critical", "404");
    let line = asterisk.wait_log("enable_status");
    assert!(line.contains("WARNING") && line.contains("http.conf"), "{line}");
    asterisk.write_conf("http.conf", &http(port).replace("status = no", "status = yes"));
    asterisk.cli("module reload http");
    wait_output(&consul, id, "passing", "200 OK");
    // Asked every second, told once.
    assert_eq!(asterisk.log().matches("enable_status").count(), 1);
    unregister(&asterisk);
}

fn what_is_changed_by_hand_is_put_right(version: Version) {
    let member = Member::with(version, Consul::start(), |conf| {
        // The default, for which ten seconds are promised.
        conf.discovery("check_interval", "15s")
    });
    let (consul, id) = (&member.consul, member.id());
    let before = member.wait("passing")["Service"].take();
    let is_right = || {
        let checks = [format!("service:{id}")];
        eventually("the registration to be as it was", seconds(10), || {
            let now = consul.service(id).unwrap_or_default();
            let is_well = now["AggregatedStatus"] == "passing" && now["Service"] == before;
            if is_well && consul.checks_of(id).keys().eq(&checks) { Ok(()) } else { Err(now) }
        });
    };
    let put = |body: &Value| {
        consul.request("PUT", "/v1/agent/service/register", Some(body)).ok();
    };

    consul.deregister(id);
    is_right();
    // It looks every second now.
    member.reload(&member.conf());
    is_right();
    let check = format!("/v1/agent/check/deregister/service:{id}");
    consul.request("PUT", &check, None).ok();
    is_right();
    let mut changed = json!({
        "ID": id, "Name": "asterisk", "Address": "127.0.0.1", "Port": 5060,
        "Tags": ["mine"], "Meta": before["Meta"],
    });
    put(&changed);
    is_right();
    changed["Tags"] = before["Tags"].clone();
    changed["Weights"] = json!({"Passing": 9, "Warning": 9});
    put(&changed);
    is_right();
    changed["Name"] = json!("pbx");
    changed["Meta"] = Value::Null;
    put(&changed);
    is_right();
    // A status that somebody else tells.
    let update = format!("/v1/agent/check/update/service:{id}");
    let critical = json!({"Status": "critical", "Output": "by hand"});
    consul.request("PUT", &update, Some(&critical)).ok();
    is_right();
    unregister(&member.asterisk);
    assert_eq!(consul.service(id), None);
}

fn an_agent_that_comes_back_knows_the_node_again(version: Version) {
    let consul = Consul::builder().persistent().start();
    let member = Member::with(version, consul, |conf| conf.discovery("check_interval", "15s"));
    let consul = &member.consul;
    let before = member.wait("passing")["Service"].take();
    for wiped in [false, true] {
        consul.kill();
        let line = if wiped { "wiped" } else { "restarted" };
        if wiped {
            consul.wipe();
        }
        consul.start_again();
        let found = member.wait("passing");
        assert_eq!(found["Service"], before, "after an agent that was {line}");
        wait_output(consul, member.id(), "passing", "is up");
    }
    // Frozen, it may take what was sent later; nothing is registered twice or lost.
    consul.freeze();
    assert!(member.asterisk.cli("discovery show status").contains(member.id()));
    consul.thaw();
    assert_eq!(member.wait("passing")["Service"], before);
    assert_eq!(consul.services().len(), 1);
    unregister(&member.asterisk);
    assert_eq!(consul.service(member.id()), None);
}

fn it_is_registered_once_consul_is_there_and_does_not_spin_until_then(version: Version) {
    let consul = Consul::start();
    let proxy = Proxy::to(consul.port());
    proxy.black_hole();
    let asterisk = node(version, "", &quick(proxy.port())).start();
    let since = Instant::now();
    register(&asterisk);
    assert!(since.elapsed() < seconds(3), "the loads took {:?}", since.elapsed());
    asterisk.write_conf("consul.conf", &quick(proxy.port()).discovery("tags", "new").text());
    reload(&asterisk, DISCOVERY);
    assert!(since.elapsed() < seconds(5), "with the reload {:?}", since.elapsed());

    // What answers nothing, and what is not there at all.
    proxy.refuse();
    proxy.cut();
    eventually("the refused connection to be told of", seconds(15), || {
        let shown = asterisk.cli("consul show status");
        if shown.contains("unreachable") { Ok(()) } else { Err(shown) }
    });
    proxy.pass();
    let service = wait_status(&consul, asterisk.entity_id(), "passing")["Service"].take();
    assert_eq!(service["Tags"], json!(["new"]));
    let (requests, took) = (proxy.requests(), since.elapsed());
    // Looks, tells, and what a first registration needs; not a request for each millisecond.
    let allowed = 20 + 6 * usize::try_from(took.as_secs()).expect("not so long");
    assert!(requests <= allowed, "{requests} requests in {took:?}: {:?}", proxy.seen());
    unregister(&asterisk);
    assert_eq!(consul.service(asterisk.entity_id()), None);
}

/// Unloads the module, which may take no longer than 2 s; one more is the machine's.
#[track_caller]
fn unload_in_time(asterisk: &Asterisk, state: &str) {
    let since = Instant::now();
    unload(asterisk, DISCOVERY);
    let took = since.elapsed();
    assert!(took < seconds(3), "with Consul {state} the unload took {took:?}");
    assert_gone(asterisk, DISCOVERY);
}

fn it_unloads_in_every_state_of_the_network(version: Version) {
    let consul = Consul::start();
    let (proxy, hole) = (Proxy::to(consul.port()), BlackHole::new());
    let asterisk = node(version, "", &quick(proxy.port())).start();
    let id = asterisk.entity_id();
    load(&asterisk, CONSUL);
    let connect = |port: u16| {
        asterisk.write_conf("consul.conf", &quick(port).text());
        reload(&asterisk, CONSUL);
        load(&asterisk, DISCOVERY);
    };

    connect(ports::free());
    unload_in_time(&asterisk, "not there");
    connect(hole.port());
    unload_in_time(&asterisk, "swallowing connects");
    let found_it = [
        ("black-holed", Proxy::black_hole as fn(&Proxy)),
        ("swallowing answers", Proxy::swallow),
        ("refusing", Proxy::refuse),
        ("cutting", Proxy::cut),
    ];
    for (state, change) in found_it {
        proxy.pass();
        connect(proxy.port());
        wait_status(&consul, id, "passing");
        change(&proxy);
        unload_in_time(&asterisk, state);
    }
    proxy.pass();
    connect(proxy.port());
    wait_status(&consul, id, "passing");
    consul.freeze();
    unload_in_time(&asterisk, "frozen");
    consul.thaw();
    // What could not be said then: the next life's registration is right all the same.
    connect(proxy.port());
    wait_status(&consul, id, "passing");
    unload_in_time(&asterisk, "well");
    assert_eq!(consul.service(id), None);
}

fn bad_values_decline_the_module_or_keep_what_runs(version: Version) {
    let member = Member::start(version);
    let (asterisk, id) = (&member.asterisk, member.id());
    let bad = [
        ("discovery_port", "0", "must be between 1 and 65535"),
        ("discovery_ip", "300.1.1.1", "must be auto, an IPv4 or IPv6 address, or a host name"),
        ("check_type", "tcp", "must be one of ttl, http"),
        ("check_interval", "15", "must be a number with a unit, such as 250ms, 5s, 2m or 1h"),
        ("deregister_after", "5s", "must be at least 1m"),
        ("weight_passing", "x", "must be a whole number"),
        ("id", "a//b", "must have more than '.' or '..' before, between and after its slashes"),
        ("meta_a.b", "x", "the key may have letters, digits, '-' and '_' only"),
        ("maintenance_on_shutdown", "perhaps", "must be yes or no"),
    ];
    let line_of = |conf: &ConsulConf, name: &str| {
        let text = conf.text();
        let line = text.lines().position(|line| line.starts_with(&format!("{name} = ")));
        line.expect("the option") + 1
    };
    let before = member.wait("passing")["Service"].take();
    for (name, value, reason) in bad {
        let conf = member.conf().discovery(name, value).discovery("tags", "not this");
        let message = format!(
            "consul.conf: [discovery] line {}: {name} = '{value}': {reason}",
            line_of(&conf, name)
        );
        asterisk.write_conf("consul.conf", &conf.text());
        let mark = asterisk.log_mark();
        let answer = asterisk.cli(&format!("module reload {DISCOVERY}.so"));
        assert!(answer.contains("reported a reload failure"), "{answer}");
        let line = asterisk.wait_log_after(mark, "not reloaded, the configuration before stays");
        assert!(line.contains("an error in consul.conf, see above"), "{line}");
        asterisk.wait_log_after(mark, &message);
    }
    assert_eq!(member.wait("passing")["Service"], before);

    unload(asterisk, DISCOVERY);
    let (name, value, _) = bad[0];
    let two = member.conf().discovery(name, value).discovery("check", "x");
    asterisk.write_conf("consul.conf", &two.text());
    let answer = asterisk.cli(&format!("module load {DISCOVERY}.so"));
    assert!(answer.contains(&format!("Unable to load module {DISCOVERY}.so")), "{answer}");
    asterisk.wait_log("not loaded: 2 errors in consul.conf, see above");
    assert_eq!(member.consul.service(id), None);

    // An unknown option costs nothing.
    let slip = member.conf().discovery("discovery_prot", "5070");
    asterisk.write_conf("consul.conf", &slip.text());
    let mark = asterisk.log_mark();
    load(asterisk, DISCOVERY);
    let line = asterisk.wait_log_after(mark, "discovery_prot");
    assert!(line.contains("WARNING") && line.contains("discovery_port"), "{line}");
    member.wait("passing");
    unregister(asterisk);
}

/// The values after the names, which end with a colon.
fn shown(shown: &str) -> Vec<(&str, &str)> {
    let pairs = shown.lines().filter_map(|line| line.split_once(": "));
    pairs.map(|(name, value)| (name.trim(), value.trim())).collect()
}

fn settings_and_status_are_shown(version: Version) {
    let member = Member::with(version, Consul::start(), |conf| {
        conf.discovery("tags", "one, two").discovery("meta_zone", "a: b")
    });
    let (asterisk, id) = (&member.asterisk, member.id());
    let settings = asterisk.cli("discovery show settings");
    let port = format!("http on port {}", asterisk.http_port());
    let of_ttl = [
        ("enabled", "yes"),
        ("id", id),
        ("name", "asterisk"),
        ("tags", "one, two"),
        ("discovery_ip", "127.0.0.1"),
        ("discovery_port", "5060"),
        ("weight_passing", "1"),
        ("weight_warning", "1"),
        ("check", "yes"),
        ("check_type", "ttl"),
        ("check_interval", "3s"),
        ("deregister_after", "never"),
        ("maintenance_on_shutdown", "yes"),
        ("meta_zone", "a: b"),
        ("ARI (http.conf)", &port),
    ];
    assert_eq!(shown(&settings), of_ttl, "{settings}");

    let running = version.root().version("asterisk");
    let well = format!("passing, Asterisk {running} is up");
    // Consul has it a moment before the module has Consul's answer.
    let status = eventually("the status to tell that it is registered", seconds(10), || {
        let status = asterisk.cli("discovery show status");
        if status.contains("yes, for ") { Ok(status) } else { Err(status) }
    });
    assert!(status.starts_with("Service 'asterisk'"), "{status}");
    let mut lines = shown(&status);
    let since = lines.iter_mut().find(|(name, _)| *name == "Registered").expect("since when");
    assert!(since.1.starts_with("yes, for ") && since.1.ends_with(" s"), "{status}");
    since.1 = "yes";
    let of_node = [
        ("Id", id),
        ("Address", "127.0.0.1 port 5060"),
        ("Registered", "yes"),
        ("Check", &well),
        ("Maintenance", "off"),
        ("Drain", "none"),
        ("Duplicate", "none"),
    ];
    assert_eq!(lines, of_node, "{status}");

    let off = member.conf().discovery("enabled", "no").discovery("check_type", "http");
    member.reload(&off.discovery("discovery_ip", "auto").discovery("discovery_interface", "lo"));
    let settings = asterisk.cli("discovery show settings");
    for line in [
        ("enabled", "no"),
        ("discovery_ip", "auto, of lo"),
        ("check_type", "http"),
        ("check_http_port", "8088"),
        ("check_timeout", "5s"),
    ] {
        assert!(shown(&settings).contains(&line), "{settings}");
    }
    member.wait_gone();
    let status = eventually("the status to tell of it", seconds(10), || {
        let status = asterisk.cli("discovery show status");
        if status.contains("no, enabled = no in consul.conf") { Ok(status) } else { Err(status) }
    });
    let refused = asterisk.cli("discovery set maintenance on");
    assert!(refused.contains("Not done: the node is not in Consul: enabled = no"), "{refused}");
    assert!(!status.contains("Trouble"), "{status}");

    member.reload(&member.conf());
    member.wait("passing");
    member.consul.kill();
    eventually("the status to tell of the trouble", seconds(10), || {
        let status = asterisk.cli("discovery show status");
        if status.contains("Trouble:") { Ok(()) } else { Err(status) }
    });
    unregister(asterisk);
}
