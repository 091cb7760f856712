// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Section `amqp`: where the nodes' events come from.

use std::time::Duration;

use url::Url;

use super::{Faults, Origin, Secret, Section, Trust};

const SECOND: Duration = Duration::from_secs(1);
/// The longest short text of AMQP.
const SHORT: usize = 255;

/// One address of the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broker {
    pub origin: Origin,
    pub user: String,
    pub password: Secret,
    pub vhost: String,
}

/// The broker and the exchange.
#[derive(Debug, Clone)]
pub(crate) struct Amqp {
    /// Tried in turn.
    pub brokers: Vec<Broker>,
    pub exchange: String,
    pub trust: Trust,
    /// For a connection, and for each of the broker's answers.
    pub timeout: Duration,
    pub heartbeat: Duration,
    /// How long the queue of a gateway that lost its connection is kept.
    pub keep_queue: Duration,
}

impl Amqp {
    /// None without an address: then there are no events.
    pub(super) fn read(mut section: Section<'_>, faults: &mut Faults) -> Option<Self> {
        let urls = section.text_or_texts("url", faults);
        let password = section.secret("password", "password_file", faults);
        let exchange = section.text("exchange", faults).unwrap_or_else(|| "asterisk".to_owned());
        if exchange.len() > SHORT - "gateway.index.".len() {
            section.fault("exchange", "is too long", faults);
        }
        let mut brokers = Vec::new();
        for url in urls.unwrap_or_default() {
            match broker(&url, password.as_ref()) {
                Ok(broker) => brokers.push(broker),
                Err(what) => section.fault("url", what, faults),
            }
        }
        let amqp = Self {
            brokers,
            exchange,
            trust: Trust::read(&mut section, faults),
            timeout: section.duration("timeout", 5 * SECOND, SECOND / 10..=60 * SECOND, faults),
            heartbeat: section.duration("heartbeat", 10 * SECOND, SECOND..=300 * SECOND, faults),
            keep_queue: section.duration("keep_queue", 60 * SECOND, SECOND..=3600 * SECOND, faults),
        };
        section.finish(faults);
        (!amqp.brokers.is_empty()).then_some(amqp)
    }
}

/// `amqp[s]://user[:password]@host[:port][/vhost]`. What is wrong is said without the url, which
/// may hold a password.
fn broker(text: &str, password: Option<&Secret>) -> Result<Broker, &'static str> {
    let url = Url::parse(text).map_err(|_| "is no url (amqp://user@host:5672/vhost)")?;
    let is_https = match url.scheme() {
        "amqp" => false,
        "amqps" => true,
        _ => return Err("must begin with amqp:// or amqps://"),
    };
    let decoded = |text: &str| {
        let bytes: Vec<u8> = percent_decoded(text)?;
        String::from_utf8(bytes).ok()
    };
    let host = url.host_str().map(|host| host.trim_matches(['[', ']'])).unwrap_or_default();
    if host.is_empty() {
        return Err("has no host");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("has parameters; there are options for them");
    }
    let user = decoded(url.username()).ok_or("has a user that cannot be read")?;
    let written = url.password().map(|text| decoded(text).ok_or("has an unreadable password"));
    let written = written.transpose()?.map(Secret::new);
    let vhost = match url.path().strip_prefix('/').unwrap_or_default() {
        "" => "/".to_owned(),
        path => decoded(path).ok_or("has a vhost that cannot be read")?,
    };
    if vhost.len() > SHORT {
        return Err("has a vhost that is too long");
    }
    let port = url.port().unwrap_or(if is_https { 5671 } else { 5672 });
    let is_guest = user.is_empty();
    Ok(Broker {
        origin: Origin { is_https, host: host.to_owned(), port },
        user: if is_guest { "guest".to_owned() } else { user },
        password: written
            .or_else(|| password.cloned())
            .unwrap_or_else(|| Secret::new(if is_guest { "guest" } else { "" })),
        vhost,
    })
}

fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let value = digit(rest.next()?)? * 16 + digit(rest.next()?)?;
        bytes.push(u8::try_from(value).ok()?);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let password = Secret::new("p w");
        let read = |url| broker(url, Some(&password));
        let one = read("amqp://u@broker/vh%2Fost").unwrap();
        assert_eq!((one.origin.host.as_str(), one.origin.port), ("broker", 5672));
        assert_eq!((one.user.as_str(), one.vhost.as_str()), ("u", "vh/ost"));
        assert_eq!(one.password, password);
        let two = read("amqps://a%40b:s%3Ac@[::1]:7/").unwrap();
        assert_eq!(two.origin, Origin { is_https: true, host: "::1".into(), port: 7 });
        assert_eq!((two.user.as_str(), two.vhost.as_str()), ("a@b", "/"));
        assert_eq!(two.password.reveal(), "s:c");
        assert_eq!(broker("amqp://h", None).unwrap().password.reveal(), "guest");
        for wrong in ["h:5672", "http://h", "amqp://", "amqp://u:p@h/?heartbeat=5", "amqp://h/%ff"]
        {
            assert!(broker(wrong, None).is_err(), "{wrong}");
        }
    }
}
