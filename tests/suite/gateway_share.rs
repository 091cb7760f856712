// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! An application's calls are shared out among its sockets, whichever gateway they are at.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use rig::{AriEvents, eventually, seconds};

use crate::gateway_events::who_does_not_read_is_told_and_let_go;
use crate::gateway_fleet::{scenarios, text};
use crate::gateway_stage::{Stage, about};

scenarios!(calls_are_shared_out_among_sockets_of_all_gateways);

const APP: &str = "team-a";
/// Within it a killed gateway's calls are at another's sockets: Consul's session, and the grace time.
const PROMISED: u64 = 25;

/// What a socket was told of calls: of each, its `StasisStart`s, values of a variable, and its
/// `StasisEnd`, in order.
type Heard = BTreeMap<String, Vec<String>>;

/// Reads on until all that nodes published before this moment has come.
#[track_caller]
fn hear(stage: &Stage, sockets: &[&AriEvents], marks: &mut usize) -> Vec<Heard> {
    *marks += 1;
    let name = format!("mark-{marks}");
    for node in &stage.nodes {
        // It is about no call: each socket is told it.
        let node = node.entity_id();
        let path = format!("/events/user/{name}?application={APP}&asteriskId={node}");
        stage.gateways[1].ari().post(&path).ok();
    }
    let hear_one = |socket: &&AriEvents| {
        let (mut heard, mut left) = (Heard::new(), stage.nodes.len());
        while left > 0 {
            let event = socket.next(seconds(20));
            let word = match event["type"].as_str() {
                Some("ChannelUserevent") => {
                    left -= usize::from(event["eventname"] == *name);
                    continue;
                }
                Some("ChannelVarset") if event["variable"] == "X" => text(&event["value"]),
                Some(kind @ ("StasisStart" | "StasisEnd")) => kind.to_owned(),
                _ => continue,
            };
            heard.entry(about(&event)).or_default().push(word);
        }
        heard
    };
    sockets.iter().map(hear_one).collect()
}

fn set(stage: &Stage, calls: &BTreeSet<String>, value: &str) {
    for id in calls {
        let path = format!("/channels/{id}/variable?variable=X&value={value}");
        stage.gateways[1].ari().post(&path).ok();
    }
}

/// Whose each call is, when exactly one was told exactly this of each.
#[track_caller]
fn shares(heard: &[Heard], calls: &BTreeSet<String>, told: &[&str]) -> Vec<BTreeSet<String>> {
    let shares: Vec<BTreeSet<String>> =
        heard.iter().map(|heard| heard.keys().cloned().collect()).collect();
    for words in heard.iter().flat_map(BTreeMap::values) {
        assert_eq!(words, told);
    }
    let all: BTreeSet<String> = shares.iter().flatten().cloned().collect();
    assert_eq!(&all, calls);
    assert_eq!(shares.iter().map(BTreeSet::len).sum::<usize>(), calls.len(), "{shares:?}");
    shares
}

/// New calls, which have entered the application as one says who is told all.
#[track_caller]
fn call_many(stage: &Stage, all: &AriEvents, count: usize) -> BTreeSet<String> {
    let call = |turn| stage.call(&stage.gateways[1 - turn % 2], APP).0;
    let calls: BTreeSet<String> = (0..count).map(call).collect();
    wait_all(all, "StasisStart", &calls);
    calls
}

#[track_caller]
fn wait_all(all: &AriEvents, kind: &str, calls: &BTreeSet<String>) {
    let next = |_| about(&all.next_of(kind, seconds(20)));
    assert_eq!(&calls.iter().map(next).collect::<BTreeSet<String>>(), calls);
}

fn calls_are_shared_out_among_sockets_of_all_gateways() {
    let stage = Stage::start(2, "share = [\"team-*\"]\ngrace = \"1s\"\nwaiting = 100");
    let [dying, living] = &stage.gateways;
    let (first, second) = (dying.ari().events(APP), living.ari().events(APP));
    // One that asks for all calls has them.
    let all = living.ari().events_with(&format!("app={APP}&share=false"));
    let mut marks = 0;
    let calls = call_many(&stage, &all, 40);
    set(&stage, &calls, "1");
    set(&stage, &calls, "2");
    let mut heard = hear(&stage, &[&first, &second, &all], &mut marks);
    shares(&heard.split_off(2), &calls, &["1", "2"]);
    let before = shares(&heard, &calls, &["StasisStart", "1", "2"]);
    assert!(before.iter().all(|share| share.len() >= 5), "{before:?}");
    who_does_not_read_is_told_and_let_go(&stage, 1.0);

    // One that comes has new calls, and none of the others'.
    let third = dying.ari().events(APP);
    set(&stage, &calls, "3");
    let mut heard = hear(&stage, &[&first, &second, &third], &mut marks);
    assert!(heard.remove(2).is_empty());
    assert_eq!(shares(&heard, &calls, &["3"]), before);
    let new = call_many(&stage, &all, 30);
    let heard = hear(&stage, &[&first, &second, &third], &mut marks);
    let share = shares(&heard, &new, &["StasisStart"]).remove(2);
    assert!(!share.is_empty() && share.len() < new.len(), "{share:?}");

    // It ends: the others are told of its calls, and of what comes then, once.
    third.cut();
    set(&stage, &share, "4");
    let mut heard = vec![Heard::new(); 2];
    eventually("its calls to be at the others", seconds(20), || {
        let more = hear(&stage, &[&first, &second], &mut marks);
        for (heard, more) in heard.iter_mut().zip(more) {
            for (id, words) in more {
                heard.entry(id).or_default().extend(words);
            }
        }
        let count = heard.iter().flat_map(BTreeMap::keys).count();
        if count < share.len() { Err(format!("{heard:?}")) } else { Ok(()) }
    });
    shares(&heard, &share, &["StasisStart", "4"]);
    let calls = &calls | &new;
    a_gateway_is_killed(&stage, [&first, &second, &all], &calls, &mut marks);
    stage.nodes.iter().for_each(rig::Asterisk::assert_alive);
}

/// Its calls go on at the other, from where it was; what only its client had goes.
#[track_caller]
fn a_gateway_is_killed(
    stage: &Stage,
    [first, second, all]: [&AriEvents; 3],
    calls: &BTreeSet<String>,
    marks: &mut usize,
) {
    let [dying, living] = &stage.gateways;
    set(stage, calls, "5");
    let shares = shares(&hear(stage, &[first, second], marks), calls, &["5"]);
    let _lonely = dying.ari().events("lonely");
    stage.wait_keys(&["lonely", APP]);
    let since = Instant::now();
    dying.process().kill();
    set(stage, calls, "6");
    let mut heard = Heard::new();
    while heard.values().filter(|words| words.contains(&"6".to_owned())).count() < calls.len() {
        let event = second.next(seconds(PROMISED + 20));
        let word = match event["type"].as_str() {
            Some("ChannelVarset") if event["variable"] == "X" => text(&event["value"]),
            Some("StasisStart") => text(&event["type"]),
            _ => continue,
        };
        heard.entry(about(&event)).or_default().push(word);
    }
    let took = since.elapsed();
    assert!(took < seconds(PROMISED), "{took:?}");
    for (id, words) in heard {
        if shares[0].contains(&id) {
            // What the dead one told shortly before may be told again, in order.
            let (first, rest) = words.split_first().expect("words");
            assert!(
                first == "StasisStart" && rest.is_sorted_by(|one, next| one < next),
                "{words:?}"
            );
        } else {
            assert_eq!(words, ["6"], "{id}");
        }
    }
    // Consul has ended its session, and after the grace time what it held is nobody's.
    stage.wait_keys(&[APP]);
    assert_eq!(living.metric("gateway_shared{kind=\"sockets\"}"), 1.0);
    for id in calls {
        living.ari().delete(&format!("/channels/{id}")).ok();
    }
    wait_all(all, "StasisEnd", calls);
    let heard = hear(stage, &[second], marks);
    self::shares(&heard, calls, &["StasisEnd"]);
    living.assert_alive();
}
