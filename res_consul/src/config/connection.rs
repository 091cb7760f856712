// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Section `[consul]`: where Consul is, and how to log in.

use std::fmt;
use std::net::Ipv6Addr;
use std::time::Duration;

use asterisk::config::file::{self, ReadFile};
use asterisk::config::tls::{self, TlsSettings};
use asterisk::config::{Reader, Report, Section};
use asterisk::secret::Secret;

use super::address::{self, Address};
use super::{Environment, options};

const ADDRESS_VARIABLE: &str = "CONSUL_HTTP_ADDR";
const TOKEN_VARIABLE: &str = "CONSUL_HTTP_TOKEN";

/// With TLS or without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Https => "https",
        })
    }
}

/// Where the token is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TokenSource {
    /// There is none: Consul's anonymous token applies.
    Nowhere,
    /// Option `token`.
    Option,
    /// The file at this path, which is read again when Consul refuses the token.
    File(String),
    /// `CONSUL_HTTP_TOKEN`.
    Environment,
}

/// The connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConsulSettings {
    /// A name or an address, an IPv6 address without brackets.
    pub host: String,
    pub port: u16,
    pub scheme: Scheme,
    /// As it was when the file was read.
    pub token: Option<Secret>,
    pub token_source: TokenSource,
    /// None: the agent's own.
    pub datacenter: Option<String>,
    /// Longest wait for a name, and again for TCP and TLS together.
    pub connect_timeout: Duration,
    /// Longest wait for each further step of a request.
    pub request_timeout: Duration,
    /// Longest blocking query.
    pub watch_wait: Duration,
    pub tls: TlsSettings,
}

impl ConsulSettings {
    /// Host and port as a URL has them.
    pub(crate) fn authority(&self) -> String {
        match self.host.parse::<Ipv6Addr>() {
            Ok(_) => format!("[{}]:{}", self.host, self.port),
            Err(_) => format!("{}:{}", self.host, self.port),
        }
    }

    /// Scheme, host and port, for the operator.
    pub(crate) fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.authority())
    }
}

pub(super) fn read(
    section: &Section,
    report: &mut Report,
    read_file: ReadFile<'_>,
    environment: Environment<'_>,
) -> ConsulSettings {
    let mut options = section.reader(options::CONSUL, report);
    let address = address(&mut options, environment);
    let mut port = u16::try_from(options.integer("port", 1..=65535)).unwrap_or_default();
    let schemes = [("http", Scheme::Http), ("https", Scheme::Https)];
    let mut scheme = options.choice("scheme", &schemes).unwrap_or(Scheme::Http);
    // What the file says goes before the environment, option by option.
    if !options.is_given("port") {
        port = address.port.unwrap_or(port);
    }
    if !options.is_given("scheme") {
        scheme = address.scheme.unwrap_or(scheme);
    }
    let (token, token_source) = token(&mut options, read_file, environment);
    let datacenter = options.text("datacenter");
    let least = Duration::from_millis(100);
    let settings = ConsulSettings {
        host: address.host,
        port,
        scheme,
        token,
        token_source,
        datacenter: (!datacenter.is_empty()).then_some(datacenter),
        connect_timeout: options.duration("connect_timeout", least..=Duration::from_secs(60)),
        request_timeout: options.duration("request_timeout", least..=Duration::from_secs(300)),
        watch_wait: options
            .duration("watch_wait", Duration::from_secs(1)..=Duration::from_secs(600)),
        tls: TlsSettings::read(&mut options, read_file),
    };
    check_tls(&mut options, &settings);
    options.finish();
    settings
}

/// Host, and what else the environment says if it is that host which applies.
fn address(options: &mut Reader<'_>, environment: Environment<'_>) -> Address {
    let host = options.parsed("host", |text| address::check_host(text).map(|()| text.to_owned()));
    let host = host.unwrap_or_default();
    let of_host = Address { scheme: None, host, port: None };
    if options.is_given("host") {
        return of_host;
    }
    let Some(text) = environment(ADDRESS_VARIABLE).filter(|text| !text.is_empty()) else {
        return of_host;
    };
    match address::parse(&text) {
        Ok(address) => address,
        // A login in the URL, which is not for the log.
        Err(_) if text.contains('@') => {
            options.error("host", format!("{ADDRESS_VARIABLE}: must be a host and a port"));
            of_host
        }
        Err(reason) => {
            options.error("host", format!("{ADDRESS_VARIABLE} = '{text}': {reason}"));
            of_host
        }
    }
}

fn token(
    options: &mut Reader<'_>,
    read_file: ReadFile<'_>,
    environment: Environment<'_>,
) -> (Option<Secret>, TokenSource) {
    let path = options.text("token_file");
    let plain = options.secret("token");
    if !path.is_empty() {
        if plain.is_some() {
            options.warn("token", "there is a token in token_file too, which applies");
        }
        let read = file::first_line(options, "token_file", &path, read_file);
        let token = read.and_then(|line| checked(options, "token_file", "token_file", &line));
        return (token, TokenSource::File(path));
    }
    if let Some(token) = plain {
        return (checked(options, "token", "token", &token), TokenSource::Option);
    }
    match environment(TOKEN_VARIABLE).filter(|text| !text.trim().is_empty()) {
        Some(text) => {
            let token = checked(options, "token", TOKEN_VARIABLE, &Secret::new(text));
            (token, TokenSource::Environment)
        }
        None => (None, TokenSource::Nowhere),
    }
}

fn checked(
    options: &mut Reader<'_>,
    name: &'static str,
    source: &str,
    given: &Secret,
) -> Option<Secret> {
    valid_token(given.reveal())
        .map_err(|reason| options.error(name, format!("{source}: {reason}")))
        .ok()
}

/// A token that a header can carry, without blanks around it. The refusal does not show it.
pub(crate) fn valid_token(text: &str) -> Result<Secret, &'static str> {
    let token = text.trim();
    if token.is_empty() {
        return Err("the token is empty");
    }
    match token.chars().any(char::is_control) {
        true => Err("the token has control characters"),
        false => Ok(Secret::new(token)),
    }
}

fn check_tls(options: &mut Reader<'_>, settings: &ConsulSettings) {
    if settings.scheme == Scheme::Http {
        for name in tls::NAMES {
            if options.is_given(name) {
                options.warn(name, format!("{name} has no effect without scheme = https"));
            }
        }
    } else if !settings.tls.verify {
        let text = "verify = 'no': anyone on the way can pose as Consul and read the token";
        options.warn("verify", text);
    }
}
