// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A section with `type = connection`: how to reach a broker.

use std::time::Duration;

use asterisk::config::file::{self, ReadFile};
use asterisk::config::tls::{self, TlsSettings};
use asterisk::config::{Reader, Report, Section};
use asterisk::secret::Secret;

use super::options;
use crate::endpoint::{self, Address, Endpoint};

/// Below this a busy broker is taken for a dead one.
const HEARTBEAT_ADVISED: u16 = 5;

/// A connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConnectionSettings {
    /// The section's name.
    pub name: String,
    /// The brokers, to be tried in turn; at least one if there was no error.
    pub endpoints: Vec<Endpoint>,
    /// For those with TLS.
    pub tls: TlsSettings,
    /// Largest AMQP frame to agree to.
    pub max_frame_bytes: u32,
    /// Seconds.
    pub heartbeat: u16,
    /// Longest wait for TCP, TLS and login together.
    pub connection_timeout: Duration,
}

pub(super) fn read(
    section: &Section,
    report: &mut Report,
    read_file: ReadFile<'_>,
) -> ConnectionSettings {
    let mut options = section.reader(options::CONNECTION, report);
    options.text("type");
    let addresses = addresses(&mut options);
    let password = password(&mut options, &addresses, read_file);
    let endpoints = endpoints(&mut options, addresses, password);
    let tls = tls(&mut options, &endpoints, read_file);
    let heartbeat = options.integer("heartbeat_seconds", 1..=3600);
    let heartbeat = u16::try_from(heartbeat).unwrap_or(u16::MAX);
    if heartbeat < HEARTBEAT_ADVISED {
        let text = format!(
            "heartbeat_seconds = '{heartbeat}': below {HEARTBEAT_ADVISED}, a broker that is only \
             busy may be given up"
        );
        options.warn("heartbeat_seconds", text);
    }
    let frame = options.size("max_frame_bytes", 8192..=1 << 20);
    let settings = ConnectionSettings {
        name: section.name.clone(),
        endpoints,
        tls,
        max_frame_bytes: u32::try_from(frame).unwrap_or(u32::MAX),
        heartbeat,
        connection_timeout: options
            .duration("connection_timeout", Duration::from_millis(100)..=Duration::from_secs(300)),
    };
    options.finish();
    settings
}

fn addresses(options: &mut Reader<'_>) -> Vec<Address> {
    let text = options.text("url");
    if text.is_empty() {
        options.error("url", "url is missing");
        return Vec::new();
    }
    let mut addresses = Vec::new();
    for url in endpoint::split(&text) {
        match endpoint::parse(url) {
            Ok(address) => addresses.push(address),
            Err(reason) => {
                let text = format!("url = '{}': {reason}", endpoint::masked(url));
                options.error("url", text);
            }
        }
    }
    addresses
}

/// The password from outside the url, if there is one.
fn password(
    options: &mut Reader<'_>,
    addresses: &[Address],
    read_file: ReadFile<'_>,
) -> Option<Secret> {
    let path = options.text("password_file");
    let plain = options.secret("password");
    let sources = [
        ("password_file", !path.is_empty()),
        ("password", plain.is_some()),
        ("url", addresses.iter().any(|address| address.password.is_some())),
    ];
    let given = sources.iter().filter(|(_, given)| *given);
    let given: Vec<&str> = given.map(|(name, _)| *name).collect();
    if let [first, _, ..] = given.as_slice() {
        let text = format!("there is a password in {}; that in {first} applies", given.join(", "));
        options.warn(first, text);
    }
    if path.is_empty() {
        return plain;
    }
    file::first_line(options, "password_file", &path, read_file)
}

/// Without a login it is `guest`, `guest`, as with all of RabbitMQ's clients.
fn endpoints(
    options: &mut Reader<'_>,
    addresses: Vec<Address>,
    password: Option<Secret>,
) -> Vec<Endpoint> {
    let mut endpoints = Vec::new();
    for address in addresses {
        let user = address.user.unwrap_or_else(|| "guest".to_owned());
        let password = password.clone().or(address.password).unwrap_or_else(|| {
            if user == "guest" {
                return Secret::new("guest");
            }
            options.warn("url", format!("user '{user}' has no password"));
            Secret::default()
        });
        endpoints.push(Endpoint {
            tls: address.tls,
            host: address.host,
            port: address.port,
            vhost: address.vhost,
            user,
            password,
        });
    }
    endpoints
}

fn tls(options: &mut Reader<'_>, endpoints: &[Endpoint], read_file: ReadFile<'_>) -> TlsSettings {
    let tls = TlsSettings::read(options, read_file);
    if !endpoints.is_empty() && !endpoints.iter().any(|endpoint| endpoint.tls) {
        for name in tls::NAMES {
            if options.is_given(name) {
                options.warn(name, format!("{name} has no effect without an amqps:// url"));
            }
        }
    } else if !tls.verify {
        let text = "verify = 'no': anyone on the way can pose as the broker and read the password \
                    and all events";
        options.warn("verify", text);
    }
    tls
}
