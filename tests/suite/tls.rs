// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Connections by TLS, the ways in which they fail, and IPv6.

use std::path::Path;
use std::sync::OnceLock;

use rig::certificates::Certificates;
use rig::{Asterisk, Broker, Tenant, Version, ports, seconds};

use crate::pair::{AmqpConf, load, node, unload, wait_for_state};
use crate::traffic::set;

on_each_version!(
    a_broker_is_verified_by_the_authority_of_the_configuration,
    a_broker_that_wants_a_certificate_gets_ours,
    an_address_of_ipv6_is_reached,
);

/// Does not ask for a client's certificate.
pub(crate) fn lenient() -> &'static Broker {
    static BROKER: OnceLock<Broker> = OnceLock::new();
    BROKER.get_or_init(|| Broker::with_tls(false))
}

/// Does ask for it.
fn strict() -> &'static Broker {
    static BROKER: OnceLock<Broker> = OnceLock::new();
    BROKER.get_or_init(|| Broker::with_tls(true))
}

/// A node that has a file where it can read it.
struct Files<'a>(&'a Asterisk);

impl Files<'_> {
    fn add(&self, name: &str, file: &Path) -> String {
        let text = std::fs::read_to_string(file)
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        self.0.write_conf(name, &text);
        self.0.folder().join("etc").join(name).display().to_string()
    }
}

fn conf(version: Version, tenant: &Tenant<'_>) -> AmqpConf {
    let url = tenant.tls_url();
    match version {
        Version::V22 => AmqpConf::new(&url),
        // Its root does not know the name localhost. The certificate has the address too.
        Version::V16 => AmqpConf::new(&url.replace("@localhost:", "@127.0.0.1:")),
    }
}

/// Loads the module anew, with another configuration.
fn begin(asterisk: &Asterisk, conf: &AmqpConf) {
    if asterisk.process().maps("res_stasis_amqp.so") {
        unload(asterisk);
    }
    asterisk.write_conf("amqp.conf", &conf.text());
    load(asterisk);
}

#[track_caller]
fn assert_event_arrives(asterisk: &Asterisk, tenant: &Tenant<'_>) {
    let consumer = rig::Consumer::topic(&tenant.url(), "asterisk", &["ami.varset"]);
    set(asterisk, "BY_TLS");
    consumer.next_where("BY_TLS", seconds(10), |m| m.json()["data"]["Variable"] == "BY_TLS");
}

fn a_broker_is_verified_by_the_authority_of_the_configuration(version: Version) {
    let tenant = lenient().tenant();
    let asterisk = node(version, "").start();
    let files = Files(&asterisk);
    let ours = files.add("ca.pem", &lenient().certificates().ca());
    let another = files.add("another.pem", &Certificates::new().ca());
    let conf = conf(version, &tenant);

    begin(&asterisk, &conf.clone().connection("ca_file", &ours));
    let state = wait_for_state(&asterisk, "connected");
    assert!(state.contains("amqps://"), "{state}");
    assert_event_arrives(&asterisk, &tenant);

    begin(&asterisk, &conf.clone().connection("ca_file", &another));
    let state = wait_for_state(&asterisk, "TLS failed");
    for part in ["invalid peer certificate", "check ca_file", "next attempt"] {
        assert!(state.contains(part), "no {part:?} in: {state}");
    }

    let mark = asterisk.log_mark();
    begin(&asterisk, &conf.clone().connection("verify", "no"));
    let warning = asterisk.wait_log_after(mark, "verify = 'no'");
    assert!(warning.contains("WARNING"), "{warning}");
    wait_for_state(&asterisk, "connected");
    assert_event_arrives(&asterisk, &tenant);
}

fn a_broker_that_wants_a_certificate_gets_ours(version: Version) {
    let tenant = strict().tenant();
    let asterisk = node(version, "").start();
    let files = Files(&asterisk);
    let authority = files.add("ca.pem", &strict().certificates().ca());
    let (certificate, key) = strict().certificates().client();
    let (certificate, key) = (files.add("client.pem", &certificate), files.add("client.key", &key));
    let conf = conf(version, &tenant).connection("ca_file", &authority);

    begin(&asterisk, &conf);
    let state = wait_for_state(&asterisk, "TLS failed");
    for part in ["CertificateRequired", "check ca_file, cert_file and key_file"] {
        assert!(state.contains(part), "no {part:?} in: {state}");
    }

    begin(&asterisk, &conf.connection("cert_file", &certificate).connection("key_file", &key));
    wait_for_state(&asterisk, "connected");
    assert_event_arrives(&asterisk, &tenant);
    let secret = std::fs::read_to_string(strict().certificates().client().1).expect("the key");
    let line = secret.lines().nth(1).expect("a line of the key");
    assert!(!asterisk.log().contains(line), "the key is in the log");
}

fn an_address_of_ipv6_is_reached(version: Version) {
    static BROKER: OnceLock<(Broker, u16)> = OnceLock::new();
    let (broker, port) = BROKER.get_or_init(|| {
        let port = ports::free();
        (Broker::with(None, &format!("listeners.tcp.2 = ::1:{port}\n")), port)
    });
    let tenant = broker.tenant();
    let url =
        tenant.url().replace(&format!("127.0.0.1:{}", broker.port()), &format!("[::1]:{port}"));
    let asterisk = node(version, "").start();
    begin(&asterisk, &AmqpConf::new(&url));
    let state = wait_for_state(&asterisk, "connected");
    assert!(state.contains(&format!("@[::1]:{port}/")), "{state}");
    assert_event_arrives(&asterisk, &tenant);
}
