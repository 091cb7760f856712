// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The event websocket: the events of all nodes for any client of ARI.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use rig::{AriEvents, eventually, seconds};
use serde_json::{Value, json};

use crate::gateway_access::raw;
use crate::gateway_fleet::{scenarios, text};
use crate::gateway_stage::{Stage, about};

scenarios!(an_application_has_the_events_of_all_nodes, without_a_broker_there_are_no_events,);

/// Of a websocket's request.
pub(crate) const HEAD: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// The next event of a type about this call.
#[track_caller]
fn next_of(events: &AriEvents, kind: &str, id: &str) -> Value {
    for _ in 0..100 {
        let event = events.next_of(kind, seconds(20));
        if about(&event) == id {
            return event;
        }
    }
    panic!("no {kind} about {id}");
}

fn an_application_has_the_events_of_all_nodes() {
    let stage = Stage::start(3, "grace = \"2s\"");
    let [one, two] = &stage.gateways;
    // As with one Asterisk: once the socket is open, a call can come to the application.
    let first = one.ari().events("Calls");
    let second = two.ari().events("Calls,other");
    stage.wait_keys(&["Calls", "other"]);
    let mut calls: BTreeMap<String, String> = (0..6).map(|_| stage.call(one, "Calls")).collect();
    let nodes: BTreeSet<&String> = calls.values().collect();
    assert_eq!(nodes.len(), 3);
    for events in [&first, &second] {
        let mut started = BTreeMap::new();
        for _ in 0..6 {
            let event = events.next_of("StasisStart", seconds(20));
            let members: Vec<&String> = event.as_object().expect("an event").keys().collect();
            let asterisks = ["type", "timestamp", "args", "channel", "asterisk_id", "application"];
            assert_eq!(members, asterisks, "{event}");
            assert_eq!(
                (&event["args"], &event["application"]),
                (&json!(["one", "two"]), &json!("Calls"))
            );
            started.insert(about(&event), text(&event["asterisk_id"]));
        }
        assert_eq!(started, calls);
    }
    // The end of a call is told once, and known at once.
    let (id, _) = calls.pop_first().expect("a call");
    two.ari().delete(&format!("/channels/{id}")).ok();
    for events in [&first, &second] {
        next_of(events, "StasisEnd", &id);
        next_of(events, "ChannelDestroyed", &id);
    }
    assert_eq!(one.ari().get(&format!("/channels/{id}")).status, 404);
    what_is_asked_over_the_socket(&stage, &first, &calls);
    nothing_is_lost_while_the_broker_is_away(&stage, &first);
    the_whole_node_is_told_of(&stage);
    a_filter_is_for_every_node(&stage, &second);
    rights_are_kept(&stage);
    a_name_taken_at_a_node_is_not_taken_from_a_socket(&stage, &first);
    // When the last socket goes, so does the application; another's key stays.
    stage.consul.kv_put("applications/operators", "");
    let operators = one.ari().events("operators");
    drop((first, operators));
    drop(second);
    stage.wait_keys(&["operators"]);
    assert!(stage.consul.kv_keys("gateway/uses/").is_empty());
    assert!(stage.consul.kv_keys("gateway/made/").is_empty());
    stage.assert_alive();
}

/// REST over the websocket, as Asterisk 22 has it.
#[track_caller]
fn ask(events: &AriEvents, method: &str, uri: &str, more: &Value) -> Value {
    let mut request = json!({
        "type": "RESTRequest", "transaction_id": "t", "request_id": uri, "method": method, "uri": uri,
    });
    for (name, value) in more.as_object().expect("members") {
        request[name] = value.clone();
    }
    events.send(&request.to_string());
    let answer = events.next_of("RESTResponse", seconds(20));
    assert_eq!((&answer["request_id"], &answer["transaction_id"]), (&json!(uri), &json!("t")));
    answer
}

#[track_caller]
fn what_is_asked_over_the_socket(
    stage: &Stage,
    events: &AriEvents,
    calls: &BTreeMap<String, String>,
) {
    for (id, node) in calls {
        let answer = ask(events, "GET", &format!("channels/{id}"), &json!({}));
        assert_eq!((&answer["status_code"], &answer["asterisk_id"]), (&json!(200), &json!(node)));
        let told: Value = serde_json::from_str(&text(&answer["message_body"])).expect("JSON");
        assert_eq!(told["id"], *id);
        let variable = json!({"query_strings": [
            {"name": "variable", "value": "X"}, {"name": "value", "value": "a b&c"},
        ]});
        let set = ask(events, "POST", &format!("channels/{id}/variable"), &variable);
        assert_eq!(set["status_code"], 204, "{set}");
        let told = stage.gateways[1].ari().get(&format!("/channels/{id}/variable?variable=X")).ok();
        assert_eq!(told["value"], "a b&c");
    }
    let body = json!({"content_type": "application/json", "message_body": "{\"name\": \"b\"}"});
    // It counts as one over HTTP does.
    let name = "gateway_requests_total{method=\"POST\",area=\"bridges\",status=\"200\"}";
    let count = || stage.gateways[0].metric(name);
    let before = count();
    assert_eq!(ask(events, "POST", "bridges", &body)["status_code"], 200);
    assert_eq!(count(), before + 1.0);
    for (method, uri, status) in
        [("GET", "channels/none", 404), ("POST", "events", 405), ("BREW", "channels", 400)]
    {
        assert_eq!(ask(events, method, uri, &json!({}))["status_code"], status, "{uri}");
    }
}

#[track_caller]
fn nothing_is_lost_while_the_broker_is_away(stage: &Stage, events: &AriEvents) {
    let [one, two] = &stage.gateways;
    let mark = one.log_mark();
    stage.gates[0].shut();
    stage.wait_metric(one, "gateway_amqp_up", 0.0);
    let (id, _) = stage.call(two, "Calls");
    // The call's events are in the queue that waits for the gateway.
    stage.gates[0].open();
    next_of(events, "StasisStart", &id);
    stage.wait_metric(one, "gateway_amqp_up", 1.0);
    one.wait_log_after(mark, "RabbitMQ: connected");
    two.ari().delete(&format!("/channels/{id}")).ok();
    next_of(events, "ChannelDestroyed", &id);
}

#[track_caller]
fn the_whole_node_is_told_of(stage: &Stage) {
    let [one, two] = &stage.gateways;
    let all = one.ari().events_with("app=all&subscribeAll=true");
    let path = "/channels?endpoint=Local/wait@default&extension=stay&context=default&priority=1";
    for _ in 0..3 {
        let id = text(&two.ari().post(path).ok()["id"]);
        next_of(&all, "ChannelCreated", &id);
        two.ari().delete(&format!("/channels/{id}")).ok();
        next_of(&all, "ChannelDestroyed", &id);
    }
}

#[track_caller]
fn a_filter_is_for_every_node(stage: &Stage, events: &AriEvents) {
    let [one, two] = &stage.gateways;
    let filter = json!({"allowed": [{"type": "StasisStart"}, {"type": "ChannelDestroyed"}]});
    one.ari().put_json("/applications/other/eventFilter", &filter).ok();
    for _ in 0..3 {
        let (id, _) = stage.call(two, "other");
        two.ari().delete(&format!("/channels/{id}")).ok();
        // What is between them comes to nobody.
        for wanted in ["StasisStart", "ChannelDestroyed"] {
            let event = loop {
                let event = events.next(seconds(20));
                // A Local channel's other half is told of as well.
                if event["application"] == "other" && about(&event) == id {
                    break event;
                }
            };
            assert_eq!(event["type"], wanted, "{event}");
        }
    }
    eventually("the filter to be there for nodes to come", seconds(20), || {
        let key = stage.consul.request("GET", "/v1/kv/applications/other?raw", None);
        let wanted = json!({"events": filter});
        if key.body == wanted { Ok(()) } else { Err(key.body) }
    });
}

#[track_caller]
fn rights_are_kept(stage: &Stage) {
    let gateway = &stage.gateways[0];
    let open = |query: &str| {
        let request = format!("GET /ari/events?{query} HTTP/1.1\r\nHost: x\r\n{HEAD}\r\n");
        raw(gateway.port(), &request)
    };
    for (query, status) in [
        ("app=a", "401"),
        ("app=a&api_key=rig:wrong", "401"),
        ("app=theirs&api_key=mine:gateway-password", "403"),
        ("api_key=rig:gateway-password", "400"),
    ] {
        let answer = open(query);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{query}: {answer}");
    }
    let plain = gateway.ari().get("/events?app=a");
    assert_eq!(plain.status, 426, "{plain:?}");
    // Who may only read is told events, and changes nothing by the socket either.
    let reader = gateway.ari_as("reader").events("mine");
    assert_eq!(ask(&reader, "GET", "channels", &json!({}))["status_code"], 200);
    assert_eq!(ask(&reader, "POST", "bridges", &json!({}))["status_code"], 403);
}

/// With `count` sockets there already.
#[track_caller]
pub(crate) fn who_does_not_read_is_told_and_let_go(stage: &Stage, count: f64) {
    let gateway = &stage.gateways[0];
    let mut client = TcpStream::connect(("127.0.0.1", gateway.port())).expect("a connection");
    // It does not grow then, and is large enough to be read quickly at the end.
    rustix::net::sockopt::set_socket_recv_buffer_size(&client, 256 << 10).expect("a buffer");
    let query = "app=slow&api_key=rig:gateway-password";
    let request = format!("GET /ari/events?{query} HTTP/1.1\r\nHost: x\r\n{HEAD}\r\n");
    client.write_all(request.as_bytes()).expect("a request");
    stage.wait_metric(gateway, "gateway_event_sockets", count + 1.0);
    // Some eight megabytes, more than the buffers on the way take.
    let many = json!({"variables": {"COUNT": "8000"}});
    gateway.ari().post_json("/channels?endpoint=Local/burst@default&app=slow", &many).ok();
    stage.wait_metric(gateway, "gateway_events_total{kind=\"slow_clients\"}", 1.0);
    let mut rest = Vec::new();
    client.set_read_timeout(Some(seconds(20))).expect("a timeout");
    client.read_to_end(&mut rest).expect("what was sent before");
    // A close frame with code 1008, and the reason.
    let farewell = [[0x88, 43, 0x03, 0xf0].as_slice(), b"too slow: events were lost"].concat();
    let at = rest.len().saturating_sub(45);
    assert!(rest[at..].starts_with(&farewell), "{:?}", String::from_utf8_lossy(&rest[at..]));
    stage.wait_metric(gateway, "gateway_event_sockets", count);
}

fn without_a_broker_there_are_no_events() {
    let consul = rig::Consul::start();
    let gateway = rig::Gateway::start(consul.port(), &[]);
    let events = |gateway: &rig::Gateway| {
        let query = "app=a&api_key=rig:gateway-password";
        raw(gateway.port(), &format!("GET /ari/events?{query} HTTP/1.1\r\nHost: x\r\n{HEAD}\r\n"))
    };
    let answer = events(&gateway);
    assert!(answer.starts_with("HTTP/1.1 501"), "{answer}");
    // With one that is away it is a matter of time, and the rest goes on.
    let url = format!("url = \"amqp://u:s3cret@127.0.0.1:{}/\"", rig::ports::free());
    let gateway = rig::Gateway::start(consul.port(), &[("amqp", &url)]);
    gateway.wait_log_after(0, "RabbitMQ: it cannot be reached");
    let answer = events(&gateway);
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after"), "{answer}");
    let ready = raw(gateway.port(), "GET /health/ready HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(ready.contains("without events: RabbitMQ"), "{ready}");
    gateway.assert_alive();
    assert!(!gateway.log().contains("s3cret"));
    assert_eq!(gateway.log().matches("RabbitMQ: it cannot be reached").count(), 1);
}

#[track_caller]
fn a_name_taken_at_a_node_is_not_taken_from_a_socket(stage: &Stage, events: &AriEvents) {
    let hidden = "gateway_events_total{kind=\"hidden\"}";
    let before = stage.gateways[0].metric(hidden);
    let taker = stage.nodes[0].ari().events("Calls");
    stage.wait_metric(&stage.gateways[0], hidden, before + 1.0);
    let told = events.drain();
    assert!(told.iter().all(|event| event["type"] != "ApplicationReplaced"), "{told:?}");
    drop(taker);
}
