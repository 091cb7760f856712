// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What Asterisk's own clients are told, to compare with what arrives at the broker.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU32, Ordering};

use rig::ami::Block;
use rig::{Ami, AriEvents, Asterisk, Builder, Call, Consumer, Message, eventually, seconds};
use serde_json::{Map, Value};

/// An ARI client that sees every channel, endpoint, bridge and device, a manager session, and a
/// channel that lives throughout.
///
/// The variable `MARK` set on that channel is an event of every source. What happened before it is
/// in each source before it, so that the absence of an event can be told without waiting.
pub(crate) struct Clients<'a> {
    asterisk: &'a Asterisk,
    socket: AriEvents,
    ami: Ami,
    anchor: String,
    /// Of the ARI client, not asked for yet.
    heard: RefCell<Vec<Value>>,
}

impl<'a> Clients<'a> {
    /// The application of the ARI client.
    pub(crate) const APP: &'static str = "watch";

    pub(crate) fn start(asterisk: &'a Asterisk) -> Self {
        let socket = asterisk.ari().events_with(&format!("app={}&subscribeAll=true", Self::APP));
        let ami = asterisk.ami();
        let anchor = waiting_channel(asterisk);
        Self { asterisk, socket, ami, anchor, heard: RefCell::default() }
    }

    /// The channel that lives throughout.
    pub(crate) fn anchor(&self) -> &str {
        &self.anchor
    }

    /// Its other end receives a digit.
    pub(crate) fn press(&self, digit: &str) {
        let answer = self.ami.action("PlayDTMF", &[("Channel", &self.anchor), ("Digit", digit)]);
        assert_eq!(answer.field("Response"), "Success", "{answer:?}");
        let received = |event: &Value| event["type"] == "ChannelDtmfReceived";
        let mut heard = self.heard.borrow_mut();
        while !heard.last().is_some_and(received) {
            heard.push(self.socket.next(seconds(10)));
        }
    }

    /// Ends a stretch of events.
    pub(crate) fn mark(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let mark = format!("mark{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.asterisk.cli(&format!("dialplan set chanvar {} MARK {mark}", self.anchor));
        mark
    }

    /// What the ARI client has been told since it was asked last, up to the mark.
    pub(crate) fn ari_until(&self, mark: &str) -> Vec<Value> {
        let mut heard = self.heard.take();
        heard.extend(until(mark, || self.socket.next(seconds(10))));
        heard
    }

    /// What the manager session has been told since it was asked last, up to the mark.
    pub(crate) fn ami_until(&self, mark: &str) -> Vec<Value> {
        until(mark, || fields(&self.ami.next_where(mark, seconds(10), |_| true)))
    }
}

pub(crate) fn with_calls(builder: Builder) -> Builder {
    builder.load("app_senddtmf").extension(
        "app",
        &[
            "Set(CALLERID(name)=John Q Public)",
            "Answer()",
            "Set(NOTE=a: b\\, c)",
            "UserEvent(Hello,Text: one: two)",
            "Stasis(${APP},one,two words,a: b)",
        ],
    )
}

/// Dials a channel that does nothing, and gives the name of its nearer end.
pub(crate) fn waiting_channel(asterisk: &Asterisk) -> String {
    let shown = || asterisk.cli("core show channels concise");
    let ends = |shown: &str| shown.matches("!Wait!").count();
    let before = ends(&shown());
    let call = "/channels?endpoint=Local/wait@default&extension=wait&context=default";
    let channel = asterisk.ari().post(call).ok();
    eventually("both ends of a channel to wait", seconds(10), || {
        let shown = shown();
        if ends(&shown) == before + 2 { Ok(()) } else { Err(shown) }
    });
    text(&channel["name"])
}

/// A phone calls an application, hears a tone, is bridged with a channel that presses keys, and is
/// hung up.
pub(crate) fn call_into(asterisk: &Asterisk, app: &str) {
    let ari = asterisk.ari();
    asterisk.cli(&format!("dialplan set global APP {app}"));
    let call = Call::place(asterisk, "app", seconds(60));
    let (id, playback) = eventually("the call to be in the application", seconds(10), || {
        let channels = ari.get("/channels").ok();
        let calling = |channel: &&Value| text(&channel["name"]).starts_with("PJSIP/");
        let list = channels.as_array().expect("channels are a list");
        let id = text(&list.iter().find(calling).ok_or("no call")?["id"]);
        // Until it is in Stasis this is refused.
        match ari.post(&format!("/channels/{id}/play?media=tone:ring")) {
            reply if reply.status == 201 => Ok((id, reply.body)),
            _ => Err("a call"),
        }
    });
    let playback = text(&playback["id"]);
    eventually("the tone to play", seconds(10), || {
        let shown = ari.get(&format!("/playbacks/{playback}")).ok();
        if shown["state"] == "playing" { Ok(()) } else { Err(shown) }
    });
    assert_eq!(ari.delete(&format!("/playbacks/{playback}")).status, 204);
    let bridge = text(&ari.post("/bridges?type=mixing").ok()["id"]);
    assert_eq!(ari.post(&format!("/bridges/{bridge}/addChannel?channel={id}")).status, 204);
    eventually("the call to be in the bridge", seconds(10), || {
        let shown = ari.get(&format!("/bridges/{bridge}")).ok();
        if shown["channels"][0] == *id { Ok(()) } else { Err(shown) }
    });
    assert_eq!(ari.delete(&format!("/channels/{id}")).status, 204);
    call.wait(seconds(10));
    assert_eq!(ari.delete(&format!("/bridges/{bridge}")).status, 204);
    eventually("the channel to be gone", seconds(10), || {
        let reply = ari.get(&format!("/channels/{id}"));
        if reply.status == 404 { Ok(()) } else { Err(reply.body) }
    });
}

/// What came to a consumer of one source since it was asked last, up to the mark.
pub(crate) fn messages_until(consumer: &Consumer, mark: &str) -> Vec<Message> {
    let is_last = |message: &Message| is_mark(&message.json()["data"], mark);
    let mut messages = consumer.drain_until(mark, seconds(20), is_last);
    messages.pop();
    messages
}

fn until(mark: &str, next: impl FnMut() -> Value) -> Vec<Value> {
    std::iter::repeat_with(next).take_while(|event| !is_mark(event, mark)).collect()
}

fn is_mark(event: &Value, mark: &str) -> bool {
    (event["variable"] == "MARK" && event["value"] == mark)
        || (event["Variable"] == "MARK" && event["Value"] == mark)
}

/// A manager event as a message's `data` must have it.
pub(crate) fn fields(block: &Block) -> Value {
    let mut fields = Map::new();
    for (name, value) in block.0.iter().filter(|(name, _)| name != "Privilege") {
        let value = Value::from(value.as_str());
        match fields.get_mut(name) {
            None => drop(fields.insert(name.clone(), value)),
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::from(vec![first.take(), value]),
        }
    }
    Value::Object(fields)
}

/// `data` of each message.
pub(crate) fn data(messages: &[Message]) -> Vec<Value> {
    messages.iter().map(|message| message.json()["data"].clone()).collect()
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// Both have the same events. In any order: several of Asterisk's threads publish.
#[track_caller]
pub(crate) fn assert_same(what: &str, ours: &[Value], theirs: &[Value]) {
    assert!(!theirs.is_empty(), "{what}: nothing to compare with");
    let mut missing: Vec<&Value> = theirs.iter().collect();
    let mut extra = Vec::new();
    for one in ours {
        match missing.iter().position(|other| *other == one) {
            Some(place) => drop(missing.remove(place)),
            None => extra.push(one),
        }
    }
    let lines =
        |events: &[&Value]| events.iter().map(|one| format!("\n  {one}")).collect::<String>();
    assert!(
        missing.is_empty() && extra.is_empty(),
        "{what}: only at the broker:{}\nonly at Asterisk's client:{}",
        lines(&extra),
        lines(&missing)
    );
}
