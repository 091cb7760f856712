// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! One bridge on several nodes: what each caller hears is measured in what Asterisk records of it.

use std::collections::BTreeSet;
use std::f64::consts::TAU;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rig::process::Signal;
use rig::{Ari, Consul, Gateway, Version, eventually, seconds};
use serde_json::{Value, json};

use crate::fleet::{AMQP, APPS, amqp, load, node};
use crate::gateway_fleet::{Post, Site, ids, scenarios, text};
use crate::member::quick;

scenarios!(where_it_cannot_span_it_says_so, [alone: one_bridge_over_three_nodes_outlives_its_home]);

/// Samples a second.
const RATE: f64 = 8000.0;
/// What is heard has this share of the loudest that there can be.
const HEARD: f64 = 0.01;

/// A node that takes calls of others, and applications from Consul.
fn spanning(version: Version, consul: &Consul) -> Post {
    let node = node(version, &amqp(), &quick(consul.port()))
        .trunk("a-secret-of-the-trunk")
        .load("app_playtones")
        .extension("_8.", &["Answer()", "PlayTones(${EXTEN:1})", "Wait(600)"]);
    let post = Post::of(consul, node);
    load(&post.asterisk, AMQP);
    load(&post.asterisk, APPS);
    post
}

/// A call that says a tone and nothing else.
struct Caller {
    id: String,
    tone: u32,
    eid: String,
}

impl Caller {
    fn place(site: &Site, post: &Post, tone: u32) -> Self {
        let eid = post.eid();
        let path = format!("/channels?endpoint=Local/8{tone}@default/n&app=conf&asteriskId={eid}");
        let id = text(&site.ari().post(&path).ok()["id"]);
        site.wait_in("conf", &id, &json!(eid));
        Self { id, tone, eid: eid.to_owned() }
    }

    /// Waits until what it hears is these of all tones, by recordings of so long.
    #[track_caller]
    fn wait_hears(&self, ari: &Ari, site: &Site, length: Duration, wanted: &[u32], of: &[u32]) {
        eventually(&format!("{} to hear {wanted:?}", self.tone), seconds(30), || {
            let samples = self.record(ari, site, length);
            let heard: Vec<u32> =
                of.iter().copied().filter(|tone| share(&samples, *tone) > HEARD).collect();
            if heard == wanted { Ok(()) } else { Err(format!("{heard:?}")) }
        });
    }

    /// What it hears for a while.
    #[track_caller]
    fn record(&self, ari: &Ari, site: &Site, length: Duration) -> Vec<f64> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!("heard-{}", NUMBER.fetch_add(1, Ordering::SeqCst));
        let snoop = ari.post(&format!("/channels/{}/snoop?spy=out&app=conf", self.id)).ok();
        let snoop = text(&snoop["id"]);
        site.wait_in("conf", &snoop, &json!(self.eid));
        ari.post(&format!("/channels/{snoop}/record?name={name}&format=wav")).ok();
        thread::sleep(length);
        ari.post(&format!("/recordings/live/{name}/stop")).ok();
        ari.delete(&format!("/channels/{snoop}")).ok();
        recorded(site.post(&json!(self.eid)), &name)
    }
}

/// The samples of a recording on a node, once its file is there.
#[track_caller]
fn recorded(post: &Post, name: &str) -> Vec<f64> {
    let file = post.asterisk.folder().join(format!("spool/recording/{name}.wav"));
    eventually(&format!("{name}.wav"), seconds(20), || {
        let bytes = std::fs::read(&file).map_err(|error| error.to_string())?;
        let data = bytes.get(44..).ok_or("no head")?;
        let samples =
            data.chunks_exact(2).map(|pair| f64::from(i16::from_le_bytes([pair[0], pair[1]])));
        Ok::<Vec<f64>, String>(samples.collect())
    })
}

/// How much of a tone is in it, 1 being as loud as can be: Goertzel's filter.
fn share(samples: &[f64], tone: u32) -> f64 {
    let step = TAU * f64::from(tone) / RATE;
    let (mut sin, mut cos) = (0.0, 0.0);
    for (place, sample) in (0_u32..).zip(samples) {
        let angle = step * f64::from(place);
        sin += sample * angle.sin();
        cos += sample * angle.cos();
    }
    let count = u32::try_from(samples.len().max(1)).expect("a short recording");
    2.0 * sin.hypot(cos) / f64::from(count) / 32768.0
}

/// How many trunk channels a node has, as it says itself.
fn legs(post: &Post) -> usize {
    let listed = post.asterisk.ari().get("/channels").ok();
    let all = listed.as_array().cloned().unwrap_or_default();
    all.iter().filter(|one| text(&one["name"]).starts_with("PJSIP/gateway-trunk-")).count()
}

/// The members that a gateway tells of a bridge, by itself and in the list, where there is one of it.
#[track_caller]
fn members(ari: &Ari, bridge: &str) -> (Value, BTreeSet<String>) {
    let told = ari.get(&format!("/bridges/{bridge}")).ok();
    let set = |told: &Value| -> BTreeSet<String> {
        told["channels"].as_array().expect("channels").iter().map(text).collect()
    };
    let listed = ari.get("/bridges").ok();
    let same: Vec<&Value> = listed
        .as_array()
        .expect("a list")
        .iter()
        .filter(|one| one["id"] == json!(bridge))
        .collect();
    assert_eq!(same.len(), 1, "{listed}");
    assert_eq!((set(same[0]), &same[0]["asterisk_id"]), (set(&told), &told["asterisk_id"]));
    (told["asterisk_id"].clone(), set(&told))
}

fn one_bridge_over_three_nodes_outlives_its_home() {
    let site = Site::of(&[Version::V22, Version::V16, Version::V22], &[], &spanning);
    let other = Gateway::start(site.consul.port(), &[]);
    let both = [site.ari(), other.ari()];
    let _app = site.app("conf");
    let [home, second, third] = site.posts.as_slice() else { panic!("three nodes") };
    let callers = [
        Caller::place(&site, home, 440),
        Caller::place(&site, second, 620),
        Caller::place(&site, second, 830),
        Caller::place(&site, third, 1010),
    ];
    let all: Vec<u32> = callers.iter().map(|caller| caller.tone).collect();
    let bridge = site.ari().post(&format!("/bridges?asteriskId={}&name=hall", home.eid())).ok();
    let bridge = text(&bridge["id"]);

    // All at once, by both gateways.
    thread::scope(|scope| {
        for (place, caller) in callers.iter().enumerate() {
            let (ari, bridge) = (&both[place % 2], &bridge);
            scope.spawn(move || {
                let path = format!("/bridges/{bridge}/addChannel?channel={}", caller.id);
                assert_eq!(ari.post(&path).status, 204);
            });
        }
    });
    let wanted: BTreeSet<String> = callers.iter().map(|caller| caller.id.clone()).collect();
    for ari in &both {
        assert_eq!(members(ari, &bridge), (json!(home.eid()), wanted.clone()));
        let listed = ari.get("/channels").ok();
        assert!(!listed.to_string().contains("gateway-trunk"), "{listed}");
        assert!(!ari.get("/applications").ok().to_string().contains("_gateway"));
        assert!(!ari.get("/endpoints").ok().to_string().contains("gateway-trunk"));
    }
    assert_eq!(site.posts.iter().map(legs).collect::<Vec<_>>(), [2, 1, 1]);
    for leg in ids(&home.asterisk.ari().get("/channels").ok()) {
        let is_caller = leg.trim_end_matches(";2") == callers[0].id;
        let wanted = if is_caller { 200 } else { 404 };
        assert_eq!(site.ari().get(&format!("/channels/{leg}")).status, wanted, "{leg}");
    }
    for caller in &callers {
        let others: Vec<u32> = all.iter().copied().filter(|tone| *tone != caller.tone).collect();
        caller.wait_hears(&site.ari(), &site, seconds(2), &others, &all);
    }

    // What is done to the bridge is done once, and for all.
    let record = format!("/bridges/{bridge}/record?name=whole&format=wav");
    assert_eq!(other.ari().post(&record).ok()["asterisk_id"], home.eid());
    let play = site.ari().post(&format!("/bridges/{bridge}/play?media=tone:dial")).ok();
    assert_eq!(play["asterisk_id"], home.eid());
    let dial = [350];
    callers[3].wait_hears(&site.ari(), &site, seconds(1), &dial, &dial);
    site.ari().delete(&format!("/playbacks/{}", text(&play["id"]))).ok();
    other.ari().post("/recordings/live/whole/stop").ok();
    let whole = recorded(home, "whole");
    assert!(all.iter().chain(&dial).all(|tone| share(&whole, *tone) > HEARD / 4.0));

    home.asterisk.kill();
    // What a proxy has in front of nothing would accept connections.
    home.proxy.refuse();
    home.proxy.cut();
    let since = Instant::now();
    let wait = Duration::from_millis(300);
    callers[3].wait_hears(&other.ari(), &site, wait, &[620, 830], &all);
    let took = since.elapsed();
    eprintln!("the survivors heard each other again after {took:?}");
    assert!(took < seconds(5), "the survivors heard each other again after {took:?}");
    callers[1].wait_hears(&site.ari(), &site, seconds(1), &[830, 1010], &all);
    let left: BTreeSet<String> = callers[1..].iter().map(|caller| caller.id.clone()).collect();
    for ari in &both {
        assert_eq!(members(ari, &bridge), (json!(second.eid()), left.clone()));
    }

    // A member that goes by the gateway, and others that go by themselves; one gateway is left.
    site.gateway.process().signal(Signal::KILL);
    let out = format!("/bridges/{bridge}/removeChannel?channel={}", callers[3].id);
    assert_eq!(other.ari().post(&out).status, 204);
    eventually("the trunk to end with its last member", seconds(20), || {
        match (legs(second), legs(third), third.asterisk.ari().get("/bridges").ok()) {
            (0, 0, bridges) if bridges == json!([]) => Ok(()),
            seen => Err(format!("{seen:?}")),
        }
    });
    let again = format!("/bridges/{bridge}/addChannel?channel={}", callers[3].id);
    assert_eq!(other.ari().post(&again).status, 204);
    callers[3].wait_hears(&other.ari(), &site, seconds(1), &[620, 830], &all);
    assert_eq!(other.ari().delete(&format!("/bridges/{bridge}")).status, 204);
    // With members in it, it ends a moment later.
    eventually("the bridge to be gone", seconds(20), || {
        match other.ari().get(&format!("/bridges/{bridge}")).status {
            404 => Ok(()),
            status => Err(status),
        }
    });
    for caller in &callers[1..] {
        other.ari().delete(&format!("/channels/{}", caller.id)).ok();
    }
    eventually("nothing to be left", seconds(20), || {
        let of = |post: &Post| {
            let ari = post.asterisk.ari();
            (ari.get("/channels").ok(), ari.get("/bridges").ok())
        };
        let keys = [site.consul.kv_keys("bridges/"), site.consul.kv_keys("gateway/lock/bridges/")]
            .concat();
        let left = (of(second), of(third), keys);
        let nothing = (json!([]), json!([]));
        if left == (nothing.clone(), nothing, Vec::new()) {
            Ok(())
        } else {
            Err(format!("{left:?}"))
        }
    });
    other.assert_alive();
    second.asterisk.assert_alive();
    third.asterisk.assert_alive();
}

fn where_it_cannot_span_it_says_so() {
    let site = Site::shared();
    let _app = site.app("apart");
    let (id, eid) = site.call("apart");
    let elsewhere = site.posts.iter().find(|post| eid != post.eid()).expect("another node");
    let bridge = |kind: &str| {
        let path = format!("/bridges?type={kind}&asteriskId={}", elsewhere.eid());
        text(&site.ari().post(&path).ok()["id"])
    };
    let (mixing, holding) = (bridge("mixing"), bridge("holding"));
    let join = |gateway: &Gateway, bridge: &str| {
        let told = gateway.ari().post(&format!("/bridges/{bridge}/addChannel?channel={id}"));
        (told.status, text(&told.body["message"]))
    };
    let no_span = Gateway::start(site.consul.port(), &[("bridges", "span = false")]);
    let (status, message) = join(&no_span, &mixing);
    assert_eq!(status, 409);
    assert!(message.contains(&text(&eid)) && message.contains(elsewhere.eid()), "{message}");
    // The shared nodes have no trunk, and no application of it.
    let (status, message) = join(&site.gateway, &mixing);
    assert_eq!(status, 503);
    assert!(message.contains("_gateway"), "{message}");
    let (status, message) = join(&site.gateway, &holding);
    assert_eq!((status, message.contains("mixes")), (409, true), "{message}");
    // It is a bridge as before, and nothing is left of the try.
    eventually("no key", seconds(20), || {
        let keys = [site.consul.kv_keys("bridges/"), site.consul.kv_keys("gateway/lock/bridges/")]
            .concat();
        if keys.is_empty() { Ok(()) } else { Err(format!("{keys:?}")) }
    });
    for post in &site.posts {
        let told = post.asterisk.ari().get(&format!("/bridges/{mixing}"));
        assert_eq!(told.status, if post.eid() == elsewhere.eid() { 200 } else { 404 });
    }
    for bridge in [mixing, holding] {
        site.ari().delete(&format!("/bridges/{bridge}")).ok();
    }
    site.ari().delete(&format!("/channels/{id}")).ok();
}
