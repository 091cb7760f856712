// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The program itself: its configuration, its end.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rig::gateway::run;
use rig::process::Signal;
use rig::{Answer, Broker, Consul, Gateway, Pretender, Request, Version, eventually, seconds};
use serde_json::json;

use crate::gateway_events::HEAD;
use crate::gateway_fleet::{Site, scenarios};
use crate::gateway_hostile::{gateway_of, nothing};

scenarios!(
    a_configuration_is_checked,
    passwords_and_tokens_are_made,
    a_stop_waits_for_what_is_under_way,
    a_stop_says_goodbye_to_every_websocket,
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

fn a_stop_says_goodbye_to_every_websocket() {
    let (consul, tenant) = (Consul::start(), Broker::shared().tenant());
    let may_answer = Arc::new(AtomicBool::new(false));
    let may = Arc::clone(&may_answer);
    let node = Pretender::start(move |request: &Request| match request.path() {
        "/ari/applications/a" => Answer::json(&json!({})),
        "/ari/channels/slow" => {
            let may = Arc::clone(&may);
            Answer::later(move || {
                let may = may.load(Ordering::SeqCst);
                may.then(|| Answer::json(&json!({"id": "slow"})))
            })
        }
        _ => nothing(request),
    });
    let url = format!("url = \"{}\"", tenant.url());
    let gateway = gateway_of(&node, &consul, &[("amqp", &url)]);
    gateway.wait_log_after(0, "RabbitMQ: connected");
    // More than a thread's runtime sees to between two looks at whether it is to end.
    let mut sockets: Vec<TcpStream> = (0..200).map(|_| websocket(&gateway)).collect();
    let mut asking = sockets.pop().expect("a socket");
    asking.write_all(&request("channels/slow")).expect("a request");
    eventually("the request to be under way", seconds(20), || {
        match node.requests_to("/ari/channels/slow") {
            0 => Err("not yet"),
            _ => Ok(()),
        }
    });
    gateway.process().signal(Signal::TERM);
    let goodbye = [[0x88, 25, 0x03, 0xe9].as_slice(), b"the gateway is stopping"].concat();
    let rest = |socket: &mut TcpStream| {
        let mut rest = Vec::new();
        socket.read_to_end(&mut rest).map(|_| rest)
    };
    for socket in &mut sockets {
        let rest = rest(socket).expect("a farewell");
        assert!(rest.ends_with(&goodbye), "{:?}", String::from_utf8_lossy(&rest));
    }
    may_answer.store(true, Ordering::SeqCst);
    let rest = rest(&mut asking).expect("an answer and a farewell");
    let told = String::from_utf8_lossy(&rest);
    assert!(told.contains("\"status_code\":200") && rest.ends_with(&goodbye), "{told}");
    assert!(gateway.process().wait(seconds(30)).success());
    assert!(gateway.log().contains(" stopped\n"), "no connection was cut");
}

/// An event websocket that is open.
fn websocket(gateway: &Gateway) -> TcpStream {
    let mut socket = TcpStream::connect(("127.0.0.1", gateway.port())).expect("a connection");
    socket.set_read_timeout(Some(seconds(20))).expect("a timeout");
    let wanted = "GET /ari/events?app=a&api_key=rig:gateway-password HTTP/1.1\r\nHost: x\r\n";
    socket.write_all(format!("{wanted}{HEAD}\r\n").as_bytes()).expect("a request");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).expect("an answer");
        head.extend(byte);
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    socket
}

/// A GET over a websocket: a final frame of text, masked with zeros.
fn request(uri: &str) -> Vec<u8> {
    let text = json!({"type": "RESTRequest", "method": "GET", "uri": uri}).to_string();
    let length = u8::try_from(text.len()).ok().filter(|length| *length < 126);
    let head = [0x81, 0x80 | length.expect("a short request"), 0, 0, 0, 0];
    [&head, text.as_bytes()].concat()
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
