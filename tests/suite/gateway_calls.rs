// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Calls of every node through the gateway, as if there were one Asterisk.

use std::collections::BTreeSet;

use rig::gateway::TOKEN;
use rig::{Version, eventually, seconds};
use serde_json::{Value, json};

use crate::gateway_access::raw;
use crate::gateway_fleet::{Site, ids, scenarios, text};

scenarios!(
    everything_is_done_to_calls_of_every_node,
    lists_are_of_all_nodes_and_each_object_says_its_own,
    applications_are_one_over_all_nodes,
    ids_of_the_clients_own_are_found_and_refused_twice,
    ids_of_what_comes_beside_a_call_are_looked_for_on_all_nodes,
    what_came_by_itself_is_found_by_asking,
    the_description_of_the_interface_names_the_gateway,
    asterisk_16_beside_22,
);

fn everything_is_done_to_calls_of_every_node() {
    let site = Site::shared();
    let _app = site.app("everything");
    let mut nodes = BTreeSet::new();
    for _ in 0..60 {
        let (id, eid) = site.call("everything");
        // Others take their turns in between.
        if nodes.insert(text(&eid)) {
            do_everything(site, &id, &eid, "everything");
        } else {
            site.ari().delete(&format!("/channels/{id}")).ok();
        }
        if nodes.len() == 3 {
            return;
        }
    }
    panic!("calls came to {nodes:?} only");
}

/// What ARI can do with a call, with no word of which node it is on.
#[track_caller]
fn do_everything(site: &Site, id: &str, eid: &Value, app: &str) {
    let ari = site.ari();
    let told = ari.get(&format!("/channels/{id}")).ok();
    assert_eq!((&told["id"], &told["asterisk_id"]), (&json!(id), eid));
    ari.post(&format!("/channels/{id}/answer")).ok();
    ari.post(&format!("/channels/{id}/variable?variable=COLOUR&value=deep%20blue")).ok();
    // Asterisk 16 answers before it has set it.
    eventually("the variable", seconds(20), || {
        let told = ari.get(&format!("/channels/{id}/variable?variable=COLOUR")).body;
        if told["value"] == "deep blue" { Ok(()) } else { Err(told) }
    });
    ari.post(&format!("/channels/{id}/dtmf?dtmf=12%23")).ok();
    for what in ["hold", "mute?direction=both", "moh", "silence"] {
        ari.post(&format!("/channels/{id}/{what}")).ok();
        ari.delete(&format!("/channels/{id}/{what}")).ok();
    }
    play(site, &format!("/channels/{id}"), eid);
    record(site, id, eid);
    let snoop = ari.post(&format!("/channels/{id}/snoop?spy=both&app={app}")).ok();
    assert_eq!(&snoop["asterisk_id"], eid);
    let snoop = text(&snoop["id"]);
    site.wait_in(app, &snoop, eid);
    assert_eq!(ari.get(&format!("/channels/{snoop}")).ok()["id"], json!(snoop));
    bridge(site, id, eid);
    ari.delete(&format!("/channels/{snoop}")).ok();
    ari.delete(&format!("/channels/{id}")).ok();
    eventually("the call's end", seconds(20), || {
        match ari.get(&format!("/channels/{id}")).status {
            404 => Ok(()),
            other => Err(other),
        }
    });
}

/// Begins, pauses and ends a play on a channel or bridge.
#[track_caller]
fn play(site: &Site, on: &str, eid: &Value) {
    let ari = site.ari();
    let playback = ari.post(&format!("{on}/play?media=tone:dial")).ok();
    assert_eq!(&playback["asterisk_id"], eid);
    let playback = format!("/playbacks/{}", text(&playback["id"]));
    eventually("the tone", seconds(20), || {
        let told = ari.get(&playback).body;
        if told["state"] == "playing" { Ok(()) } else { Err(told) }
    });
    ari.delete(&playback).ok();
    eventually("the tone's end", seconds(20), || match ari.get(&playback).status {
        404 => Ok(()),
        other => Err(other),
    });
}

#[track_caller]
fn record(site: &Site, id: &str, eid: &Value) {
    let ari = site.ari();
    let name = format!("folder%2Frecording-of-{id}");
    let live = format!("/recordings/live/{name}");
    let recording = ari.post(&format!("/channels/{id}/record?name={name}&format=wav")).ok();
    assert_eq!(&recording["asterisk_id"], eid);
    eventually("the recording", seconds(20), || {
        let told = ari.get(&live).body;
        if told["state"] == "recording" { Ok(()) } else { Err(told) }
    });
    for what in ["pause", "mute"] {
        ari.post(&format!("{live}/{what}")).ok();
        ari.delete(&format!("{live}/{what}")).ok();
    }
    ari.post(&format!("{live}/stop")).ok();
    let stored = format!("/recordings/stored/{name}");
    eventually("the file", seconds(20), || match ari.get(&stored).status {
        200 => Ok(()),
        other => Err(other),
    });
    let listed = ari.get("/recordings/stored").ok();
    let mut all = listed.as_array().expect("a list").iter();
    let wanted = format!("folder/recording-of-{id}");
    assert!(all.any(|one| one["name"] == json!(wanted) && one["asterisk_id"] == *eid), "{listed}");
    let login = format!("Authorization: Bearer {TOKEN}");
    let request = format!("GET /ari{stored}/file HTTP/1.1\r\nHost: x\r\n{login}\r\n\r\n");
    let file = raw(site.gateway.port(), &request);
    assert!(file.starts_with("HTTP/1.1 200") && file.contains("\r\n\r\nRIFF"), "no wav file");
    ari.post(&format!("{stored}/copy?destinationRecordingName=copy-of-{id}")).ok();
    ari.delete(&format!("/recordings/stored/copy-of-{id}")).ok();
    ari.delete(&stored).ok();
    assert_eq!(ari.get(&stored).status, 404);
}

/// A bridge on the call's node: bridges come to the nodes in turn.
#[track_caller]
fn bridge(site: &Site, id: &str, eid: &Value) {
    let ari = site.ari();
    let bridge = loop {
        let bridge = ari.post("/bridges?type=mixing&name=b").ok();
        if bridge["asterisk_id"] == *eid {
            break text(&bridge["id"]);
        }
        ari.delete(&format!("/bridges/{}", text(&bridge["id"]))).ok();
    };
    let bridge = format!("/bridges/{bridge}");
    ari.post(&format!("{bridge}/addChannel?channel={id}")).ok();
    eventually("the call to be in the bridge", seconds(20), || {
        let told = ari.get(&bridge).ok();
        if told["channels"] == json!([id]) { Ok(()) } else { Err(told) }
    });
    play(site, &bridge, eid);
    ari.post(&format!("{bridge}/moh")).ok();
    ari.delete(&format!("{bridge}/moh")).ok();
    ari.post(&format!("{bridge}/removeChannel?channel={id}")).ok();
    ari.delete(&bridge).ok();
    eventually("the bridge's end", seconds(20), || match ari.get(&bridge).status {
        404 => Ok(()),
        other => Err(other),
    });
}

fn lists_are_of_all_nodes_and_each_object_says_its_own() {
    let site = Site::shared();
    let _app = site.app("lists");
    // Others take their turns in between.
    let mut calls: Vec<(String, Value)> = Vec::new();
    while !site.posts.iter().all(|post| calls.iter().any(|(_, eid)| eid == post.eid())) {
        assert!(calls.len() < 60, "some node gets no calls: {calls:?}");
        calls.push(site.call("lists"));
    }
    let listed = site.ari().get("/channels").ok();
    for (id, eid) in &calls {
        let all = listed.as_array().expect("a list");
        let found = all.iter().find(|one| one["id"] == json!(id));
        assert_eq!(found.map(|one| &one["asterisk_id"]), Some(eid), "{id}");
    }
    for post in &site.posts {
        let eid = post.eid();
        let own = site.ari().get(&format!("/channels?asteriskId={eid}")).ok();
        assert!(own.as_array().expect("a list").iter().all(|one| one["asterisk_id"] == eid));
        let on_it = calls.iter().filter(|(_, node)| node == eid);
        assert!(on_it.clone().count() > 0, "no call on {eid}");
        for (id, _) in on_it {
            assert!(ids(&own).contains(id), "{id} on {eid}");
        }
        let info = site.ari().get(&format!("/asterisk/info?asteriskId={eid}")).ok();
        assert_eq!(info["system"]["entity_id"], eid);
    }
    let info = site.ari().get("/asterisk/info").ok();
    let nodes: BTreeSet<String> = info["nodes"]
        .as_array()
        .expect("nodes")
        .iter()
        .map(|one| text(&one["asterisk_id"]))
        .collect();
    assert_eq!(nodes.len(), 3);
    assert_eq!(info["system"]["entity_id"], info["asterisk_id"]);
    for path in ["/endpoints", "/asterisk/modules"] {
        let listed = site.ari().get(path).ok();
        let of: BTreeSet<String> = listed
            .as_array()
            .expect("a list")
            .iter()
            .map(|one| text(&one["asterisk_id"]))
            .collect();
        assert_eq!(of, nodes, "{path}");
    }
    for path in ["/bridges", "/deviceStates", "/sounds", "/recordings/stored"] {
        assert!(site.ari().get(path).ok().is_array(), "{path}");
    }
    assert_eq!(site.ari().get("/asterisk/ping").ok()["ping"], "pong");
    let refused = site.ari().get("/asterisk/variable?variable=X");
    assert_eq!(refused.status, 400);
    assert!(text(&refused.body["message"]).contains("X-Asterisk-ID"), "{refused:?}");
    for (id, _) in calls {
        site.ari().delete(&format!("/channels/{id}")).ok();
    }
}

fn applications_are_one_over_all_nodes() {
    let site = Site::shared();
    let _app = site.app("united");
    let calls: Vec<(String, Value)> = (0..3).map(|_| site.call("united")).collect();
    let told = site.ari().get("/applications/united").ok();
    let channels = told["channel_ids"].as_array().expect("ids");
    for (id, _) in &calls {
        assert!(channels.contains(&json!(id)), "{told}");
    }
    assert_eq!(told["asterisk_ids"].as_array().map(Vec::len), Some(3));
    let listed = site.ari().get("/applications").ok();
    let named = listed.as_array().expect("a list").iter().filter(|one| one["name"] == "united");
    assert_eq!(named.count(), 1);
    // A subscription goes to the source's node, whatever the others say.
    let other = site.app("watching");
    for (id, _) in &calls {
        let path = format!("/applications/watching/subscription?eventSource=channel:{id}");
        let told = site.ari().post(&path).ok();
        assert!(told["channel_ids"].as_array().expect("ids").contains(&json!(id)), "{told}");
    }
    let missing = site.ari().post("/applications/watching/subscription?eventSource=channel:none");
    assert_eq!(missing.status, 422);
    let everywhere =
        site.ari().post("/applications/watching/subscription?eventSource=endpoint:PJSIP").ok();
    assert_eq!(everywhere["asterisk_ids"].as_array().map(Vec::len), Some(3));
    assert_eq!(site.ari().get("/applications/nobodys").status, 404);
    drop(other);
    for (id, _) in calls {
        site.ari().delete(&format!("/channels/{id}")).ok();
    }
}

fn ids_of_the_clients_own_are_found_and_refused_twice() {
    let site = Site::shared();
    let _app = site.app("ids");
    let names = ["in-query", "in-path", "with%2Fslash", "a%2Bb%20c"];
    for name in names {
        let originate = |id: &str| {
            if name == "in-path" {
                site.ari().post(&format!("/channels/{id}?endpoint=Local/stay@default&app=ids"))
            } else {
                let query = format!("endpoint=Local/stay@default&app=ids&channelId={id}");
                site.ari().post(&format!("/channels?{query}"))
            }
        };
        let call = originate(name).ok();
        let decoded = name.replace("%2F", "/").replace("%2B", "+").replace("%20", " ");
        assert_eq!(call["id"], json!(decoded));
        let again = originate(name);
        assert_eq!(again.status, 409, "{again:?}");
        let told = site.ari().get(&format!("/channels/{name}")).ok();
        assert_eq!(told["asterisk_id"], call["asterisk_id"]);
        // The other half of the Local channel, of which nothing was said.
        let half = site.ari().get(&format!("/channels/{name};2")).ok();
        assert_eq!(half["asterisk_id"], call["asterisk_id"]);
        site.ari().delete(&format!("/channels/{name}")).ok();
    }
    let body = json!({"endpoint": "Local/stay@default", "app": "ids", "channelId": "in-body"});
    let call = site.ari().post_json("/channels?channelId=not-this", &body).ok();
    assert_eq!(call["id"], "in-body");
    site.ari().delete("/channels/in-body").ok();
    // On each node there was one of each at most.
    for name in ["in-query", "in-path", "in-body"] {
        let tried = site.posts.iter().flat_map(|post| post.requests());
        let created = tried.filter(|line| line.starts_with("POST") && line.contains(name)).count();
        let wanted = if name == "in-body" { 0 } else { 2 };
        assert_eq!(created, wanted, "{name}");
    }
}

fn ids_of_what_comes_beside_a_call_are_looked_for_on_all_nodes() {
    let site = Site::shared();
    let _app = site.app("beside");
    let taken = site.ari().post("/channels?endpoint=Local/stay@default&app=beside&channelId=taken");
    let home = taken.ok()["asterisk_id"].clone();
    let originate = |endpoint: &str| {
        let query = format!("endpoint={endpoint}&app=beside&otherChannelId=taken");
        site.ari().post(&format!("/channels?{query}"))
    };
    let mut nodes = BTreeSet::new();
    // Each goes to another node in turn.
    while nodes.len() < 3 {
        let (call, eid) = site.call("beside");
        if nodes.insert(text(&eid)) && eid != home {
            for path in ["snoop?snoopId=taken&", "snoop/taken?"] {
                let path = format!("/channels/{call}/{path}spy=in&app=beside");
                let refused = site.ari().post(&path);
                let message = "Channel with given unique ID already exists";
                assert_eq!((refused.status, &refused.body["message"]), (409, &json!(message)));
            }
            assert_eq!(originate("Local/stay@default").status, 409);
            let eid = text(&eid);
            assert!(!site.post(&json!(eid)).channels().contains(&"taken".to_owned()));
        }
        site.ari().delete(&format!("/channels/{call}")).ok();
        assert_eq!(site.ari().get("/channels/taken").ok()["asterisk_id"], home);
    }
    site.ari().delete("/channels/taken").ok();
    // What has ended is taken again, wherever it was.
    let (call, eid) = site.call("beside");
    let snoop = site.ari().post(&format!("/channels/{call}/snoop/taken?spy=in&app=beside")).ok();
    assert_eq!(snoop["asterisk_id"], eid);
    site.ari().delete(&format!("/channels/{call}")).ok();
}

fn what_came_by_itself_is_found_by_asking() {
    let site = Site::shared();
    let _app = site.app("inbound");
    for post in &site.posts {
        // A call of which the gateway is told by nobody.
        let originate = "/channels?endpoint=Local/stay@default&app=inbound";
        let call = post.asterisk.ari().post(originate).ok();
        let id = text(&call["id"]);
        let told = site.ari().get(&format!("/channels/{id}")).ok();
        assert_eq!(told["asterisk_id"], post.eid());
        let asked = site.gateway.metric("gateway_questions_total");
        site.ari().get(&format!("/channels/{id}")).ok();
        site.ari().delete(&format!("/channels/{id}")).ok();
        assert!(site.gateway.metric("gateway_questions_total") >= asked);
    }
    assert_eq!(site.ari().get("/channels/nobodys").status, 404);
    let told = site.ari().get("/channels/nobodys").body;
    assert_eq!(told, json!({"message": "Channel not found"}));
}

fn the_description_of_the_interface_names_the_gateway() {
    let site = Site::shared();
    let base = format!("http://127.0.0.1:{}/ari", site.gateway.port());
    let resources = site.ari().get("/api-docs/resources.json").ok();
    assert_eq!(resources["basePath"], json!(base));
    for api in resources["apis"].as_array().expect("apis") {
        let path = text(&api["path"]).replace("{format}", "json");
        assert_eq!(site.ari().get(&path).ok()["basePath"], json!(base), "{path}");
    }
    assert_eq!(site.ari().get("/api-docs/nothing.json").status, 404);
    assert_eq!(site.ari().get("/api-docs/..%2Fx.json").status, 404);
}

fn asterisk_16_beside_22() {
    let more = [("nodes", "placement = \"round_robin\"")];
    let site = Site::start(&[Version::V22, Version::V16], &more);
    let _app = site.app("mixed");
    for _ in 0..2 {
        let (id, eid) = site.call("mixed");
        do_everything(&site, &id, &eid, "mixed");
    }
    // What only 22 has, 16 refuses by itself.
    let (new, old) = (site.posts[0].eid(), site.posts[1].eid());
    let refer =
        |eid: &str| site.ari().post(&format!("/endpoints/refer?asteriskId={eid}&to=x")).status;
    assert_eq!((refer(old), refer(new)), (405, 404));
    // The description is that of the older one.
    let docs = site.ari().get("/api-docs/channels.json").ok();
    let apis = docs["apis"].as_array().expect("apis");
    assert!(!apis.iter().any(|api| api["path"] == "/channels/{channelId}/progress"), "of 22");
    for post in &site.posts {
        post.asterisk.assert_alive();
    }
}
