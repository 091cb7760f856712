// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! One bridge on several nodes: what each caller hears is measured in what Asterisk records of it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rig::process::Signal;
use rig::{AmqpConf, Ari, Broker, Consul, Gateway, Version, eventually, seconds, tone};
use serde_json::{Value, json};

use crate::fleet::{AMQP, APPS, MODULES, load, node};
use crate::gateway_fleet::{Post, Site, ids, scenarios, text};
use crate::member::quick;

scenarios!(where_it_cannot_span_it_says_so, [alone: one_bridge_over_three_nodes_outlives_its_home]);

/// A node that takes calls of others, and applications from Consul.
pub(crate) fn spanning(version: Version, consul: &Consul, amqp: &str) -> Post {
    let node = node(version, amqp, &quick(consul.port()))
        .trunk("a-secret-of-the-trunk")
        .load("app_playtones")
        .extension("_8.", &["Answer()", "PlayTones(${EXTEN:1})", "Wait(600)"]);
    let post = Post::of(consul, node);
    load(&post.asterisk, AMQP);
    load(&post.asterisk, APPS);
    post
}

/// A call that says a tone and nothing else.
pub(crate) struct Caller {
    pub(crate) id: String,
    pub(crate) tone: u32,
    eid: String,
}

impl Caller {
    pub(crate) fn place(site: &Site, post: &Post, tone: u32) -> Self {
        Self::place_by(&site.ari(), site, post, tone)
    }

    fn place_by(ari: &Ari, site: &Site, post: &Post, tone: u32) -> Self {
        let eid = post.eid();
        let path = format!("/channels?endpoint=Local/8{tone}@default/n&app=conf&asteriskId={eid}");
        let id = text(&ari.post(&path).ok()["id"]);
        site.wait_in("conf", &id, &json!(eid));
        Self { id, tone, eid: eid.to_owned() }
    }

    /// Waits until what it hears is these of all tones, by recordings of so long.
    #[track_caller]
    fn wait_hears(&self, ari: &Ari, site: &Site, length: Duration, wanted: &[u32], of: &[u32]) {
        eventually(&format!("{} to hear {wanted:?}", self.tone), seconds(30), || {
            let samples = self.record(ari, site, length);
            let heard = tone::heard(&samples, of);
            if heard == wanted { Ok(()) } else { Err(format!("{heard:?}")) }
        });
    }

    /// What it hears for a while.
    #[track_caller]
    pub(crate) fn record(&self, ari: &Ari, site: &Site, length: Duration) -> Vec<i16> {
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
fn recorded(post: &Post, name: &str) -> Vec<i16> {
    let file = post.asterisk.folder().join(format!("spool/recording/{name}.wav"));
    eventually(&format!("{name}.wav"), seconds(20), || {
        let bytes = std::fs::read(&file).map_err(|error| error.to_string())?;
        let data = bytes.get(44..).ok_or("no head")?;
        let samples = data.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]]));
        Ok::<Vec<i16>, String>(samples.collect())
    })
}

/// How many trunk channels a node has, as it says itself.
pub(crate) fn legs(post: &Post) -> usize {
    let listed = post.asterisk.ari().get("/channels").ok();
    let all = listed.as_array().cloned().unwrap_or_default();
    all.iter().filter(|one| text(&one["name"]).starts_with("PJSIP/gateway-trunk-")).count()
}

/// Waits until no node has one.
#[track_caller]
fn wait_no_trunk(site: &Site) {
    eventually("the trunks to be gone", seconds(20), || {
        match site.posts.iter().map(legs).sum::<usize>() {
            0 => Ok(()),
            legs => Err(legs),
        }
    });
}

/// The members that a gateway tells of a bridge, by itself and in the list, where there is one of it.
#[track_caller]
pub(crate) fn members(ari: &Ari, bridge: &str) -> (Value, BTreeSet<String>) {
    let told = ari.get(&format!("/bridges/{bridge}")).ok();
    let listed = ari.get("/bridges").ok();
    let all = listed.as_array().expect("a list").iter();
    let same: Vec<&Value> = all.filter(|one| one["id"] == json!(bridge)).collect();
    assert_eq!(same.len(), 1, "{listed}");
    let found = (told["asterisk_id"].clone(), channels(&told));
    assert_eq!((same[0]["asterisk_id"].clone(), channels(same[0])), found);
    found
}

fn channels(bridge: &Value) -> BTreeSet<String> {
    bridge["channels"].as_array().into_iter().flatten().map(text).collect()
}

fn one_bridge_over_three_nodes_outlives_its_home() {
    let tenant = Broker::shared().tenant();
    let amqp = AmqpConf::new(&tenant.url()).text();
    let spanning = |version, consul: &Consul| spanning(version, consul, &amqp);
    let url = format!("url = \"{}\"", tenant.url());
    // A machine that others work on takes its time for a call.
    let more = [("amqp", url.as_str()), ("bridges", "trunk_timeout = \"30s\"")];
    let site = Site::of(&[Version::V22, Version::V16, Version::V22], &more, &spanning);
    let other = Gateway::start(site.consul.port(), &more);
    let both = [site.ari(), other.ari()];
    eventually("the broker", seconds(30), || match other.metric("gateway_amqp_up") {
        1.0 => Ok(()),
        state => Err(state),
    });
    let events = other.ari().events("conf");
    let [home, second, third] = site.posts.as_slice() else { panic!("three nodes") };
    let callers = [
        Caller::place(&site, home, 440),
        Caller::place(&site, second, 620),
        Caller::place(&site, second, 830),
        Caller::place(&site, third, 1010),
    ];
    let all: Vec<u32> = callers.iter().map(|caller| caller.tone).collect();
    who_is_on_hold_hears_what_is_played_and_nobody_else(&site, &callers);
    of_two_calls_with_one_id_the_named_nodes_is_meant(&site);
    let bridge = site.ari().post(&format!("/bridges?asteriskId={}&name=hall", home.eid())).ok();
    let bridge = text(&bridge["id"]);

    // All at once, by both gateways.
    thread::scope(|scope| {
        for (place, caller) in callers.iter().enumerate() {
            let (ari, bridge) = (&both[place % 2], &bridge);
            scope.spawn(move || {
                let path = format!("/bridges/{bridge}/addChannel?channel={}", caller.id);
                ari.post(&path).ok();
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
    // The whole of it, whatever node is named; in a node's list only at home, with the members there.
    let whole = site.ari().get(&format!("/bridges/{bridge}?asteriskId={}", second.eid())).ok();
    assert_eq!((&whole["asterisk_id"], channels(&whole)), (&json!(home.eid()), wanted.clone()));
    let list = |post: &Post| site.ari().get(&format!("/bridges?asteriskId={}", post.eid())).ok();
    assert_eq!(list(second), json!([]));
    assert_eq!(list(home)[0]["channels"], json!([callers[0].id]));
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
    assert!(all.iter().chain(&dial).all(|tone| tone::level(&whole, *tone) > tone::HEARD / 10.0));

    die(home);
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

    // A member that is taken out; and one gateway is left.
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
    other.ari().post(&again).ok();
    callers[3].wait_hears(&other.ari(), &site, seconds(1), &[620, 830], &all);
    // To the application it was one bridge all the time, also when its home died.
    let told = events.drain();
    for caller in &callers {
        let enters = |event: &Value| {
            let (channel, of) = (&event["channel"]["id"], &event["bridge"]["id"]);
            event["type"] == "ChannelEnteredBridge" && *channel == *caller.id && *of == *bridge
        };
        assert!(told.iter().any(enters), "{}", caller.tone);
    }
    let ends = |event: &Value| {
        event["type"] == "BridgeDestroyed" && event["bridge"]["id"] == json!(bridge)
    };
    assert!(!told.iter().any(ends));
    // But for BRIDGEPEER, which has the name of whatever a channel is bridged with.
    let mut told = told.iter().filter(|event| event["type"] != "ChannelVarset");
    let hidden = told.find(|event| event.to_string().contains("gateway-trunk"));
    assert_eq!(hidden, None);
    assert_eq!(other.ari().delete(&format!("/bridges/{bridge}")).status, 204);
    // With members in it, it ends a moment later.
    eventually("the bridge to be gone", seconds(20), || {
        match other.ari().get(&format!("/bridges/{bridge}")).status {
            404 => Ok(()),
            status => Err(status),
        }
    });
    one_of_two_nodes_dies(&site, &other.ari(), &callers);
    other.assert_alive();
}

/// A holding bridge, whose members are on the two nodes it is not at home on.
fn who_is_on_hold_hears_what_is_played_and_nobody_else(site: &Site, callers: &[Caller; 4]) {
    let (home, ari) = (&site.posts[0], site.ari());
    let bridge = ari.post(&format!("/bridges?type=holding&asteriskId={}", home.eid())).ok();
    let bridge = text(&bridge["id"]);
    let add = |caller: &Caller, role: &str| {
        ari.post(&format!("/bridges/{bridge}/addChannel?channel={}{role}", caller.id)).status
    };
    let held = [&callers[1], &callers[3]];
    assert_eq!(held.map(|caller| add(caller, "")), [204, 204]);
    let wanted = held.iter().map(|caller| caller.id.clone()).collect();
    assert_eq!(members(&ari, &bridge), (json!(home.eid()), wanted));
    let play = ari.post(&format!("/bridges/{bridge}/play?media=tone:dial")).ok();
    for caller in held {
        caller.wait_hears(&ari, site, seconds(1), &[350], &[350, held[0].tone, held[1].tone]);
    }
    ari.delete(&format!("/playbacks/{}", text(&play["id"]))).ok();
    // Its own node alone would hear it.
    assert_eq!(add(&callers[2], "&role=announcer"), 409);
    ari.delete(&format!("/bridges/{bridge}")).ok();
    wait_no_trunk(site);
}

/// Two nodes without a `systemname` make such.
fn of_two_calls_with_one_id_the_named_nodes_is_meant(site: &Site) {
    let ([home, second, third], ari) = (&site.posts[..], site.ari()) else { panic!("three nodes") };
    let (id, of) = ("1732000000.5", [second, third]);
    for post in of {
        let call = "/channels?endpoint=Local/8700@default/n&app=conf";
        let named = format!("&channelId={id}&asteriskId={}", post.eid());
        ari.post(&format!("{call}{named}")).ok();
        site.wait_in("conf", id, &json!(post.eid()));
    }
    assert_eq!(site.gateway.metric("gateway_clashing_nodes"), 2.0);
    for post in of {
        let bridge = ari.post(&format!("/bridges?asteriskId={}", home.eid())).ok();
        let bridge = text(&bridge["id"]);
        let join = format!("/bridges/{bridge}/addChannel?channel={id}&asteriskId={}", post.eid());
        assert_eq!(ari.post(&join).status, 204);
        let has =
            |post: &Post| channels(&post.asterisk.ari().get(&format!("/bridges/{bridge}")).body);
        assert!(has(post).contains(id), "{:?}", has(post));
        let other = of.into_iter().find(|other| other.eid() != post.eid()).expect("another");
        assert_eq!(has(other), BTreeSet::new());
        ari.delete(&format!("/channels/{id}?asteriskId={}", post.eid())).ok();
        ari.delete(&format!("/bridges/{bridge}")).ok();
    }
    wait_no_trunk(site);
}

/// Home, and then the other; the first node of all is there again.
fn one_of_two_nodes_dies(site: &Site, ari: &Ari, callers: &[Caller; 4]) {
    let [first, second, third] = site.posts.as_slice() else { panic!("three nodes") };
    let bridge = ari.post(&format!("/bridges?asteriskId={}", third.eid())).ok();
    let bridge = text(&bridge["id"]);
    let add = |caller: &Caller| {
        let path = format!("/bridges/{bridge}/addChannel?channel={}", caller.id);
        ari.post(&path).ok();
    };
    callers[1..].iter().for_each(add);
    assert_eq!((legs(second), legs(third)), (1, 1));
    die(third);
    let is_alone = |of: &[&Caller]| {
        let wanted: BTreeSet<String> = of.iter().map(|caller| caller.id.clone()).collect();
        eventually("the bridge to be on one node", seconds(20), || {
            let keys = site.consul.kv_keys("bridges/");
            let seen = ari.get(&format!("/bridges/{bridge}"));
            match keys.is_empty() && legs(second) == 0 && channels(&seen.body) == wanted {
                true => Ok(()),
                false => Err(format!("{keys:?} {seen:?}")),
            }
        });
        assert_eq!(members(ari, &bridge), (json!(second.eid()), wanted));
    };
    is_alone(&[&callers[1], &callers[2]]);

    first.asterisk.start_again();
    for module in MODULES {
        load(&first.asterisk, module);
    }
    first.proxy.pass();
    let late = eventually("calls to come to it again", seconds(20), || {
        let seen = ari.get(&format!("/asterisk/info?asteriskId={}", first.eid())).status;
        if seen == 200 { Ok(Caller::place_by(ari, site, first, 440)) } else { Err(seen) }
    });
    add(&late);
    let tones = [440, 620, 830];
    late.wait_hears(ari, site, seconds(1), &[620, 830], &tones);
    callers[1].wait_hears(ari, site, seconds(1), &[440, 830], &tones);
    die(first);
    is_alone(&[&callers[1], &callers[2]]);

    // Members that go by themselves.
    second.asterisk.cli("channel request hangup all");
    assert_eq!(ari.delete(&format!("/bridges/{bridge}")).status, 204);
    eventually("nothing to be left", seconds(20), || {
        let told = second.asterisk.ari();
        let keys = ["bridges/", "gateway/lock/bridges/"].map(|prefix| site.consul.kv_keys(prefix));
        let left = (told.get("/channels").ok(), told.get("/bridges").ok(), keys.concat());
        let nothing = (json!([]), json!([]), Vec::new());
        if left == nothing { Ok(()) } else { Err(format!("{left:?}")) }
    });
    second.asterisk.assert_alive();
}

pub(crate) fn die(post: &Post) {
    post.asterisk.kill();
    // What a proxy has in front of nothing would accept connections.
    post.proxy.refuse();
    post.proxy.cut();
}

fn where_it_cannot_span_it_says_so() {
    let site = Site::shared();
    let _app = site.app("apart");
    let (id, eid) = site.call("apart");
    let elsewhere = site.posts.iter().find(|post| eid != post.eid()).expect("another node");
    let path = format!("/bridges?asteriskId={}", elsewhere.eid());
    let bridge = text(&site.ari().post(&path).ok()["id"]);
    let join = |gateway: &Gateway| {
        let told = gateway.ari().post(&format!("/bridges/{bridge}/addChannel?channel={id}"));
        (told.status, text(&told.body["message"]))
    };
    let no_span = Gateway::start(site.consul.port(), &[("bridges", "span = false")]);
    let (status, message) = join(&no_span);
    assert_eq!(status, 409);
    assert!(message.contains(&text(&eid)) && message.contains(elsewhere.eid()), "{message}");
    // The shared nodes have no trunk, and no application of it.
    let (status, message) = join(&site.gateway);
    assert_eq!(status, 503);
    assert!(message.contains("_gateway"), "{message}");
    // It is a bridge as before, and nothing is left of the try.
    eventually("no key", seconds(20), || {
        let keys = [site.consul.kv_keys("bridges/"), site.consul.kv_keys("gateway/lock/bridges/")]
            .concat();
        if keys.is_empty() { Ok(()) } else { Err(format!("{keys:?}")) }
    });
    for post in &site.posts {
        let told = post.asterisk.ari().get(&format!("/bridges/{bridge}"));
        assert_eq!(told.status, if post.eid() == elsewhere.eid() { 200 } else { 404 });
    }
    site.ari().delete(&format!("/bridges/{bridge}")).ok();
    site.ari().delete(&format!("/channels/{id}")).ok();
}
