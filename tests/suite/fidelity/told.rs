// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What an ARI client was told, and what came to the broker, as texts that can be compared.

use std::cell::RefCell;

use rig::{AriEvents, Asterisk, Consumer, Message, seconds};
use serde_json::Value;

use crate::clients::text;

/// An ARI client that keeps what it is told as Asterisk wrote it.
pub(super) struct Witness {
    socket: AriEvents,
    heard: RefCell<Vec<String>>,
    entity_id: String,
    app: &'static str,
}

impl Witness {
    /// One that is told everything.
    pub(super) fn of_all(asterisk: &Asterisk) -> Self {
        Self::start(asterisk, "witness", "&subscribeAll=true")
    }

    /// One that is told what concerns this application.
    pub(super) fn of(asterisk: &Asterisk, app: &'static str) -> Self {
        Self::start(asterisk, app, "")
    }

    fn start(asterisk: &Asterisk, app: &'static str, more: &str) -> Self {
        let socket = asterisk.ari().events_with(&format!("app={app}{more}"));
        let entity_id = asterisk.entity_id().to_owned();
        Self { socket, heard: RefCell::default(), entity_id, app }
    }

    /// Waits until it is told of an event of this type.
    #[track_caller]
    pub(super) fn hears_of(&self, kind: &str) {
        self.hears(&format!("\"type\":\"{kind}\""));
    }

    /// Waits until it is told of something.
    #[track_caller]
    pub(super) fn hears(&self, text: &str) {
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
    pub(super) fn until(&self, mark: &str) -> Vec<String> {
        self.hears(&telling(mark));
        let mut heard = self.heard();
        heard.pop();
        heard
    }

    /// What it has waited for since it was asked last, and what came before, each bare.
    pub(super) fn heard(&self) -> Vec<String> {
        let heard = self.heard.take();
        heard.iter().map(|event| bare(event, &self.entity_id, self.app)).collect()
    }
}

/// What stands in the event that is a mark.
fn telling(mark: &str) -> String {
    format!("\"variable\":\"MARK\",\"value\":\"{mark}\"")
}

/// The same, of the manager.
fn telling_by_manager(mark: &str) -> String {
    format!("\"Variable\":\"MARK\",\"Value\":\"{mark}\"")
}

/// What came to a consumer since it was asked last, up to the mark. There is much of it, and the
/// machine may be busy.
#[track_caller]
pub(super) fn published_until(consumer: &Consumer, mark: &str) -> Vec<Message> {
    let wanted = [telling(mark), telling_by_manager(mark)];
    let is_mark = |message: &Message| {
        let body = String::from_utf8_lossy(&message.body);
        wanted.iter().any(|wanted| body.contains(wanted))
    };
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
pub(super) fn data(message: &Message) -> String {
    let body = std::str::from_utf8(&message.body).expect("JSON is UTF-8");
    let (_, data) = body.split_once("\"data\":").expect("a body has data");
    let app = message.headers.get("application_name").and_then(Value::as_str);
    let end = match app {
        None => "}".to_owned(),
        Some(app) => format!(",\"application\":\"{app}\"}}"),
    };
    let data = data.strip_suffix(&end).unwrap_or_else(|| panic!("no {end} at the end of {body}"));
    bare(data, message.headers["asterisk_id"].as_str().expect("an id"), app.unwrap_or_default())
}

pub(super) fn kind(event: &str) -> String {
    text(&serde_json::from_str::<Value>(event).expect("an event is JSON")["type"])
}

/// An event without its time.
pub(super) fn untimed(event: &str) -> String {
    let (before, rest) = event.split_once("\"timestamp\":\"").expect("an event has a time");
    let (_, after) = rest.split_once('"').expect("a string has an end");
    format!("{before}\"timestamp\":\"{after}")
}
