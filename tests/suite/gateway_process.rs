// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The program itself: its configuration, its end.

use std::thread;

use rig::gateway::run;
use rig::{Gateway, Version, eventually, seconds};

use crate::gateway_fleet::{Site, scenarios};

scenarios!(
    a_configuration_is_checked,
    passwords_and_tokens_are_made,
    a_stop_waits_for_what_is_under_way,
    metrics_and_health_are_told,
);

fn a_configuration_is_checked() {
    let folder = rig::folder::Folder::new("gateway");
    let check = |text: &str| {
        let file = folder.write("gateway.toml", text);
        run(&["--check", "--config", &file.display().to_string()])
    };
    let (hash, _) = hash_of("x");
    let fine = format!(
        "[nodes]\nuser = \"u\"\npassword = \"p\"\n[[user]]\nname = \"a\"\npassword_hash = \"{hash}\"\n"
    );
    let (status, told) = check(&fine);
    assert!(status.success() && told.contains(": fine"), "{told}");
    for (text, wanted) in [
        (fine.replace("user =", "usr ="), "[nodes]: usr: unknown option (did you mean user?)"),
        (format!("[htp]\n{fine}"), "[htp]: unknown section (did you mean http?)"),
        (format!("[http]\nlisten = \"x\"\n{fine}"), "[http]: listen: \"x\" is no address"),
        (fine.replace(&hash, "secret"), "password_hash: is no argon2 hash"),
        ("x".to_owned(), "gateway.toml: "),
    ] {
        let (status, told) = check(&text);
        assert!(!status.success() && told.contains(wanted), "{wanted}: {told}");
        assert!(!told.contains("panicked"), "{told}");
    }
    let (status, told) = run(&["--check", "--config", "/nowhere/gateway.toml"]);
    assert!(!status.success() && told.contains("/nowhere/gateway.toml: cannot be read"), "{told}");
}

fn hash_of(password: &str) -> (String, std::process::ExitStatus) {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let mut child = Command::new(rig::gateway::binary())
        .arg("hash")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the gateway");
    let mut input = child.stdin.take().expect("its input");
    input.write_all(format!("{password}\n").as_bytes()).expect("its input");
    drop(input);
    let output = child.wait_with_output().expect("its output");
    (String::from_utf8_lossy(&output.stdout).trim().to_owned(), output.status)
}

fn passwords_and_tokens_are_made() {
    let (hash, status) = hash_of("a password");
    assert!(status.success() && hash.starts_with("$argon2id$"), "{hash}");
    assert!(!hash_of("").1.success());
    let (status, told) = run(&["token"]);
    assert!(status.success() && told.contains("sha256:"), "{told}");
}

fn a_stop_waits_for_what_is_under_way() {
    let site = Site::start(&[Version::V22], &[]);
    let post = &site.posts[0];
    // The first use of a password takes its time.
    site.ari().get("/channels").ok();
    post.proxy.delay(seconds(1));
    let before = post.proxy.requests_to("GET /ari/sounds");
    thread::scope(|scope| {
        let slow = scope.spawn(|| site.ari().get("/sounds"));
        eventually("the request to be under way", seconds(20), || {
            match post.proxy.requests_to("GET /ari/sounds") > before {
                true => Ok(()),
                false => Err("not yet"),
            }
        });
        let status = site.gateway.terminate();
        assert!(status.success(), "{status}");
        assert_eq!(slow.join().expect("the client").status, 200);
    });
    assert!(site.gateway.log().contains("stopped"));
}

fn metrics_and_health_are_told() {
    let site = Site::shared();
    let asked = "gateway_requests_total{method=\"GET\",area=\"sounds\",status=\"200\"}";
    let before = site.gateway.metric(asked);
    site.ari().get("/sounds").ok();
    assert!(site.gateway.metric(asked) > before);
    assert_eq!(site.gateway.metric("gateway_consul_up"), 1.0);
    let eid = site.posts[0].eid();
    let node = format!("gateway_node_requests_total{{node=\"{eid}\",outcome=\"200\"}}");
    assert!(site.gateway.metric(&node) > 0.0);
    assert!(site.gateway.metric("gateway_request_seconds_count") > 0.0);
    let other = Gateway::start(site.consul.port(), &[]);
    other.assert_alive();
    assert!(other.terminate().success());
}
