// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What an event looks like as an AMQP message.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};

use crate::event::Event;
use crate::identity::Identity;

/// The server's limit (RabbitMQ's `max_message_size`); it closes the channel on a larger one, so
/// such an event is never sent.
pub(super) const MOST_BODY_BYTES: usize = 16 * 1024 * 1024;

/// AMQP 0-9-1, section 4.2.5.3.
const MOST_SHORT_BYTES: usize = 255;

/// `identity` is that of this run; an event of another has its own.
pub(super) fn properties(event: &Event, identity: &Identity, persistent: bool) -> BasicProperties {
    let identity = event.origin.as_ref().map_or(identity, |origin| &origin.identity);
    let mut headers = FieldTable::default();
    let mut text = |key: &str, value: &str| {
        headers.insert(short(key), AMQPValue::LongString(value.into()));
    };
    text("name", &event.name);
    text("category", event.category.as_str());
    if let Some(application) = &event.application {
        text("application_name", application);
    }
    text("asterisk_id", &identity.eid);
    // AMQP's widest integer is signed; 2^63 events are not to be reached.
    let sequence = i64::try_from(event.sequence).unwrap_or(i64::MAX);
    headers.insert(short("sequence"), AMQPValue::LongLongInt(sequence));
    BasicProperties::default()
        .with_content_type(short("application/json"))
        .with_delivery_mode(if persistent { 2 } else { 1 })
        .with_app_id(short("asterisk"))
        .with_type(short(&*event.name))
        .with_timestamp(event.timestamp)
        .with_message_id(short(identity.message_id(event.sequence)))
        .with_headers(headers)
}

/// A short string, cut where it does not fit: the plain conversions panic.
pub(super) fn short(text: impl Into<String>) -> ShortString {
    let mut text = text.into();
    if text.len() > MOST_SHORT_BYTES {
        let mut ends = (0..=MOST_SHORT_BYTES).rev();
        text.truncate(ends.find(|end| text.is_char_boundary(*end)).unwrap_or_default());
    }
    ShortString::try_new(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Origin;
    use crate::labels::Labels;

    fn identity() -> Identity {
        Identity { eid: "00:00:5e:00:53:01".into(), boot: "b/1".into() }
    }

    #[test]
    fn an_events_labels_are_those_of_the_contract() {
        let mut event = Event::app(&Labels::of("MyApp"), "StasisStart", "{}", 1_700_000_000);
        event.sequence = 42;
        let properties = properties(&event, &identity(), true);
        assert_eq!(properties.content_type().as_ref().unwrap().as_str(), "application/json");
        assert_eq!(*properties.delivery_mode(), Some(2));
        assert_eq!(properties.app_id().as_ref().unwrap().as_str(), "asterisk");
        assert_eq!(properties.kind().as_ref().unwrap().as_str(), "StasisStart");
        assert_eq!(*properties.timestamp(), Some(1_700_000_000));
        let id = properties.message_id().as_ref().unwrap();
        assert_eq!(id.as_str(), "00:00:5e:00:53:01/b/1/42");
        let headers = properties.headers().as_ref().unwrap().inner();
        let long = |text: &str| Some(AMQPValue::LongString(text.into()));
        assert_eq!(headers.get("name").cloned(), long("StasisStart"));
        assert_eq!(headers.get("category").cloned(), long("stasis"));
        assert_eq!(headers.get("application_name").cloned(), long("MyApp"));
        assert_eq!(headers.get("asterisk_id").cloned(), long("00:00:5e:00:53:01"));
        assert_eq!(headers.get("sequence"), Some(&AMQPValue::LongLongInt(42)));
        assert_eq!(headers.len(), 5);
    }

    #[test]
    fn an_application_of_any_length_is_a_header_and_transient_is_mode_1() {
        let name = "x".repeat(1000);
        let properties =
            properties(&Event::app(&Labels::of(&name), &name, "{}", 0), &identity(), false);
        let headers = properties.headers().as_ref().unwrap().inner();
        assert_eq!(headers.get("application_name"), Some(&AMQPValue::LongString(name.into())));
        assert_eq!(*properties.delivery_mode(), Some(1));
        let channel = super::properties(&Event::channel("Dial", "{}", 0), &identity(), false);
        assert!(!channel.headers().as_ref().unwrap().contains_key("application_name"));
    }

    #[test]
    fn an_event_of_a_former_run_is_labelled_as_it_was_then() {
        let mut event = Event::channel("Dial", "{}", 0);
        event.sequence = 9;
        let then = Identity { eid: "before".into(), boot: "1".into() };
        event.origin = Some(Origin { rank: 0, identity: then.into() });
        let properties = properties(&event, &identity(), true);
        assert_eq!(properties.message_id().as_ref().unwrap().as_str(), "before/1/9");
        let headers = properties.headers().as_ref().unwrap().inner();
        assert_eq!(headers.get("asterisk_id"), Some(&AMQPValue::LongString("before".into())));
    }

    #[test]
    fn what_is_too_long_is_cut_between_characters() {
        assert_eq!(short("é".repeat(200)).as_str(), "é".repeat(127));
    }
}
