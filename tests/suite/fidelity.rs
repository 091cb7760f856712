// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! That what is published is, byte for byte, what Asterisk itself tells an ARI client, whichever way
//! it was written and whatever the names and values; and that each event was written the way it
//! should be. All types that there are must occur. What a manager session is told is compared too.

mod alone;
mod endpoints;
mod kinds;
mod told;
mod transfers;

use rig::c_module::compile;
use rig::folder::Folder;
use rig::{Ari, Asterisk, Builder, Message, Version, eventually, seconds};
use serde_json::{Value, json};

use crate::clients::{Clients, call_into, text, with_calls};
use crate::pair::{AmqpConf, Pair, counter};
use crate::traffic::count_fast;
use kinds::{assert_all_kinds, assert_of_manager, assert_told, is_of_snapshots};
use told::{Witness, data, published_until};

on_each_version!(every_event_is_asterisks_own_text);

/// More than are compared one by one, so that most are written without a look at Asterisk's text.
const BURST: u32 = 2500;

const ALL: &str = "eventSource=channel:,bridge:,endpoint:,deviceState:";

fn every_event_is_asterisks_own_text(version: Version) {
    let all = |conf: AmqpConf| conf.stasis("publish_ami_events", "all");
    let folder = Folder::new("teller");
    let teller = compile(version, &folder, "teller", include_str!("teller.c"));
    let pair = Pair::furnished(version, all, |builder| {
        furnish(version, builder).module_file("teller", &teller, true)
    });
    let asterisk = &pair.asterisk;
    let [channels, app, manager] =
        ["stasis.channel.#", "stasis.app.demo", "ami.#"].map(|key| pair.consumer(&[key]));
    assert_eq!(asterisk.ari().post("/amqp/Demo").status, 204);
    asterisk.ari().post(&format!("/applications/Demo/subscription?{ALL}")).ok();
    let witness = Witness::of_all(asterisk);
    let clients = Clients::start(asterisk);
    let of_alpha = alone::what_one_application_is_told(&pair, &witness);
    let begin = clients.mark();
    [&channels, &app, &manager].iter().for_each(|each| drop(published_until(each, &begin)));
    drop((witness.until(&begin), clients.ami_until(&begin)));
    let before = Counted::of(asterisk);

    strange_names(asterisk, &witness);
    strange_variables(asterisk);
    calls_and_talk(asterisk, &witness);
    things_seldom_told(asterisk, clients.anchor(), &witness);
    endpoints::devices(asterisk, &witness);
    endpoints::a_phone_registers_and_writes(asterisk, &witness);
    transfers::transfers(asterisk, &witness);
    if version == Version::V22 {
        a_call_for_whoever_takes_it(asterisk, &witness);
    }
    all_that_an_application_can_do(asterisk, &witness);
    clients.press("5");
    call_into(asterisk, "Demo");
    count_fast(asterisk, BURST).finish(seconds(60));

    let end = clients.mark();
    let [of_channels, of_app, of_manager] =
        [&channels, &app, &manager].map(|each| published_until(each, &end));
    let told = witness.until(&end);
    let told_by_manager: Vec<_> = clients.ami_until(&end).iter().map(Value::to_string).collect();
    assert_told("channels", &of_channels, &told, kinds::of_channels);
    assert_told("application", &of_app, &told, kinds::of_all);
    assert_told("manager", &of_manager, &told_by_manager, kinds::of_manager);
    assert_all_kinds(asterisk, &of_channels, &[of_app.as_slice(), &of_alpha].concat());
    assert_of_manager(&of_manager);
    for messages in [&of_channels, &of_app, &of_manager] {
        assert!(messages.len() > BURST as usize, "{} messages", messages.len());
    }
    assert_ways(asterisk, &before, &of_channels, &of_app);
    asterisk.assert_alive();
}

fn furnish(version: Version, builder: Builder) -> Builder {
    let builder = transfers::furnish(endpoints::furnish(with_calls(builder)));
    let builder = match version {
        Version::V22 => builder
            .load("res_stasis_broadcast")
            .load("app_stasis_broadcast")
            .extension("anybody", &["Answer()", "StasisBroadcast(20000,,one:two,yes)"]),
        Version::V16 => builder,
    };
    builder
        .load("res_tonedetect")
        .load("func_talkdetect")
        .load("func_uri")
        .append("ari.conf", "[general](+)\nchannelvars = NOTE,\"ODD\",CHANNEL(language)\n")
        .extension(
            "strange",
            &[
                "Answer()",
                "Set(CALLERID(name)=Zoë \"Quote\" Back\\\\slash <x>)",
                "Set(CALLERID(num)=+49 (30) 1)",
                "Set(CALLERID(rdnis)=99)",
                "Set(CONNECTEDLINE(name)=${URIDECODE(%E6%97%A5%E6%9C%AC)})",
                "Set(CONNECTEDLINE(num)=8000)",
                "Set(CHANNEL(accountcode)=a\"c)",
                "Set(CHANNEL(language)=de)",
                "Set(CHANNEL(tenantid)=tenant é)",
                "Set(NOTE=a: b\\, c)",
                "Set(\"ODD\"=\"odd\")",
                "Set(CONTROL=${URIDECODE(%01%1f%7f%08%09%0a%0c%0d%22%5c/)})",
                "Set(BROKEN=${URIDECODE(ab%ff%fecd)})",
                "Set(CALLERID(name)=${URIDECODE(%ffname)})",
                "UserEvent(Odd,Text: \"x\" \\\\ y)",
                "Set(STATE=done)",
                "Wait(60)",
            ],
        )
        // What cannot be said in JSON at all is said to nobody.
        .extension(
            "unspeakable",
            &["Answer()", "Set(CHANNEL(accountcode)=${URIDECODE(%ff)})", "Set(LOST=1)", "Hangup()"],
        )
        .extension("refuse", &["Busy(1)"])
        .extension("dials", &["Answer()", "Dial(Local/refuse@default,5)", "Wait(60)"])
        .extension(
            "listens",
            &["Answer()", "Set(TALK_DETECT(set)=100)", "Set(TONE_DETECT(1400,100,r)=)", "Wait(60)"],
        )
}

#[derive(Debug)]
struct Counted {
    directly: u64,
    compared: u64,
    differed: u64,
}

impl Counted {
    fn of(asterisk: &Asterisk) -> Self {
        let of = |name| counter(asterisk, name);
        Self {
            directly: of("written_directly"),
            compared: of("compared"),
            differed: of("differed"),
        }
    }
}

/// As many were written directly as can be, some of them were compared, and none differed.
#[track_caller]
fn assert_ways(asterisk: &Asterisk, before: &Counted, of_channels: &[Message], of_app: &[Message]) {
    let now = Counted::of(asterisk);
    let by_asterisk = |message: &&Message| data(message).contains("\"by_asterisk\"");
    let mut expected = (of_app.len() - of_app.iter().filter(by_asterisk).count()) as u64;
    let shown = asterisk.cli("amqp show status");
    match asterisk.version() {
        Version::V22 => {
            let of_snapshots = of_channels.iter().filter(|message| is_of_snapshots(message.name()));
            expected += of_snapshots.count() as u64;
            expected -= of_channels.iter().filter(by_asterisk).count() as u64;
            assert!(shown.contains("Texts:        written directly, and compared"), "{shown}");
        }
        Version::V16 => {
            assert!(shown.contains("Texts:        of channels by Asterisk"), "{shown}");
        }
    }
    assert!(!shown.contains("differed, so"), "{shown}");
    assert_eq!((before.differed, now.differed), (0, 0));
    // Devices come to rest at leisure, of which the application is told.
    let directly = now.directly - before.directly;
    assert!((expected..expected + 20).contains(&directly), "{directly} of {expected}");
    let compared = now.compared - before.compared;
    assert!(compared > 0 && compared < directly / 4, "{compared} of {directly} were compared");
}

fn originate(ari: &Ari, endpoint: &str, rest: &str) -> String {
    text(&ari.post(&format!("/channels?endpoint=Local/{endpoint}@default/n&{rest}")).ok()["id"])
}

fn wait_until_gone(ari: &Ari, channel: &str) {
    eventually("the channel to be gone", seconds(10), || {
        let reply = ari.get(&format!("/channels/{channel}"));
        if reply.status == 404 { Ok(()) } else { Err(reply.body) }
    });
}

fn strange_names(asterisk: &Asterisk, witness: &Witness) {
    let ari = asterisk.ari();
    let unspeakable = originate(&ari, "stay", "context=default&extension=unspeakable");
    wait_until_gone(&ari, &unspeakable);
    let strange = originate(&ari, "stay", "context=default&extension=strange");
    eventually("the channel to be done", seconds(10), || {
        let state = ari.get(&format!("/channels/{strange}/variable?variable=STATE")).body;
        if state["value"] == "done" { Ok(()) } else { Err(state) }
    });
    witness.hears("\"variable\":\"STATE\",\"value\":\"done\"");
}

fn strange_variables(asterisk: &Asterisk) {
    let ari = asterisk.ari();
    let channel = originate(&ari, "stay", "app=Demo");
    let long = "x\"\\é\n".repeat(16_384 / 6);
    let values = [
        "",
        "plain",
        "q\" b\\ s/ 'a' <>&",
        "\u{1}\u{1f}\u{8}\u{c}\n\r\t\u{7f}\u{2028}",
        "é日本😀",
        "a,b|c;{}[]:\\u0041",
        &long,
    ];
    for name in ["NOTE", "\"ODD\"", "back\\slash", "é日", "{\"a\":[1]}", "tab\there"] {
        for value in values {
            let said = json!({"variable": name, "value": value});
            eventually("the variable to be set", seconds(10), || {
                // Refused until the channel is in the application.
                let set = ari.post_json(&format!("/channels/{channel}/variable"), &said);
                if set.status == 204 { Ok(()) } else { Err(set.body) }
            });
        }
    }
}

fn calls_and_talk(asterisk: &Asterisk, witness: &Witness) {
    let ari = asterisk.ari();
    originate(&ari, "stay", "context=default&extension=dials");
    witness.hears("\"dialstatus\":\"BUSY\"");

    // Tones are looked for as in telephony's rate, whatever rate there is.
    let talker = originate(&ari, "listens", "app=Demo&formats=slin");
    let playback = eventually("the channel to be in the application", seconds(10), || {
        let reply = ari.post(&format!("/channels/{talker}/play?media=tone:record"));
        if reply.status == 201 { Ok(text(&reply.body["id"])) } else { Err(reply.body) }
    });
    witness.hears_of("ChannelTalkingStarted");
    // By then the tone has been found, before or after the talk began.
    witness.hears_of("ChannelTalkingFinished");
    assert_eq!(ari.delete(&format!("/playbacks/{playback}")).status, 204);
    witness.hears_of("PlaybackFinished");
    assert_eq!(ari.delete(&format!("/channels/{talker}")).status, 204);
    witness.hears_of("ChannelHangupRequest");
}

fn things_seldom_told(asterisk: &Asterisk, channel: &str, witness: &Witness) {
    for what in ["odd", "forward", "hold", "unhold", "hold"] {
        asterisk.cli(&format!("tell {what} {channel}"));
    }
    asterisk.cli(&format!("tell hold {channel} \"class \\\"b\\\" é\""));
    asterisk.cli(&format!("tell unhold {channel}"));
    (0..2).for_each(|_| witness.hears_of("ChannelUnhold"));
}

fn all_that_an_application_can_do(asterisk: &Asterisk, witness: &Witness) {
    let ari = asterisk.ari();
    let channel = originate(&ari, "stay", "app=Demo");
    let path = format!("/channels/{channel}");
    let hears = |kind: &str| witness.hears_of(kind);
    let post = |rest: &str| {
        eventually(rest, seconds(10), || {
            let reply = ari.post(&format!("{path}/{rest}"));
            if reply.status / 100 == 2 { Ok(reply.body) } else { Err(reply.body) }
        })
    };
    post("moh?mohClass=default");
    assert_eq!(ari.delete(&format!("{path}/moh")).status, 204);
    post("dtmf?dtmf=1%23");
    (0..2).for_each(|_| hears("ChannelDtmfReceived"));
    let recordings = asterisk.folder().join("spool/recording");
    std::fs::create_dir_all(&recordings).expect("the node's folder can be written to");
    post("record?name=heard&format=wav&ifExists=overwrite");
    hears("RecordingStarted");
    assert_eq!(ari.post("/recordings/live/heard/stop").status, 204);
    hears("RecordingFinished");

    // Nothing to hear, for a tenth of a second.
    let sound = asterisk.folder().join("spool/short.ulaw");
    std::fs::write(&sound, [0xff; 800]).expect("the node's folder can be written to");
    let sound = sound.with_extension("");
    let sound = format!("sound:{}", sound.display());
    post(&format!("play?media={sound},{sound}"));
    hears("PlaybackContinuing");
    hears("PlaybackFinished");

    let snoop = text(&post("snoop?app=Demo&spy=both")["id"]);
    witness.hears(&format!("Snoop/{channel}-"));
    let bridge = text(&ari.post("/bridges?type=mixing&name=a%22b").ok()["id"]);
    assert_eq!(ari.post(&format!("/bridges/{bridge}/addChannel?channel={channel}")).status, 204);
    hears("ChannelEnteredBridge");
    post("record?name=failed&format=wav");
    hears("RecordingFailed");
    assert_eq!(ari.post(&format!("/bridges/{bridge}/videoSource/{channel}")).status, 204);
    hears("BridgeVideoSourceChanged");
    assert_eq!(ari.post(&format!("/bridges/{bridge}/removeChannel?channel={channel}")).status, 204);
    hears("ChannelLeftBridge");
    assert_eq!(ari.delete(&format!("/bridges/{bridge}")).status, 204);
    hears("BridgeDestroyed");

    let called = ari.post("/channels/create?endpoint=Local/wait@default&app=Demo").ok();
    let called = text(&called["id"]);
    eventually("the channel to dial", seconds(10), || {
        // Refused until it is in the application.
        let reply = ari.post(&format!("/channels/{called}/dial?caller={channel}"));
        if reply.status == 204 { Ok(()) } else { Err(reply.body) }
    });
    witness.hears("\"dialstatus\":\"ANSWER\"");
    for ended in [&called, &channel] {
        assert_eq!(ari.delete(&format!("/channels/{ended}?reason=busy")).status, 204);
    }
    // The last ends with the one that it listens to.
    [called, channel, snoop].iter().for_each(|ended| wait_until_gone(&ari, ended));
}

fn a_call_for_whoever_takes_it(asterisk: &Asterisk, witness: &Witness) {
    let ari = asterisk.ari();
    let call = originate(&ari, "stay", "context=default&extension=anybody");
    witness.hears_of("CallBroadcast");
    let claimed = ari.post(&format!("/events/claim?channelId={call}&application=Demo"));
    assert_eq!(claimed.status, 204);
    witness.hears_of("CallClaimed");
    assert_eq!(ari.delete(&format!("/channels/{call}")).status, 204);
    wait_until_gone(&ari, &call);
}
