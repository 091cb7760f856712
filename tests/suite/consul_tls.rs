// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Consul by https: a private authority, a certificate of ours, and all that must fail closed.

use std::fs;
use std::path::Path;

use rig::certificates::Certificates;
use rig::{Asterisk, Consul, Version, eventually, seconds};

use crate::fleet::{
    CONSUL, ConsulConf, amqp, consul_counter, lines_with, load_all, node, reload,
    unload_all_in_time, wait_app, wait_consul, wait_status,
};

on_each_version!(
    a_private_authority_and_a_certificate_of_ours_work,
    a_wrong_authority_a_wrong_name_and_no_certificate_fail_closed,
    without_verification_it_is_said_so,
);

/// Copies a file where the node can read it.
fn placed(asterisk: &Asterisk, name: &str, file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    asterisk.write_conf(name, &text);
    asterisk.folder().join("etc").join(name).display().to_string()
}

/// Https to the agent, trusting its authority and showing our certificate.
fn right(asterisk: &Asterisk, consul: &Consul, certificates: &Certificates) -> ConsulConf {
    let (certificate, key) = certificates.client();
    ConsulConf::new(consul.https_port())
        .consul("scheme", "https")
        .consul("ca_file", &placed(asterisk, "ca.pem", &certificates.ca()))
        .consul("cert_file", &placed(asterisk, "client.pem", &certificate))
        .consul("key_file", &placed(asterisk, "client.key", &key))
}

/// With the modules loaded and this configuration.
fn begin(asterisk: &Asterisk, conf: &ConsulConf) {
    asterisk.write_conf("consul.conf", &conf.text());
    load_all(asterisk);
}

#[track_caller]
fn assert_works(asterisk: &Asterisk, consul: &Consul) {
    eventually("the node to be registered", seconds(20), || {
        consul.service(asterisk.entity_id()).ok_or_else(|| asterisk.cli("consul show status"))
    });
    wait_status(consul, asterisk.entity_id(), "passing");
    consul.kv_put("applications/by-tls", "");
    wait_app(consul, asterisk, "by-tls");
    let shown = wait_consul(asterisk, "reachable");
    assert!(shown.contains(&format!("https://127.0.0.1:{}", consul.https_port())), "{shown}");
}

fn a_private_authority_and_a_certificate_of_ours_work(version: Version) {
    let certificates = Certificates::new();
    let consul = Consul::builder().tls(&certificates, true).start();
    let asterisk = node(version, &amqp(), &ConsulConf::new(1)).start();
    begin(&asterisk, &right(&asterisk, &consul, &certificates));
    assert_works(&asterisk, &consul);
    // A watch in flight is cut under TLS too.
    unload_all_in_time(&asterisk);
    assert_eq!(consul.service(asterisk.entity_id()), None);

    let key = fs::read_to_string(certificates.client().1).expect("the key");
    let line = key.lines().nth(1).expect("a line of the key");
    assert!(!asterisk.log().contains(line), "the key is in the log");
}

fn a_wrong_authority_a_wrong_name_and_no_certificate_fail_closed(version: Version) {
    let certificates = Certificates::new();
    let consul = Consul::builder().tls(&certificates, true).start();
    let elsewhere = Certificates::naming("DNS:elsewhere.example");
    let renamed = Consul::builder().tls(&elsewhere, false).start();
    let asterisk = node(version, &amqp(), &ConsulConf::new(1)).start();
    let good = right(&asterisk, &consul, &certificates);

    let stranger = placed(&asterisk, "stranger.pem", &Certificates::new().ca());
    let name_of_other = ConsulConf::new(renamed.https_port())
        .consul("scheme", "https")
        .consul("ca_file", &placed(&asterisk, "elsewhere.pem", &elsewhere.ca()));
    let ours_left_out = ConsulConf::new(consul.https_port())
        .consul("scheme", "https")
        .consul("ca_file", &asterisk.folder().join("etc/ca.pem").display().to_string());
    let useless = placed(&asterisk, "useless.pem", &asterisk.folder().join("etc/asterisk.conf"));
    let plain = ConsulConf::new(consul.https_port());
    let at_plain_port = good.clone().consul("port", &consul.port().to_string());
    let cases = [
        (good.clone().consul("ca_file", &stranger), "invalid peer certificate"),
        (name_of_other, "not valid for name"),
        (ours_left_out, "received fatal alert"),
        (good.clone().consul("ca_file", &useless), "useless.pem"),
        (good.clone().consul("key_file", &useless), "useless.pem"),
        (at_plain_port, "TLS"),
    ];
    load_all(&asterisk);
    // What the first configuration makes it tell is no line of the cases.
    asterisk.wait_log("is unreachable: ");
    for (conf, reason) in &cases {
        asterisk.write_conf("consul.conf", &conf.text());
        let mark = asterisk.log_mark();
        reload(&asterisk, CONSUL);
        let shown = eventually(&format!("{reason:?} in the status"), seconds(20), || {
            let shown = wait_consul(&asterisk, "unreachable");
            if shown.contains(reason) { Ok(shown) } else { Err(shown) }
        });
        // Tried again and again, told once.
        let asked = consul_counter(&asterisk, "failures");
        eventually("more tries", seconds(20), || match consul_counter(&asterisk, "failures") {
            tries if tries >= asked + 4 => Ok(()),
            tries => Err(tries),
        });
        let told = lines_with(&asterisk, mark, "is unreachable: ");
        assert_eq!(told.len(), 1, "{told:#?}\n{shown}");
        assert!(told[0].contains(reason) && told[0].contains("WARNING["), "{}", told[0]);
    }
    for agent in [&consul, &renamed] {
        assert_eq!(agent.services().len(), 0);
    }
    // Without TLS, to a port that speaks it.
    asterisk.write_conf("consul.conf", &plain.text());
    reload(&asterisk, CONSUL);
    eventually("not to be reachable", seconds(20), || {
        let shown = asterisk.cli("consul show status");
        let state = shown.lines().find(|line| line.contains("State:")).unwrap_or_default();
        if state.contains("unreachable") || state.contains("failing") { Ok(()) } else { Err(shown) }
    });
    assert_eq!(consul.services().len(), 0);

    asterisk.write_conf("consul.conf", &good.text());
    reload(&asterisk, CONSUL);
    assert_works(&asterisk, &consul);
}

fn without_verification_it_is_said_so(version: Version) {
    let elsewhere = Certificates::naming("DNS:elsewhere.example");
    let consul = Consul::builder().tls(&elsewhere, false).start();
    let asterisk = node(version, &amqp(), &ConsulConf::new(1)).start();
    let conf =
        ConsulConf::new(consul.https_port()).consul("scheme", "https").consul("verify", "no");
    begin(&asterisk, &conf);
    let warning = asterisk.wait_log("verify = 'no'");
    assert!(warning.contains("WARNING["), "{warning}");
    assert_works(&asterisk, &consul);
}
