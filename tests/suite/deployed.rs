// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The files of `deploy/` in the servers they are for: only addresses, ports and folders are changed.

use std::fs;
use std::path::Path;

use rig::folder::Folder;
use rig::root::{Root, checkout};
use rig::{
    Asterisk, Broker, Builder, Call, Consul, Consumer, Dispatcher, Gateway, Kamailio, Version,
    eventually, ports, seconds,
};
use serde_json::{Value, json};

use crate::fleet::{AMQP, APPS, CONSUL, DISCOVERY, wait_app_service, wait_status};
use crate::gateway_fleet::{ids, scenarios};

scenarios!(
    a_call_goes_through_all_of_it,
    consuls_files_are_valid,
    the_units_are_valid_and_confined,
);

pub(crate) fn text_of(name: &str) -> String {
    let file = checkout().join("deploy").join(name);
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The names of the files in a folder of `deploy/`, in order.
pub(crate) fn files_in(folder: &str) -> Vec<String> {
    let path = checkout().join("deploy").join(folder);
    let entries = fs::read_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    names
}

/// Replaces each of these, all of which must be there.
#[track_caller]
fn at_home(text: &str, replacements: &[(&str, &str)]) -> String {
    replacements.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "no {from:?} in:\n{text}");
        text.replace(from, to)
    })
}

pub(crate) const PASSWORDS: [(&str, &str); 3] =
    [("asterisk", "node-secret"), ("gateway", "gateway-secret"), ("app", "app-secret")];
const ARI_PASSWORD: &str = "ari-secret";

/// A broker with the users of `definitions.json`, and the options of `rabbitmq.conf` that are no
/// addresses and need no cluster.
pub(crate) fn broker() -> Broker {
    let elsewhere =
        ["listeners.", "management.", "prometheus.", "cluster_formation.", "default_", "log."];
    let conf = text_of("rabbitmq/rabbitmq.conf");
    let is_kept = |line: &&str| {
        !elsewhere.iter().any(|start| line.starts_with(start)) && !line.contains("file = ")
    };
    let conf: String = conf.lines().filter(is_kept).map(|line| format!("{line}\n")).collect();
    let broker = Broker::with(Some(rig::certificates::Certificates::new()), &conf);
    let definitions: Value =
        serde_json::from_str(&text_of("rabbitmq/definitions.json")).expect("JSON");
    broker.api("POST", "/definitions", Some(&definitions)).ok();
    // Nobody gets in before he is given a password. The header says `asterisk:`, an empty one.
    let asked = ureq::get(format!("http://127.0.0.1:{}/api/whoami", broker.management_port()))
        .header("Authorization", "Basic YXN0ZXJpc2s6")
        .call();
    assert!(matches!(asked, Err(ureq::Error::StatusCode(401))), "{asked:?}");
    for (user, password) in PASSWORDS {
        let path = format!("/users/{user}");
        broker.api("PUT", &path, Some(&json!({"password": password, "tags": ""}))).ok();
    }
    broker
}

/// What lies beside the files of a node: certificates and secrets.
fn site(broker: &Broker, consul_token: &str) -> Folder {
    let site = Folder::new("site");
    let copy = |from: &Path, name: &str| {
        site.write(name, fs::read(from).unwrap_or_else(|error| panic!("{name}: {error}")));
    };
    let (certificate, key) = broker.certificates().server();
    copy(&broker.certificates().ca(), "ca.pem");
    copy(&certificate, "node.pem");
    copy(&key, "node.key");
    site.write("amqp.password", PASSWORDS[0].1);
    site.write("consul.token", consul_token);
    site.write("ari_gateway.conf", format!("password = {ARI_PASSWORD}\n"));
    site.sub("spool");
    site
}

/// A node with all files of `deploy/asterisk`.
fn node(consul: &Consul, broker: &Broker, site: &Folder, sip: u16, https: u16) -> Asterisk {
    let folder = site.path().display().to_string();
    let mut builder = Asterisk::builder(Version::V22).share(site.path());
    for module in [AMQP, CONSUL, DISCOVERY, APPS] {
        builder = builder.installed_module(module);
    }
    let (sip, https) = (sip.to_string(), https.to_string());
    let rabbit = format!("localhost:{}/", broker.tls_port());
    let agent = format!("port = {}", consul.port());
    let plain = format!("bindport = {}", ports::free());
    let include = format!("#include \"{folder}/ari_gateway.conf\"");
    // What is included in others is not looked at here.
    for name in files_in("asterisk").into_iter().filter(|name| !name.contains("_gateway")) {
        let text = text_of(&format!("asterisk/{name}"));
        if name == "asterisk.conf" {
            // The rest of that file is the rig's folders.
            let (_, options) = text.split_once("[options]").expect("options");
            let options = options.lines().filter(|line| !line.is_empty());
            builder = options.fold(builder, Builder::option);
            continue;
        }
        let changed: &[(&str, &str)] = match name.as_str() {
            "http.conf" => &[
                ("bindport = 8088", &plain),
                ("10.0.0.11:8089", &format!("127.0.0.1:{https}")),
                ("/etc/asterisk/keys", &folder),
            ],
            "ari.conf" => &[("#include secrets/ari_gateway.conf", &include)],
            "pjsip.conf" => &[
                ("10.0.0.11:5060", &format!("127.0.0.1:{sip}")),
                ("match = 10.0.0.5", "match = 127.0.0.1"),
            ],
            "amqp.conf" => &[
                ("rabbitmq-1.example.org/", &rabbit),
                ("rabbitmq-2.example.org/", &rabbit),
                ("/etc/asterisk/secrets", &folder),
                ("/etc/asterisk/keys", &folder),
                ("/var/spool/asterisk/amqp", &format!("{folder}/spool")),
            ],
            "consul.conf" => &[
                ("port = 8500", &agent),
                ("/etc/asterisk/secrets", &folder),
                ("discovery_ip = 10.0.0.11", "discovery_ip = 127.0.0.1"),
                ("discovery_port = 5060", &format!("discovery_port = {sip}")),
                ("meta_ari_port = 8089", &format!("meta_ari_port = {https}")),
            ],
            // The log that the rig reads.
            "logger.conf" => &[("messages =", "full = notice,warning,error\nmessages =")],
            _ => &[],
        };
        builder = builder.conf(&name, at_home(&text, changed));
    }
    builder.start()
}

/// Its warnings and errors, but for those of its check while it boots and connects.
fn complaints(node: &Asterisk) -> Vec<String> {
    let mut complaints = node.complaints();
    complaints.retain(|line| !line.contains(": health "));
    complaints
}

fn a_call_goes_through_all_of_it() {
    let consul = Consul::builder().default_deny().start();
    let token = |name: &str| consul.policy_token(&text_of(&format!("consul/policies/{name}.hcl")));
    let broker = broker();
    let site = site(&broker, &token("asterisk"));
    let (sip, https) = (ports::free(), ports::free());
    let node = node(&consul, &broker, &site, sip, https);
    let service = wait_status(&consul, node.entity_id(), "passing")["Service"].take();
    assert_eq!(service["Meta"]["ari_scheme"], "https");
    assert_eq!(service["Weights"], json!({"Passing": 10, "Warning": 1}));
    assert_eq!(complaints(&node), [""; 0]);

    // The key of an app, with the app's own token; a node with its own registers the application.
    let app = token("app");
    let put = json!([{"KV": {"Verb": "set", "Key": "applications/conf", "Value": ""}}]);
    consul.request_as(&app, "PUT", "/v1/txn", Some(&put)).ok();
    wait_app_service(&consul, &node, "conf");
    let other = json!([{"KV": {"Verb": "set", "Key": "applications/other", "Value": ""}}]);
    assert_ne!(consul.request_as(&app, "PUT", "/v1/txn", Some(&other)).status, 200);

    // The queue is the administrator's here; the app reads it with its own rights.
    let queue = json!({"durable": true, "arguments": {"x-queue-type": "quorum"}});
    broker.api("PUT", "/queues/constellation/app.conf", Some(&queue)).ok();
    let key = json!({"routing_key": "stasis.app.conf", "arguments": {}});
    broker.api("POST", "/bindings/constellation/e/asterisk/q/app.conf", Some(&key)).ok();
    let [_, _, (user, password)] = PASSWORDS;
    let url = format!("amqp://{user}:{password}@127.0.0.1:{}/constellation", broker.port());
    let events = Consumer::queue(&url, "app.conf");

    let kamailio = Kamailio::new("");
    let address = format!("address = \"127.0.0.1:{}\"", consul.port());
    let with_token = format!("{address}\ntoken = \"{}\"", token("dispatcher"));
    let dispatcher = Dispatcher::start(&with_token, &kamailio);
    eventually("the node in the list", seconds(20), || match kamailio.listed(1)[..] {
        [port] if port == sip => Ok(()),
        _ => Err(format!("{}\n{}", kamailio.list(), dispatcher.log())),
    });
    kamailio.start();

    let nodes = format!(
        "user = \"gateway\"\npassword = \"{ARI_PASSWORD}\"\nca_file = \"{}\"",
        site.path().join("ca.pem").display()
    );
    let with_token = format!("token = \"{}\"", token("gateway"));
    let gateway = Gateway::start(consul.port(), &[("consul", &with_token), ("nodes", &nodes)]);

    let call = Call::towards(kamailio.port(), "8000", seconds(2), 1, 1);
    let start = events.next(seconds(30));
    assert_eq!(start.name(), "StasisStart", "{:?}", start.json());
    let channels = eventually("the call at the gateway", seconds(20), || {
        let answer = gateway.ari().get("/channels");
        match answer.body.as_array().map(Vec::len) {
            Some(1) => Ok(ids(&answer.body)),
            _ => Err(answer.body),
        }
    });
    // No other node's call has this id.
    assert!(channels[0].starts_with("asterisk-1-"), "{channels:?}");
    gateway.ari().post(&format!("/channels/{}/answer", channels[0])).ok();
    // One of the distribution's own prompts.
    gateway.ari().post(&format!("/channels/{}/play?media=sound:beep", channels[0])).ok();
    let is_end = |event: &rig::Message| event.name() == "PlaybackFinished";
    let played = events.next_where("the end of the prompt", seconds(30), is_end);
    assert_eq!(played.json()["data"]["playback"]["state"], "done", "{:?}", played.json());
    call.wait(seconds(40));
    // What no application takes is no call, and nobody but Kamailio's address may try.
    let refused = Call::towards(kamailio.port(), "9999", seconds(2), 1, 1).outcome(seconds(40));
    assert!(refused.is_err_and(|said| said.contains("SIP/2.0 404")));
    assert_eq!(complaints(&node), [""; 0]);
    for secret in [ARI_PASSWORD, PASSWORDS[0].1] {
        assert!(!node.log().contains(secret), "a secret is in the log");
    }
    kamailio.assert_alive();
    dispatcher.stop();
    assert!(node.terminate().success());
    assert_eq!(consul.service(node.entity_id()), None);
}

fn consuls_files_are_valid() {
    for name in ["server.hcl", "agent.hcl"] {
        let folder = Folder::new("validated");
        let tls = folder.path().display().to_string();
        for file in ["ca.pem", "server.pem", "server.key", "agent.pem", "agent.key"] {
            folder.write(file, "");
        }
        let text = at_home(&text_of(&format!("consul/{name}")), &[("/etc/consul.d/tls", &tls)]);
        let file = folder.write(name, text);
        let validated =
            Root::Bullseye.command("consul").bind(folder.path()).arg("validate").arg(&file).run();
        let said = validated.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(said.contains("Configuration is valid"), "{name}: {said}");
    }
}

/// The most that `systemd-analyze security` may say of a unit: 0 is safe, 10 is not.
const EXPOSURE: f64 = 2.0;

fn the_units_are_valid_and_confined() {
    let folder = Folder::new("units");
    for name in files_in("systemd") {
        folder.write(&name, text_of(&format!("systemd/{name}")));
    }
    let analyze = |arguments: &[&str], name: &str| {
        let command = Root::Testing.command("systemd-analyze").bind(folder.path());
        command.args(arguments).arg(folder.path().join(name)).run()
    };
    let units: Vec<String> =
        files_in("systemd").into_iter().filter(|name| name.ends_with(".service")).collect();
    assert_eq!(units.len(), 3);
    for name in &units {
        // The programs of the units are not in the root; all else it complains of is a fault.
        let said = match analyze(&["verify", "--man=no"], name) {
            Ok(said) | Err(said) => said,
        };
        let faults: Vec<&str> = said
            .lines()
            .filter(|line| line.contains(name.as_str()) || line.contains("constellation"))
            .filter(|line| !line.contains("is not executable: No such file"))
            .collect();
        assert_eq!(faults, [""; 0], "{name}");
        let told = analyze(&["security", "--offline=yes", "--no-pager"], name);
        let told = told.unwrap_or_else(|error| panic!("{name}: {error}"));
        let level = told.rsplit("exposure level for").next().and_then(|rest| {
            rest.split_once(": ")?.1.split_whitespace().next()?.parse::<f64>().ok()
        });
        assert!(level.is_some_and(|level| level <= EXPOSURE), "{name}: {level:?}\n{told}");
    }
}
