// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The files of `deploy/compose`, without an engine that would run them: what they name is there, and
//! the conference runs with the environment and the rights that they give it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use rig::app::python;
use rig::folder::Folder;
use rig::gateway::{TOKEN, run};
use rig::root::checkout;
use rig::{App, Consul, Gateway};
use serde_json::Value;

use crate::deployed::{PASSWORDS, broker, files_in, text_of};
use crate::gateway_fleet::scenarios;

scenarios!(
    what_the_images_are_made_of_is_there,
    what_compose_names_is_there_or_made,
    the_conference_runs_as_it_is_composed,
);

/// `compose.yaml`, read as Compose reads it.
fn composed() -> Value {
    let file = checkout().join("deploy/compose/compose.yaml");
    let read = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
    let output = Command::new(python()).args(["-c", read]).arg(&file).output().expect("python");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn members(object: &Value) -> BTreeMap<String, Value> {
    object
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, one)| (name.clone(), one.clone()))
        .collect()
}

/// A folder in which `secrets.sh` has made what it makes.
fn secrets() -> Folder {
    let folder = Folder::new("compose");
    for name in ["secrets.sh", "gateway.toml"] {
        fs::copy(checkout().join("deploy/compose").join(name), folder.path().join(name))
            .expect(name);
    }
    for _ in 0..2 {
        let output = Command::new(folder.path().join("secrets.sh")).output().expect("secrets.sh");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    folder
}

fn what_the_images_are_made_of_is_there() {
    let ignored = fs::read_to_string(checkout().join(".dockerignore")).expect("readable");
    let images: Vec<String> =
        files_in("compose").into_iter().filter(|name| name.ends_with(".Dockerfile")).collect();
    assert_eq!(images.len(), 4, "{images:?}");
    for image in &images {
        let text = text_of(&format!("compose/{image}"));
        let copied = text.lines().filter_map(|line| line.strip_prefix("COPY "));
        let mut count = 0;
        for words in copied.filter(|words| !words.starts_with("--from")) {
            let sources: Vec<&str> = words.split(' ').collect();
            for source in &sources[..sources.len() - 1] {
                count += 1;
                assert!(checkout().join(source).exists(), "{image} copies {source}");
                let is_ignored = ignored.lines().any(|line| source.starts_with(line));
                assert!(!is_ignored, "{image}: {source} is not in the context");
            }
        }
        assert!(count > 0, "{image} copies nothing");
        // No image runs as root.
        let last = text.lines().rfind(|line| line.starts_with("USER "));
        assert!(last.is_some_and(|line| line != "USER root"), "{image}: {last:?}");
    }
}

fn what_compose_names_is_there_or_made() {
    let composed = composed();
    let folder = secrets();
    let made = |path: &str| folder.path().join(path).exists();
    let declared = members(&composed["secrets"]);
    for (name, secret) in &declared {
        let file = secret["file"].as_str().expect("a file");
        assert!(made(file), "secrets.sh does not make {file}, which is {name}");
    }
    let networks = members(&composed["networks"]);
    let volumes = members(&composed["volumes"]);
    let services = members(&composed["services"]);
    let mut used = BTreeSet::new();
    let mut images = BTreeSet::new();
    for (name, service) in &services {
        for secret in texts(&service["secrets"]) {
            assert!(declared.contains_key(secret), "{name}: secret {secret}");
            used.insert(secret.to_owned());
        }
        if let Some(file) = service["build"]["dockerfile"].as_str() {
            assert!(checkout().join(file).exists(), "{name}: {file}");
            images.insert(file.rsplit('/').next().unwrap_or_default().to_owned());
        }
        for volume in texts(&service["volumes"]) {
            let source = volume.split(':').next().unwrap_or_default();
            let is_there = match source.strip_prefix("./secrets/") {
                Some(_) => made(source),
                None if source.starts_with('.') => {
                    checkout().join("deploy/compose").join(source).exists()
                }
                None => volumes.contains_key(source),
            };
            assert!(is_there, "{name}: volume {source}");
        }
        for other in members(&service["depends_on"]).keys() {
            assert!(services.contains_key(other), "{name} depends on {other}");
        }
        let own = match &service["networks"] {
            Value::Object(own) => own.keys().cloned().collect(),
            list => texts(list).into_iter().map(str::to_owned).collect::<Vec<_>>(),
        };
        assert!(own.iter().all(|network| networks.contains_key(network)), "{name}: {own:?}");
    }
    assert_eq!(used, declared.into_keys().collect(), "every secret is somebody's");
    let all: BTreeSet<String> =
        files_in("compose").into_iter().filter(|name| name.ends_with(".Dockerfile")).collect();
    assert_eq!(images, all, "every image is some service's");

    // What it listens at is what it tells of itself, and what nodes know it by.
    let kamailio = composed["services"]["kamailio"]["networks"]["nodes"]["ipv4_address"].as_str();
    let kamailio = kamailio.expect("Kamailio's address");
    let local = text_of("compose/kamailio-local.cfg");
    let listens: Vec<&str> =
        local.lines().filter_map(|line| line.strip_prefix("listen=")).collect();
    assert_eq!(listens, ["udp", "tcp"].map(|one| format!("{one}:{kamailio}:5060")));
    assert_eq!(composed["services"]["asterisk"]["environment"]["KAMAILIO_ADDRESS"], kamailio);

    // What the scripts put into a node's files has its place there.
    let script = text_of("compose/asterisk.sh");
    for (file, line) in [
        ("pjsip_gateway.conf", "password = CHANGE-ME"),
        ("pjsip.conf", ";#include pjsip_gateway.conf"),
        ("extensions.conf", ";#include extensions_gateway.conf"),
    ] {
        let text = text_of(&format!("asterisk/{file}"));
        assert!(text.lines().any(|one| one == line), "no {line:?} in {file}");
        assert!(script.contains(&format!(" {file}\n")), "asterisk.sh leaves {file} alone");
    }

    // The gateway takes the configuration that the secrets make.
    let toml = fs::read_to_string(folder.path().join("secrets/gateway.toml")).expect("made");
    let at_home = folder.path().join("secrets").display().to_string();
    let file = folder.write("at-home.toml", toml.replace("/run/secrets", &at_home));
    let (status, said) = run(&["--config", &file.display().to_string(), "--check"]);
    assert!(status.success(), "{said}");
}

/// With the rights of `deploy/consul` and `deploy/rabbitmq`, and no more.
fn the_conference_runs_as_it_is_composed() {
    let composed = composed();
    let service = &composed["services"]["app"];
    let consul = Consul::builder().default_deny().start();
    let broker = broker();
    let all = format!("token = \"{}\"", consul.management_token());
    let gateway = Gateway::start(consul.port(), &[("consul", &all)]);
    let own = Folder::new("run-secrets");
    let ca = fs::read(broker.certificates().ca()).expect("a certificate");
    let (user, password) = PASSWORDS[2];
    let token = consul.policy_token(&text_of("consul/policies/app.hcl"));
    for (name, text) in [
        ("ca.pem", ca.as_slice()),
        ("amqp.password", password.as_bytes()),
        ("consul.token", token.as_bytes()),
        ("conf.token", TOKEN.as_bytes()),
    ] {
        own.write(name, text);
        assert!(texts(&service["secrets"]).contains(&name), "{name}");
    }

    // Other addresses, and nothing else.
    let endpoint = gateway.ari().url("");
    let elsewhere = BTreeMap::from([
        ("API_ENDPOINT", endpoint),
        ("AMQP_HOST", "localhost".to_owned()),
        ("AMQP_PORT", broker.tls_port().to_string()),
        ("CONSUL_HOST", "127.0.0.1".to_owned()),
    ]);
    let mut settings = members(&service["environment"]);
    assert_eq!(settings["AMQP_USERNAME"], user);
    settings.remove("APP_PORT");
    let folder = own.path().display().to_string();
    let mut settings: Vec<(String, String)> = settings
        .into_iter()
        .map(|(name, value)| {
            let value = value.as_str().unwrap_or_else(|| panic!("{name} is no text")).to_owned();
            let there = elsewhere.get(name.as_str()).cloned();
            let value = there.unwrap_or_else(|| value.replace("/run/secrets", &folder));
            (name, value)
        })
        .collect();
    settings.push(("CONSUL_PORT".to_owned(), consul.port().to_string()));
    let settings: Vec<(&str, &str)> =
        settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_known(&settings);

    let app = App::start("apps/conference/conference.py", &settings);
    app.wait_partitions(16);
    app.wait_health("to have Consul", |told| told["consul"] == "connected");
    assert_eq!(consul.kv_keys("apps/conf/partitions/").len(), 16, "{}", app.log());
    assert_eq!(consul.kv_keys("applications/conf"), ["applications/conf"]);
    assert!(app.terminate().success(), "{}", app.log());
    let log = app.log();
    // With a space before it: digits of a time or a port say nothing.
    for refused in [" 403", " 401", "ACCESS_REFUSED"] {
        assert!(!log.contains(refused), "{log}");
    }
    let text = text_of("compose/app.Dockerfile");
    let command = service["command"][0].as_str().expect("a command");
    let program = "/opt/app/venv/bin/python -u /opt/app/main.py";
    assert!(command.contains(program), "{command}");
    assert!(text.contains(&program.replace(' ', "\", \"")), "{text}");
    assert!(text.contains(" /opt/app/main.py\n"), "{text}");
}

/// A variable that is no option would be looked at by nobody.
#[track_caller]
fn assert_known(settings: &[(&str, &str)]) {
    let read = "from dataclasses import fields; from app_sdk import config; \
                print(*(f'{name}_{field.name}'.upper() for name, kind in config._SECTIONS.items() \
                for field in fields(kind)))";
    let output = Command::new(python())
        .args(["-c", read])
        .env("PYTHONPATH", checkout().join("apps"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("python");
    let known = String::from_utf8_lossy(&output.stdout).into_owned();
    let known: BTreeSet<&str> = known.split_whitespace().collect();
    let unknown: Vec<&str> =
        settings.iter().map(|(name, _)| *name).filter(|name| !known.contains(name)).collect();
    assert_eq!(unknown, [""; 0], "{known:?}");
}
