// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A measurement, not run with the others: one small GET of a call over four connections, from
//! Asterisk directly, through nginx as a plain reverse proxy, and through the gateway.
//!
//! `WRK=wrk NGINX=nginx cargo test --release -p constellation-tests --test suite -- --ignored
//! --nocapture gateway_performance`

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rig::folder::Folder;
use rig::process::{Process, Signal, guarded};
use rig::{Consul, Gateway, Version, eventually, ports, seconds};

use crate::fleet::{CONSUL, DISCOVERY, node, wait_status};
use crate::gateway_fleet::text;
use crate::member::quick;

const LASTS: &str = "4s";
const ROUNDS: usize = 3;
/// `Authorization` of the rig's user at Asterisk.
const NODE_LOGIN: &str = "Authorization: Basic cmlnOnJpZy1wYXNzd29yZA==";

#[test]
#[ignore = "a measurement: needs wrk and nginx"]
fn gateway_beside_nginx() {
    let program = |variable: &str, usual: &str| {
        std::env::var_os(variable).map_or_else(|| PathBuf::from(usual), PathBuf::from)
    };
    let (wrk, nginx) = (program("WRK", "wrk"), program("NGINX", "nginx"));
    let consul = Consul::start();
    let asterisk =
        node(Version::V22, "", &quick(consul.port())).load(CONSUL).load(DISCOVERY).start();
    wait_status(&consul, asterisk.entity_id(), "passing");
    let gateway = Gateway::start(consul.port(), &[("log", "level = \"info\"")]);
    let _events = asterisk.ari().events("bench");
    let call = gateway.ari().post("/channels?endpoint=Local/stay@default&app=bench").ok();
    let path = format!("/ari/channels/{}", text(&call["id"]));

    let folder = Folder::new("nginx");
    let port = ports::free();
    let conf = folder.write("nginx.conf", nginx_conf(port, asterisk.http_port(), &folder));
    let mut command = guarded(&nginx);
    command.arg("-c").arg(&conf).arg("-p").arg(folder.path());
    let nginx = Process::spawn("nginx", command, &folder.path().join("printed"));
    eventually("nginx", seconds(10), || std::net::TcpStream::connect(("127.0.0.1", port)));

    let bearer = format!("Authorization: Bearer {}", rig::gateway::TOKEN);
    for round in 1..=ROUNDS {
        for (name, port, login) in [
            ("Asterisk", asterisk.http_port(), NODE_LOGIN),
            ("nginx", port, NODE_LOGIN),
            ("gateway", gateway.port(), bearer.as_str()),
        ] {
            let url = format!("http://127.0.0.1:{port}{path}");
            let output = Command::new(&wrk)
                .args(["-t1", "-c4", "--latency", "-d", LASTS, "-H", login, &url])
                .output();
            let output = output.unwrap_or_else(|error| panic!("{}: {error}", wrk.display()));
            let told = String::from_utf8_lossy(&output.stdout).into_owned();
            let figure = |label: &str| {
                let line = told.lines().find_map(|line| line.trim().strip_prefix(label));
                line.unwrap_or("?").trim().to_owned()
            };
            let (rate, half, most) = (figure("Requests/sec:"), figure("50%"), figure("99%"));
            let wrong = figure("Non-2xx or 3xx responses:");
            eprintln!(
                "{round} {name:>9}: {rate:>10} requests/s, p50 {half}, p99 {most}, not 2xx: {wrong}"
            );
        }
    }
    // In order: killed, it would leave its workers behind.
    nginx.signal(Signal::TERM);
    nginx.wait(seconds(10));
    gateway.assert_alive();
    assert!(gateway.process().cpu_time() > Duration::ZERO);
}

fn nginx_conf(port: u16, server: u16, folder: &Folder) -> String {
    let folder = folder.path().display();
    format!(
        "daemon off;\nuser root;\npid {folder}/pid;\nerror_log {folder}/errors;\nworker_processes auto;\n\
         events {{ worker_connections 512; }}\n\
         http {{\n access_log off;\n client_body_temp_path {folder}/body;\n\
         proxy_temp_path {folder}/proxy;\n fastcgi_temp_path {folder}/fastcgi;\n\
         uwsgi_temp_path {folder}/uwsgi;\n scgi_temp_path {folder}/scgi;\n\
         keepalive_requests 100000000;\n\
         upstream node {{ server 127.0.0.1:{server}; keepalive 16; keepalive_requests 100000000; }}\n\
         server {{ listen 127.0.0.1:{port};\n  location / {{ proxy_pass http://node;\n   \
         proxy_http_version 1.1; proxy_set_header Connection \"\"; }}\n }}\n}}\n"
    )
}
