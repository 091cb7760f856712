// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The server's product and version, read along from the first frame it sends.
//!
//! lapin keeps nothing of `connection.start`, and an operator wants to know what answered.

use std::sync::{Arc, OnceLock};

use amq_protocol::frame::{AMQPFrame, parse_frame};
use amq_protocol::protocol::{AMQPClass, connection};
use amq_protocol::types::AMQPValue;

/// Where the name of the server appears once it has introduced itself.
pub(super) type ServerName = Arc<OnceLock<String>>;

/// A `connection.start` is a few hundred bytes; whatever is larger is left alone.
const MOST_BYTES: usize = 8192;

/// What is shown of a server's own description.
const MOST_CHARACTERS: usize = 60;

pub(super) struct Greeting {
    bytes: Vec<u8>,
    server: ServerName,
}

impl Greeting {
    pub(super) fn new(server: ServerName) -> Self {
        Self { bytes: Vec::new(), server }
    }

    /// Takes what was read; true when there is nothing more to wait for.
    pub(super) fn heard(&mut self, read: &[u8]) -> bool {
        if self.bytes.len() + read.len() > MOST_BYTES {
            return true;
        }
        self.bytes.extend_from_slice(read);
        match parse_frame(self.bytes.as_slice()) {
            Ok((_, frame)) => {
                if let Some(server) = introduced(frame) {
                    // A second introduction on one stream does not happen.
                    let _ = self.server.set(server);
                }
                true
            }
            Err(error) => !error.is_incomplete(),
        }
    }
}

fn introduced(frame: AMQPFrame) -> Option<String> {
    let AMQPFrame::Method(_, AMQPClass::Connection(connection::AMQPMethod::Start(start))) = frame
    else {
        return None;
    };
    let text = |key: &str| match start.server_properties.inner().get(key) {
        Some(AMQPValue::LongString(text)) => {
            let text = String::from_utf8_lossy(text.as_bytes());
            Some(text.chars().filter(|c| !c.is_control()).take(MOST_CHARACTERS).collect::<String>())
        }
        _ => None,
    };
    match (text("product"), text("version")) {
        (Some(product), Some(version)) => Some(format!("{product} {version}")),
        (product, version) => product.or(version),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amq_protocol::frame::gen_frame;
    use amq_protocol::types::{FieldTable, LongString};

    fn start() -> Vec<u8> {
        let mut properties = FieldTable::default();
        properties.insert("product".into(), AMQPValue::LongString(LongString::from("Rabbit\nMQ")));
        properties.insert("version".into(), AMQPValue::LongString(LongString::from("4.3.6")));
        let start = connection::Start {
            version_major: 0,
            version_minor: 9,
            server_properties: properties,
            mechanisms: "PLAIN".into(),
            locales: "en_US".into(),
        };
        let frame =
            AMQPFrame::Method(0, AMQPClass::Connection(connection::AMQPMethod::Start(start)));
        gen_frame(&frame)(Vec::new().into()).unwrap().into_inner().0
    }

    #[test]
    fn the_server_is_known_whatever_the_pieces_it_arrives_in() {
        let bytes = start();
        for size in [1, 7, bytes.len()] {
            let server = ServerName::default();
            let mut greeting = Greeting::new(server.clone());
            let done = bytes.chunks(size).map(|piece| greeting.heard(piece)).collect::<Vec<_>>();
            assert_eq!(server.get().map(String::as_str), Some("RabbitMQ 4.3.6"));
            assert_eq!(done.iter().filter(|done| **done).count(), 1, "pieces of {size}");
        }
    }

    #[test]
    fn a_peer_that_speaks_something_else_is_not_kept() {
        let server = ServerName::default();
        assert!(Greeting::new(server.clone()).heard(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
        assert!(Greeting::new(server.clone()).heard(&[1; MOST_BYTES + 1]));
        assert!(server.get().is_none());
    }
}
