// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A holding bridge on several nodes: what those who wait in it hear, measured, also when its home has
//! died.

use std::collections::BTreeSet;
use std::{fs, thread};

use rig::{AmqpConf, Broker, Consul, Version, eventually, seconds, tone};
use serde_json::{Value, json};

use crate::gateway_bridges::{Caller, die, legs, members, spanning};
use crate::gateway_fleet::{Post, Site, scenarios, text};

scenarios!([alone: who_is_on_hold_hears_the_music_of_home_once_and_outlives_it]);

/// What the callers say.
const TONES: [u32; 5] = [500, 620, 830, 1010, 1130];
/// The music of each node, in their order: what is heard says where it is played.
const MUSIC: [u32; 3] = [1250, 1460, 1670];
/// A part of the tone `dial`.
const DIAL: u32 = 350;
/// How loud music is where Asterisk plays it once. Its file is twice as loud.
const LEVEL: f64 = 0.1;

/// Gives a node its music: ten seconds of one tone.
#[track_caller]
fn furnish(post: &Post, music: u32) {
    let folder = post.asterisk.folder().join("data/music");
    let samples = (0..10 * tone::RATE).map(|place| tone::sample(music, LEVEL * 2.0, place));
    let bytes: Vec<u8> = samples.flat_map(i16::to_le_bytes).collect();
    let written = fs::create_dir(&folder).and_then(|()| fs::write(folder.join("tone.sln"), bytes));
    written.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let class = format!("[default]\nmode = files\ndirectory = {}\n", folder.display());
    post.asterisk.write_conf("musiconhold.conf", &class);
    post.asterisk.cli("moh reload");
}

/// Waits until each of them hears this, and nothing else that is said or played anywhere. Music must be
/// as loud as it is played: what is heard twice is not.
#[track_caller]
fn wait_hear(site: &Site, callers: &[Caller], wanted: Option<u32>) {
    let all: Vec<u32> = TONES.into_iter().chain(MUSIC).chain([DIAL]).collect();
    let wait = |caller: &Caller| {
        let what = format!("{} to hear {wanted:?}, as loud as it is", caller.tone);
        eventually(&what, seconds(30), || {
            let samples = caller.record(&site.ari(), site, seconds(1));
            let heard = tone::heard(&samples, &all);
            let music = wanted.filter(|tone| MUSIC.contains(tone));
            let level = music.map(|tone| tone::level(&samples, tone));
            let is_once = level.is_none_or(|level| (0.7..1.3).contains(&(level / LEVEL)));
            if heard.iter().eq(&wanted) && is_once {
                Ok(())
            } else {
                Err(format!("{heard:?} {level:?}"))
            }
        });
    };
    thread::scope(|scope| {
        for caller in callers {
            scope.spawn(|| wait(caller));
        }
    });
}

fn who_is_on_hold_hears_the_music_of_home_once_and_outlives_it() {
    let tenant = Broker::shared().tenant();
    let amqp = AmqpConf::new(&tenant.url()).text();
    let spanning = |version, consul: &Consul| spanning(version, consul, &amqp);
    let url = format!("url = \"{}\"", tenant.url());
    let more = [("amqp", url.as_str()), ("bridges", "trunk_timeout = \"30s\"")];
    let site = Site::of(&[Version::V22, Version::V22, Version::V16], &more, &spanning);
    let ([home, second, third], ari) = (&site.posts[..], site.ari()) else { panic!("three nodes") };
    site.posts.iter().zip(MUSIC).for_each(|(post, music)| furnish(post, music));
    eventually("the broker", seconds(30), || match site.gateway.metric("gateway_amqp_up") {
        1.0 => Ok(()),
        state => Err(state),
    });
    let events = ari.events("conf");
    let places = [home, second, second, third, second].into_iter().zip(TONES);
    let all: Vec<_> = places.map(|(post, tone)| Caller::place(&site, post, tone)).collect();
    let (callers, last) = all.split_at(4);
    let ids_of = |callers: &[Caller]| -> BTreeSet<String> {
        callers.iter().map(|caller| caller.id.clone()).collect()
    };
    let bridge_of = |callers: &[Caller]| {
        let made = ari.post(&format!("/bridges?type=holding&asteriskId={}", home.eid())).ok();
        let id = text(&made["id"]);
        for caller in callers {
            ari.post(&format!("/bridges/{id}/addChannel?channel={}", caller.id)).ok();
        }
        assert_eq!(members(&ari, &id), (json!(home.eid()), ids_of(callers)));
        let path = format!("/bridges/{id}");
        (id, path)
    };
    let play_to = |bridge: &str| {
        let play = ari.post(&format!("{bridge}/play?media=tone:dial")).ok();
        assert_eq!(play["asterisk_id"], home.eid());
        text(&play["id"])
    };
    let (id, bridge) = bridge_of(callers);

    ari.post(&format!("{bridge}/moh")).ok();
    wait_hear(&site, callers, Some(MUSIC[0]));
    ari.delete(&format!("{bridge}/moh")).ok();
    wait_hear(&site, callers, None);
    let play = play_to(&bridge);
    wait_hear(&site, callers, Some(DIAL));
    ari.delete(&format!("/playbacks/{play}")).ok();
    wait_hear(&site, callers, None);
    for request in [format!("POST {bridge}/moh"), format!("POST {bridge}/play")] {
        let is_it = |seen: &&String| seen.starts_with(&request);
        let sent = [home, second, third].map(|post| post.requests().iter().filter(is_it).count());
        assert_eq!(sent, [1, 0, 0], "{request}");
    }

    // Music in the one bridge, a play in another: Asterisk has one of them in each at a time.
    let (other_id, other) = bridge_of(last);
    let lost_play = play_to(&other);
    wait_hear(&site, last, Some(DIAL));
    ari.post(&format!("{bridge}/moh")).ok();
    let survivors = &callers[1..];
    wait_hear(&site, survivors, Some(MUSIC[0]));
    die(home);
    eventually("another home", seconds(20), || {
        let eid = ari.get(&bridge).body["asterisk_id"].clone();
        let trunk = (legs(second), legs(third));
        if eid == second.eid() && trunk == (1, 1) {
            Ok(())
        } else {
            Err(format!("{eid} {trunk:?}"))
        }
    });
    // Both have ended with the old one. Whoever puts music on again is heard by all.
    wait_hear(&site, &all[1..], None);
    ari.post(&format!("{bridge}/moh")).ok();
    wait_hear(&site, survivors, Some(MUSIC[1]));
    for (id, left) in [(&id, survivors), (&other_id, last)] {
        assert_eq!(members(&ari, id), (json!(second.eid()), ids_of(left)));
    }

    let mut told = Vec::new();
    let lost = eventually("the end of the play", seconds(30), || {
        told.extend(events.drain());
        let is_it = |event: &&Value| {
            event["type"] == "PlaybackFinished" && event["playback"]["id"] == *lost_play
        };
        told.iter().find(is_it).cloned().ok_or("no PlaybackFinished")
    });
    assert_eq!((&lost["playback"]["state"], &lost["synthetic"]), (&json!("failed"), &json!(true)));
    let count = |name: &str, is_meant: &dyn Fn(&Value) -> bool| {
        told.iter().filter(|event| event["type"] == name && is_meant(event)).count()
    };
    let is_play = |event: &Value| event["playback"]["id"] == *play;
    assert_eq!(["PlaybackStarted", "PlaybackFinished"].map(|name| count(name, &is_play)), [1, 1]);
    // They were in it all the time.
    let is_theirs = |event: &Value| all[1..].iter().any(|one| event["channel"]["id"] == *one.id);
    let moves = ["ChannelEnteredBridge", "ChannelLeftBridge", "StasisEnd"];
    assert_eq!(moves.map(|name| count(name, &is_theirs)), [4, 0, 0]);
    let is_bridge = |event: &Value| [&id, &other_id].iter().any(|id| event["bridge"]["id"] == **id);
    assert_eq!(count("BridgeDestroyed", &is_bridge), 0);

    for bridge in [&bridge, &other] {
        assert_eq!(ari.delete(bridge).status, 204);
    }
    for caller in &all[1..] {
        assert_eq!(ari.delete(&format!("/channels/{}", caller.id)).status, 204);
    }
    eventually("nothing to be left", seconds(20), || {
        let asked = [second.asterisk.ari(), third.asterisk.ari(), ari.clone()];
        let told =
            asked.each_ref().map(|ari| ["/channels", "/bridges"].map(|all| ari.get(all).ok()));
        let keys = ["bridges/", "gateway/lock/bridges/"].map(|prefix| site.consul.kv_keys(prefix));
        let is_empty = told.iter().flatten().all(|list| *list == json!([]));
        let is_done = is_empty && keys.concat().is_empty();
        if is_done { Ok(()) } else { Err(format!("{told:?} {keys:?}")) }
    });
    second.asterisk.assert_alive();
    third.asterisk.assert_alive();
    site.gateway.assert_alive();
}
