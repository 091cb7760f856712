// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! One event on its way to the broker: its bytes and what its message is labelled with.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::identity::{Origin, Place};
use crate::labels::Labels;
use crate::loss::{Loss, Told};
use crate::plain::is_plain;
use crate::routing;
use crate::short_text::ShortText;

/// What an event costs beyond its own bytes: the counts of its `Arc`, its place in the queue, and
/// what the allocator keeps around each of its parts.
const OVERHEAD: usize = 128;

const LOST: &str = "EventsLost";

/// Where an event comes from: header `category`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Category {
    /// A Stasis application, or a channel.
    Stasis,
    /// The manager interface.
    Ami,
    /// This module.
    Meta,
}

impl Category {
    /// The header's value.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Stasis => "stasis",
            Self::Ami => "ami",
            Self::Meta => "meta",
        }
    }
}

/// The time, as an event's `timestamp` has it.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// An event as bytes. It holds nothing of Asterisk's, so it may wait as long as it must.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// Its number within this node and boot, from 1; 0 until the outbox takes it.
    pub sequence: u64,
    /// The routing key.
    pub key: ShortText,
    /// The event's name: property `type`, header `name`.
    pub name: ShortText,
    /// Header `category`.
    pub category: Category,
    /// Header `application_name`: of any length, so no short string.
    pub application: Option<Arc<str>>,
    /// Unix time in seconds, as AMQP has it.
    pub timestamp: u64,
    /// The message's body.
    pub body: Box<[u8]>,
    /// The loss that this event tells of.
    pub(crate) loss: Option<Box<Told>>,
    /// The run it is of, if that is not this one.
    pub(crate) origin: Option<Origin>,
    /// Whether this run has handed it to a connection.
    pub(crate) was_sent: Flag,
}

/// Set by the one worker that has the event, on whichever thread that is.
#[derive(Debug, Default)]
pub(crate) struct Flag(AtomicBool);

impl Flag {
    /// Sets it, and tells whether it was set. Not for two threads at one time: two plain instructions
    /// cost nothing.
    pub(crate) fn set(&self) -> bool {
        let was_set = self.is_set();
        self.0.store(true, Ordering::Relaxed);
        was_set
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Clone for Flag {
    fn clone(&self) -> Self {
        Self(AtomicBool::new(self.is_set()))
    }
}

impl PartialEq for Flag {
    fn eq(&self, other: &Self) -> bool {
        self.is_set() == other.is_set()
    }
}

impl Eq for Flag {}

impl Event {
    /// What a Stasis application is told. `data` is a JSON text.
    pub(crate) fn app(application: &Labels, name: &str, data: &str, now: u64) -> Self {
        let body = body(name, data, Some(application.name()));
        Self::written_of_app(application, name, body, now)
    }

    /// An event of a channel. `data` is a JSON text.
    pub(crate) fn channel(name: &str, data: &str, now: u64) -> Self {
        Self {
            body: body(name, data, None),
            ..Self::new(routing::channel(name), name, Category::Stasis, now)
        }
    }

    /// An event of a channel whose body is written.
    pub(crate) fn written_of_channel(name: &str, body: Box<[u8]>, now: u64) -> Self {
        Self { body, ..Self::new(routing::channel(name), name, Category::Stasis, now) }
    }

    /// What a Stasis application is told, whose body is written.
    pub(crate) fn written_of_app(
        application: &Labels,
        name: &str,
        body: Box<[u8]>,
        now: u64,
    ) -> Self {
        Self {
            application: Some(Arc::clone(application.name())),
            body,
            ..Self::new(application.key().clone(), name, Category::Stasis, now)
        }
    }

    /// A manager event. `fields` is the JSON text that [`crate::ami`] makes.
    pub(crate) fn ami(name: &str, fields: &str, now: u64) -> Self {
        Self {
            body: body(name, fields, None),
            ..Self::new(routing::ami(name), name, Category::Ami, now)
        }
    }

    /// Tells consumers which events they will not get: of this run, which is `boot`, or of another.
    pub(crate) fn lost(told: &Told, boot: &str, now: u64) -> Self {
        let Loss { first, last, count, reason } = &told.loss;
        let mut data = format!(
            r#"{{"type":"{LOST}","first_sequence":{first},"last_sequence":{last},"count":{count},"reason":"{reason}","boot":"#
        )
        .into_bytes();
        json_string(&mut data, told.about.as_ref().map_or(boot, |about| &about.boot));
        data.push(b'}');
        Self {
            body: body(LOST, &String::from_utf8_lossy(&data), None),
            loss: Some(Box::new(told.clone())),
            ..Self::new(ShortText::new(routing::META), LOST, Category::Meta, now)
        }
    }

    fn new(key: ShortText, name: &str, category: Category, timestamp: u64) -> Self {
        Self {
            sequence: 0,
            key,
            name: ShortText::new(name),
            category,
            application: None,
            timestamp,
            body: Box::default(),
            loss: None,
            origin: None,
            was_sent: Flag::default(),
        }
    }

    /// Where it stands among all events.
    pub(crate) fn place(&self) -> Place {
        Place::of(self.origin.as_ref(), self.sequence)
    }

    /// The memory it holds, as `queue_max_bytes` counts it.
    pub(crate) fn cost(&self) -> usize {
        let application = self.application.as_deref().map_or(0, str::len);
        let texts = self.key.len() + self.name.len() + application;
        let loss = self.loss.as_deref().map_or(0, size_of_val);
        size_of::<Self>() + OVERHEAD + texts + self.body.len() + loss
    }
}

/// The data is put in as it is: parsing it to write it again would cost as much as making it did.
fn body(name: &str, data: &str, application: Option<&str>) -> Box<[u8]> {
    const AROUND: usize = r#"{"name":"","data":,"application":""}"#.len();
    let texts = name.len() + application.map_or(0, str::len);
    let mut text = Vec::with_capacity(AROUND + texts + data.len());
    let mut body = Body::begin(&mut text, name);
    body.data().extend_from_slice(data.as_bytes());
    body.end(application);
    text.into_boxed_slice()
}

/// `{"name":…,"data":…,"application":…}`, as it is written.
pub(crate) struct Body<'a> {
    text: &'a mut Vec<u8>,
    /// Where the data begins.
    data: usize,
}

impl<'a> Body<'a> {
    /// Begins in an empty buffer.
    pub(crate) fn begin(text: &'a mut Vec<u8>, name: &str) -> Self {
        text.extend_from_slice(br#"{"name":"#);
        json_string(text, name);
        text.extend_from_slice(br#","data":"#);
        let data = text.len();
        Self { text, data }
    }

    /// Where the data, a JSON text, is to be written.
    pub(crate) fn data(&mut self) -> &mut Vec<u8> {
        self.text
    }

    /// The data as far as it is written.
    pub(crate) fn data_so_far(&self) -> &[u8] {
        self.text.get(self.data..).unwrap_or_default()
    }

    /// All of it.
    pub(crate) fn end(self, application: Option<&str>) -> &'a [u8] {
        if let Some(application) = application {
            self.text.extend_from_slice(br#","application":"#);
            json_string(self.text, application);
        }
        self.text.push(b'}');
        self.text
    }
}

/// Writes `text` as a JSON string.
pub(crate) fn json_string(into: &mut Vec<u8>, text: &str) {
    if is_plain(text.as_bytes()) {
        into.push(b'"');
        into.extend_from_slice(text.as_bytes());
        into.push(b'"');
        return;
    }
    // A text always has a JSON form and a Vec takes all: this cannot fail.
    let _ = serde_json::to_writer(into, text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;
    use crate::loss::Reason;
    use serde_json::{Value, json};

    fn text(event: &Event) -> &str {
        std::str::from_utf8(&event.body).unwrap()
    }

    #[test]
    fn bodies_have_the_members_of_the_c_modules_in_their_order() {
        let app = Event::app(&Labels::of("MyApp"), "StasisStart", r#"{"args":["one"]}"#, 7);
        assert_eq!(
            text(&app),
            r#"{"name":"StasisStart","data":{"args":["one"]},"application":"MyApp"}"#
        );
        assert_eq!(app.application.as_deref(), Some("MyApp"));
        let channel = Event::channel("Dial", "{}", 7);
        assert_eq!(text(&channel), r#"{"name":"Dial","data":{}}"#);
        let ami = Event::ami("VarSet", r#"{"Event":"VarSet"}"#, 7);
        let expected = r#"{"name":"VarSet","data":{"Event":"VarSet"}}"#;
        assert_eq!(text(&ami), expected);
        let labels = |event: &Event| (event.key.to_string(), event.category.as_str());
        assert_eq!(labels(&app), ("stasis.app.myapp".into(), "stasis"));
        assert_eq!(labels(&channel), ("stasis.channel.dial".into(), "stasis"));
        assert_eq!(labels(&ami), ("ami.varset".into(), "ami"));
        assert_eq!((ami.sequence, ami.timestamp), (0, 7));
    }

    /// Wire compatibility with what the C modules were seen to publish.
    #[test]
    fn bodies_are_those_captured_from_the_c_modules() {
        let data = json!({"variable": "NOTE", "value": "a: b, c", "type": "ChannelVarset",
            "asterisk_id": "00:00:5e:00:53:01", "application": "MyApp"});
        let captured = json!({"name": "ChannelVarset", "data": data, "application": "MyApp"});
        let made = Event::app(&Labels::of("MyApp"), "ChannelVarset", &data.to_string(), 0);
        assert_eq!(text(&made), captured.to_string());
        assert_eq!(*made.key, *"stasis.app.myapp");
    }

    #[test]
    fn names_are_escaped_and_may_be_long() {
        let name = format!("a\"\\\n\u{1}é{}", "x".repeat(400));
        let event = Event::app(&Labels::of(&name), &name, "null", 0);
        let body: Value = serde_json::from_slice(&event.body).unwrap();
        assert_eq!(body, json!({"name": name, "data": null, "application": name}));
        assert_eq!((event.key.len(), event.name.len()), (255, 255));
        assert_eq!(event.application.as_deref(), Some(&*name));
    }

    #[test]
    fn a_loss_is_told_in_full() {
        let loss = Loss { first: 3, last: 9, count: 7, reason: Reason::QueueFull };
        let event = Event::lost(&Told { loss, about: None }, "17", 5);
        assert_eq!(
            text(&event),
            r#"{"name":"EventsLost","data":{"type":"EventsLost","first_sequence":3,"last_sequence":9,"count":7,"reason":"queue_full","boot":"17"}}"#
        );
        assert_eq!(*event.key, *"stasis.meta");
        assert_eq!(event.category.as_str(), "meta");
        let before = Identity { eid: "e".into(), boot: "16".into() };
        let event = Event::lost(&Told { loss, about: Some(before.into()) }, "17", 5);
        assert!(text(&event).ends_with(r#""boot":"16"}}"#));
    }

    #[test]
    fn the_cost_counts_every_byte_held() {
        let small = Event::channel("Dial", "{}", 0).cost();
        assert!(small > size_of::<Event>());
        assert_eq!(Event::channel("Dial", "{\"a\":1}", 0).cost(), small + 5);
        let app = Event::app(&Labels::of("ab"), "Dial", "{}", 0).cost();
        assert!(app >= small + 2);
    }
}
