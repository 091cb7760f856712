// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! That what is published is, byte for byte, what Asterisk itself tells an ARI client, whichever way
//! it was written and whatever the names and values; and that each event was written the way it
//! should be.

use std::cell::RefCell;
use std::collections::BTreeMap;

use rig::c_module::compile;
use rig::folder::Folder;
use rig::{Ari, AriEvents, Asterisk, Builder, Consumer, Message, Version, eventually, seconds};
use serde_json::{Value, json};

use crate::clients::{Clients, call_into, text, with_calls};
use crate::pair::{AmqpConf, Pair, counter};
use crate::traffic::count_fast;

on_each_version!(every_event_is_asterisks_own_text);

/// What the channel topic has as JSON, and what of it is written from snapshots where those are
/// known. All of the latter must occur.
const OF_CHANNELS: [(&str, bool); 15] = [
    ("ChannelDtmfReceived", true),
    ("ChannelHangupRequest", true),
    ("ChannelHold", true),
    ("ChannelTalkingFinished", true),
    ("ChannelTalkingStarted", true),
    ("ChannelToneDetected", false),
    ("ChannelTransfer", false),
    ("ChannelUnhold", true),
    ("ChannelUserevent", false),
    ("ChannelVarset", true),
    ("Dial", true),
    ("PlaybackFinished", false),
    ("PlaybackStarted", false),
    ("RecordingFinished", false),
    ("RecordingStarted", false),
];

/// More than are compared one by one, so that most are written without a look at Asterisk's text.
const BURST: u32 = 2500;

const ALL: &str = "eventSource=channel:,bridge:,endpoint:,deviceState:";

fn every_event_is_asterisks_own_text(version: Version) {
    let quiet = |conf: AmqpConf| conf.stasis("publish_ami_events", "no");
    let folder = Folder::new("teller");
    let teller = compile(version, &folder, "teller", include_str!("teller.c"));
    let pair = Pair::furnished(version, quiet, |builder| {
        furnish(builder).module_file("teller", &teller, true)
    });
    let asterisk = &pair.asterisk;
    let (channels, app) = (pair.consumer(&["stasis.channel.#"]), pair.consumer(&["stasis.app.#"]));
    assert_eq!(asterisk.ari().post("/amqp/Demo").status, 204);
    asterisk.ari().post(&format!("/applications/Demo/subscription?{ALL}")).ok();
    let witness = Witness::start(asterisk);
    let clients = Clients::start(asterisk);
    let begin = clients.mark();
    drop((published_until(&channels, &begin), published_until(&app, &begin)));
    witness.until(&begin);
    let before = Counted::of(asterisk);

    strange_names(asterisk, &witness);
    strange_variables(asterisk);
    calls_and_talk(asterisk, &witness);
    things_seldom_told(asterisk, clients.anchor(), &witness);
    all_that_an_application_can_do(asterisk, &witness);
    clients.press("5");
    call_into(asterisk, "Demo");
    count_fast(asterisk, BURST).finish(seconds(60));

    let end = clients.mark();
    let (of_channels, of_app) = (published_until(&channels, &end), published_until(&app, &end));
    let told = witness.until(&end);
    let is_of_channels = |kind: &str| OF_CHANNELS.iter().any(|(name, _)| *name == kind);
    assert_told("channels", &of_channels, &told, is_of_channels);
    // What only an application itself is told, and what differs from one telling to the next.
    let is_of_both = |kind: &str| !kind.starts_with("Stasis") && kind != "DeviceStateChanged";
    assert_told("application", &of_app, &told, is_of_both);
    assert_ways(asterisk, &before, &of_channels, &of_app);
    asterisk.assert_alive();
}

fn furnish(builder: Builder) -> Builder {
    with_calls(builder)
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
        .extension("listens", &["Answer()", "Set(TALK_DETECT(set)=100)", "Wait(60)"])
}

/// An ARI client that is told everything, and keeps it as Asterisk wrote it.
struct Witness {
    socket: AriEvents,
    heard: RefCell<Vec<String>>,
    entity_id: String,
}

impl Witness {
    const APP: &'static str = "witness";

    fn start(asterisk: &Asterisk) -> Self {
        let query = format!("app={}&subscribeAll=true", Self::APP);
        let entity_id = asterisk.entity_id().to_owned();
        Self { socket: asterisk.ari().events_with(&query), heard: RefCell::default(), entity_id }
    }

    /// Waits until it is told of something.
    #[track_caller]
    fn hears(&self, text: &str) {
        loop {
            let event = self.socket.next_text(seconds(30));
            let is_it = event.contains(text);
            self.heard.borrow_mut().push(event);
            if is_it {
                return;
            }
        }
    }

    /// What it has been told since it was asked last, up to the mark, each bare.
    #[track_caller]
    fn until(&self, mark: &str) -> Vec<String> {
        self.hears(&telling(mark));
        let mut heard = self.heard.take();
        heard.pop();
        heard.iter().map(|event| bare(event, &self.entity_id, Self::APP)).collect()
    }
}

/// What stands in the event that is a mark.
fn telling(mark: &str) -> String {
    format!("\"variable\":\"MARK\",\"value\":\"{mark}\"")
}

/// What came to a consumer since it was asked last, up to the mark. There is much of it, and the
/// machine may be busy.
#[track_caller]
fn published_until(consumer: &Consumer, mark: &str) -> Vec<Message> {
    let wanted = telling(mark);
    let is_mark = |message: &Message| String::from_utf8_lossy(&message.body).contains(&wanted);
    let mut messages = consumer.drain_until(mark, seconds(90), is_mark);
    messages.pop();
    messages
}

/// An event without what is added for its receiver.
fn bare(event: &str, entity_id: &str, app: &str) -> String {
    [("asterisk_id", entity_id), ("application", app)].iter().fold(
        event.to_owned(),
        |event, (name, value)| {
            let member = format!("\"{name}\":\"{value}\"");
            event.replace(&format!(",{member}"), "").replace(&format!("{member},"), "")
        },
    )
}

/// The data of a message as it was written, bare likewise.
fn data(message: &Message) -> String {
    let body = std::str::from_utf8(&message.body).expect("JSON is UTF-8");
    let (_, data) = body.split_once("\"data\":").expect("a body has data");
    let end = match message.routing_key.as_str() {
        "stasis.app.demo" => ",\"application\":\"Demo\"}",
        _ => "}",
    };
    let data = data.strip_suffix(end).unwrap_or_else(|| panic!("no {end} at the end of {body}"));
    bare(data, message.headers["asterisk_id"].as_str().expect("an id"), "Demo")
}

fn kind(event: &str) -> String {
    text(&serde_json::from_str::<Value>(event).expect("an event is JSON")["type"])
}

/// Of the kinds that are `wanted`, both have the same texts, as often.
#[track_caller]
fn assert_told(what: &str, messages: &[Message], told: &[String], wanted: fn(&str) -> bool) {
    let mut balance: BTreeMap<String, i32> = BTreeMap::new();
    for message in messages.iter().filter(|message| wanted(message.name())) {
        *balance.entry(data(message)).or_default() += 1;
    }
    for event in told.iter().filter(|event| wanted(&kind(event))) {
        *balance.entry(event.clone()).or_default() -= 1;
    }
    balance.retain(|_, count| *count != 0);
    let lines: String =
        balance.iter().take(20).map(|(text, n)| format!("\n{n:+} {text}")).collect();
    assert!(balance.is_empty(), "{what}: more (+) or fewer (-) at the broker:{lines}");
    assert!(messages.len() > BURST as usize, "{what}: {} messages", messages.len());
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
            for (kind, _) in OF_CHANNELS.iter().filter(|(_, is_direct)| *is_direct) {
                let count = of_channels.iter().filter(|message| message.name() == *kind).count();
                assert!(count > 0, "no {kind}");
                expected += count as u64;
            }
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

    let talker = originate(&ari, "listens", "app=Demo");
    let playback = eventually("the channel to be in the application", seconds(10), || {
        let reply = ari.post(&format!("/channels/{talker}/play?media=tone:busy"));
        if reply.status == 201 { Ok(text(&reply.body["id"])) } else { Err(reply.body) }
    });
    witness.hears("\"ChannelTalkingStarted\"");
    witness.hears("\"ChannelTalkingFinished\"");
    assert_eq!(ari.delete(&format!("/playbacks/{playback}")).status, 204);
    witness.hears("\"PlaybackFinished\"");
    assert_eq!(ari.delete(&format!("/channels/{talker}")).status, 204);
    witness.hears("\"ChannelHangupRequest\"");
}

fn things_seldom_told(asterisk: &Asterisk, channel: &str, witness: &Witness) {
    for what in ["odd", "forward", "hold", "unhold", "hold"] {
        asterisk.cli(&format!("tell {what} {channel}"));
    }
    asterisk.cli(&format!("tell hold {channel} \"class \\\"b\\\" é\""));
    asterisk.cli(&format!("tell unhold {channel}"));
    (0..2).for_each(|_| witness.hears("\"ChannelUnhold\""));
}

fn all_that_an_application_can_do(asterisk: &Asterisk, witness: &Witness) {
    let ari = asterisk.ari();
    let channel = originate(&ari, "stay", "app=Demo");
    let path = format!("/channels/{channel}");
    let hears = |kind: &str| witness.hears(&format!("\"type\":\"{kind}\""));
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

    let snoop = text(&post("snoop?app=Demo&spy=both")["id"]);
    witness.hears(&format!("Snoop/{channel}-"));
    let bridge = text(&ari.post("/bridges?type=mixing&name=a%22b").ok()["id"]);
    assert_eq!(ari.post(&format!("/bridges/{bridge}/addChannel?channel={channel}")).status, 204);
    hears("ChannelEnteredBridge");
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
