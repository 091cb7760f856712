// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Nodes, Consul and networks that fail.

use std::thread;
use std::time::Instant;

use rig::{Gateway, eventually, seconds};
use serde_json::{Value, json};

use crate::gateway_fleet::{Site, ids, scenarios, text};

scenarios!(
    an_owner_that_is_killed_is_unavailable_and_then_forgotten,
    consul_may_go_and_come_back,
    a_node_in_maintenance_keeps_its_calls_and_gets_no_new_ones,
    a_create_is_sent_once_though_no_answer_comes,
    a_node_that_cannot_be_reached_gets_no_new_calls,
    a_second_node_of_the_same_id_is_refused,
    a_node_that_is_silent_does_not_stop_the_others,
    without_a_node_it_says_so,
);

const QUICK: [(&str, &str); 3] = [
    ("nodes", "request_timeout = \"1s\"\nquestion_timeout = \"500ms\""),
    ("consul", "forget_after = \"2s\""),
    ("index", "refresh = \"1s\""),
];

fn an_owner_that_is_killed_is_unavailable_and_then_forgotten() {
    let site = Site::three(&QUICK);
    let _app = site.app("killed");
    let calls: Vec<(String, Value)> = (0..3).map(|_| site.call("killed")).collect();
    let (dead, dead_node) = &calls[0];
    let post = site.post(dead_node);
    post.asterisk.kill();
    // What a proxy has in front of nothing would accept connections.
    post.proxy.refuse();
    post.proxy.cut();
    for path in [format!("/channels/{dead}"), format!("/channels/{dead}/variable?variable=X")] {
        let refused = site.ari().get(&path);
        assert_eq!(refused.status, 503, "{refused:?}");
        assert!(text(&refused.body["message"]).contains(post.eid()), "{refused:?}");
    }
    assert_eq!(site.ari().post(&format!("/channels/{dead}/answer")).status, 503);
    for (id, eid) in &calls[1..] {
        assert_eq!(&site.ari().get(&format!("/channels/{id}")).ok()["asterisk_id"], eid);
        assert!(ids(&site.ari().get("/channels").ok()).contains(id));
    }
    // New calls come, none to the dead, however soon.
    for _ in 0..6 {
        let (_, eid) = site.call("killed");
        assert_ne!(&eid, dead_node);
    }
    site.consul.deregister(post.eid());
    eventually("the dead node to be forgotten", seconds(30), || {
        match site.ari().get(&format!("/channels/{dead}")).status {
            404 => Ok(()),
            503 => Err(503),
            other => panic!("status {other}"),
        }
    });
    site.gateway.assert_alive();
}

fn consul_may_go_and_come_back() {
    let site = Site::three(&QUICK);
    let _app = site.app("blind");
    let calls: Vec<(String, Value)> = (0..3).map(|_| site.call("blind")).collect();
    let mark = site.gateway.log_mark();
    site.consul.kill();
    site.gateway.wait_log_after(mark, "the fleet stays as it was seen last");
    let works = || {
        for (id, eid) in &calls {
            assert_eq!(&site.ari().get(&format!("/channels/{id}")).ok()["asterisk_id"], eid);
        }
        let (id, _) = site.call("blind");
        site.ari().delete(&format!("/channels/{id}")).ok();
    };
    works();
    // A gateway that starts now says why it is not ready.
    let late = Gateway::start_without_waiting(site.consul.port(), &QUICK);
    eventually("the late gateway to say why", seconds(20), || {
        let answer = ureq_status(late.port(), "/health/ready");
        if answer == 503 { Ok(()) } else { Err(answer) }
    });
    assert_eq!(late.ari().get("/channels").status, 503);
    let mark = site.gateway.log_mark();
    // An agent in development mode has forgotten all; the nodes register again.
    site.consul.start_again();
    site.gateway.wait_log_after(mark, "Consul answers");
    site.wait_nodes("passing", 3);
    works();
    late.wait_ready();
    let listed = ids(&late.ari().get("/channels").ok());
    assert!(calls.iter().all(|(id, _)| listed.contains(id)));
    site.gateway.assert_alive();
}

fn ureq_status(port: u16, path: &str) -> u16 {
    let raw = crate::gateway_access::raw(port, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
    raw.split_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or(0)
}

fn a_node_in_maintenance_keeps_its_calls_and_gets_no_new_ones() {
    let site = Site::three(&[]);
    let _app = site.app("kept");
    let calls: Vec<(String, Value)> = (0..3).map(|_| site.call("kept")).collect();
    let (id, eid) = &calls[0];
    site.consul.set_maintenance(&text(eid), true, "lunch");
    site.wait_nodes("maintenance", 1);
    for _ in 0..4 {
        assert_ne!(&site.call("kept").1, eid);
    }
    site.ari().post(&format!("/channels/{id}/variable?variable=A&value=b")).ok();
    assert!(ids(&site.ari().get("/channels").ok()).contains(id));
    // Who names it gets it.
    let named = format!("/channels?endpoint=Local/stay@default&app=kept&asteriskId={}", text(eid));
    assert_eq!(&site.ari().post(&named).ok()["asterisk_id"], eid);
    // Of a call on it another can come, there.
    let near = format!("/channels?endpoint=Local/stay@default&app=kept&originator={id}");
    assert_eq!(&site.ari().post(&near).ok()["asterisk_id"], eid);
    site.consul.set_maintenance(&text(eid), false, "");
    site.wait_nodes("passing", 3);
    eventually("a new call on it", seconds(20), || {
        if site.call("kept").1 == *eid { Ok(()) } else { Err("elsewhere") }
    });
}

fn a_create_is_sent_once_though_no_answer_comes() {
    let site = Site::three(&QUICK);
    let events = site.app("once");
    for post in &site.posts {
        post.proxy.swallow();
    }
    let originate = "/channels?endpoint=Local/stay@default&app=once&channelId=the-one";
    let lost = site.ari().post(originate);
    assert_eq!(lost.status, 504, "{lost:?}");
    for post in &site.posts {
        post.proxy.pass();
    }
    let sent = |wanted: &str| -> usize {
        let all = site.posts.iter().flat_map(|post| post.requests());
        all.filter(|line| line.starts_with("POST") && line.contains(wanted)).count()
    };
    assert_eq!(sent("the-one"), 1);
    // It is there, and found again, on one node.
    eventually("the call to be found", seconds(20), || {
        match site.ari().get("/channels/the-one").status {
            200 => Ok(()),
            other => Err(other),
        }
    });
    let have = site.posts.iter().filter(|post| post.channels().contains(&"the-one".to_owned()));
    assert_eq!(have.count(), 1);
    let (id, _) = site.call("once");
    let begun = |id: &str, event: &Value| {
        event["type"] == "StasisStart" && event["channel"]["id"] == json!(id)
    };
    let mut all: Vec<Value> = Vec::new();
    eventually("both calls to begin", seconds(20), || {
        all.extend(events.iter().flat_map(rig::AriEvents::drain));
        let count = |id: &str| all.iter().filter(|event| begun(id, event)).count();
        let counts = (count("the-one"), count(&id));
        if counts.0 > 0 && counts.1 > 0 { Ok(()) } else { Err(format!("{counts:?}")) }
    });
    for id in ["the-one", &id] {
        assert_eq!(all.iter().filter(|event| begun(id, event)).count(), 1, "{id}: {all:?}");
    }
}

fn a_node_that_cannot_be_reached_gets_no_new_calls() {
    let site = Site::three(&QUICK);
    let _app = site.app("moved");
    let unreachable = &site.posts[0];
    unreachable.proxy.refuse();
    unreachable.proxy.cut();
    for _ in 0..9 {
        assert_ne!(site.call("moved").1, unreachable.eid());
    }
    assert!(unreachable.requests().iter().all(|line| !line.starts_with("POST")));
    unreachable.proxy.pass();
    eventually("calls to come to it again", seconds(30), || {
        let (id, eid) = site.call("moved");
        site.ari().delete(&format!("/channels/{id}")).ok();
        if eid == unreachable.eid() { Ok(()) } else { Err("elsewhere") }
    });
}

fn a_second_node_of_the_same_id_is_refused() {
    let site = Site::three(&[]);
    let eid = site.posts[0].eid();
    let mark = site.gateway.log_mark();
    let impostor = json!({
        "ID": "impostor", "Name": "asterisk", "Address": "127.0.0.1", "Port": 5060,
        "Meta": {"eid": eid, "ari_port": "9", "ari_scheme": "http"},
    });
    site.consul.request("PUT", "/v1/agent/service/register", Some(&impostor)).ok();
    let told = site.gateway.wait_log_after(mark, "two services have the entity id");
    assert!(told.contains("impostor") && told.contains(eid), "{told}");
    let nameless = json!({"ID": "nameless", "Name": "asterisk", "Address": "127.0.0.1"});
    site.consul.request("PUT", "/v1/agent/service/register", Some(&nameless)).ok();
    site.gateway.wait_log_after(mark, "its meta has no eid");
    let info = site.ari().get(&format!("/asterisk/info?asteriskId={eid}")).ok();
    assert_eq!(info["system"]["entity_id"], eid);
    site.wait_nodes("passing", 3);
    let log = site.gateway.log();
    assert_eq!(log.matches("two services have").count(), 1, "told once");
}

fn a_node_that_is_silent_does_not_stop_the_others() {
    let site = Site::three(&QUICK);
    let _app = site.app("silent");
    let calls: Vec<(String, Value)> = (0..3).map(|_| site.call("silent")).collect();
    let (lost, silent) = &calls[0];
    site.post(silent).proxy.black_hole();
    thread::scope(|scope| {
        for _ in 0..40 {
            scope.spawn(|| {
                let answer = site.ari().get(&format!("/channels/{lost}"));
                assert_eq!(answer.status, 503, "{answer:?}");
            });
        }
        for (id, _) in &calls[1..] {
            let since = Instant::now();
            for _ in 0..20 {
                site.ari().get(&format!("/channels/{id}")).ok();
            }
            assert!(since.elapsed() < seconds(10), "{:?}", since.elapsed());
        }
    });
    let listed = ids(&site.ari().get("/channels").ok());
    assert!(calls[1..].iter().all(|(id, _)| listed.contains(id)));
    // Who has it cannot be said.
    assert_eq!(site.ari().get("/channels/nobodys").status, 503);
    site.post(silent).proxy.pass();
    eventually("its call to be there again", seconds(20), || {
        match site.ari().get(&format!("/channels/{lost}")).status {
            200 => Ok(()),
            other => Err(other),
        }
    });
    site.gateway.assert_alive();
}

fn without_a_node_it_says_so() {
    let consul = rig::Consul::start();
    let gateway = Gateway::start(consul.port(), &[]);
    for path in ["/channels", "/channels/x", "/api-docs/channels.json"] {
        assert_eq!(gateway.ari().get(path).status, 503, "{path}");
    }
    assert_eq!(gateway.ari().post("/channels?endpoint=Local/x&app=a").status, 503);
    assert_eq!(gateway.ari().get("/nothing").status, 404);
    let login = format!("Authorization: Bearer {}", rig::gateway::TOKEN);
    let request = format!("GET /ari/channels HTTP/1.1\r\nHost: x\r\n{login}\r\n\r\n");
    let answer = crate::gateway_access::raw(gateway.port(), &request).to_lowercase();
    assert!(answer.contains("\r\nretry-after: ") && answer.contains("\"message\":"), "{answer}");
    gateway.assert_alive();
}
