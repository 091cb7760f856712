// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Requests to Consul, and the settings they are made with.

use std::fmt;
use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use asterisk::consul::encoded;
use asterisk::secret::Secret;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use ureq::Agent;
use ureq::http::HeaderValue;

use super::dial::{Dialler, Nowhere};
use super::{Cutter, Fault, Resolver, Turn, is_of_agent};
use crate::config::{Scheme, Settings, TokenSource, valid_token};

/// Between two readings of `token_file`.
const TOKEN_REST: Duration = Duration::from_secs(3);

/// A connection that was idle for longer is not used again.
const MOST_IDLE: Duration = Duration::from_secs(15);

/// Read at a time from an answer.
const PIECE: usize = 16 * 1024;

type Tls = (Arc<ClientConfig>, ServerName<'static>);

/// The settings of one load or reload, with what is made of them when it is first needed: on a
/// thread of ours, for making a TLS client is not for Asterisk's.
pub(crate) struct Setup {
    settings: Settings,
    tls: OnceLock<Result<Option<Tls>, String>>,
    token: Mutex<Token>,
}

struct Token {
    value: Option<Secret>,
    read: Option<Instant>,
}

impl Setup {
    pub(crate) fn new(settings: Settings) -> Self {
        let token = Token { value: settings.consul.token.clone(), read: None };
        Self { settings, tls: OnceLock::new(), token: Mutex::new(token) }
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What TLS needs; none without TLS.
    pub(super) fn tls(&self) -> Result<Option<Tls>, String> {
        let consul = &self.settings.consul;
        let make = || match consul.scheme {
            Scheme::Http => Ok(None),
            Scheme::Https => {
                let name = asterisk::tls::server_name(&consul.host)?;
                Ok(Some((Arc::new(asterisk::tls::client_config(&consul.tls)?), name)))
            }
        };
        self.tls.get_or_init(make).clone()
    }

    fn held(&self) -> MutexGuard<'_, Token> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn token(&self) -> Option<Secret> {
        self.held().value.clone()
    }

    /// Reads `token_file` again, if there is one and it was not read a moment ago. Whether there is
    /// another token now than `refused`.
    pub(crate) fn renew_token(&self, refused: Option<&Secret>) -> bool {
        let TokenSource::File(path) = &self.settings.consul.token_source else {
            return false;
        };
        let mut held = self.held();
        if held.read.is_none_or(|read| read.elapsed() >= TOKEN_REST) {
            held.read = Some(Instant::now());
            // A file that cannot be read, or not yet, leaves the token as it is: the refusal is
            // what the operator is told of.
            let text = std::fs::read_to_string(path).unwrap_or_default();
            if let Ok(token) = valid_token(text.lines().next().unwrap_or_default()) {
                held.value = Some(token);
            }
        }
        held.value.as_ref() != refused
    }
}

/// How a request is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Put,
    Post,
    Delete,
}

impl Method {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let known = [Self::Get, Self::Put, Self::Post, Self::Delete];
        known.into_iter().find(|method| method.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: Method,
    /// From `/v1/` on, with its query, percent-encoded.
    pub(crate) path: String,
    pub(crate) body: Option<Vec<u8>>,
    /// How long Consul may take to answer beyond what any request may.
    pub(crate) wait: Duration,
    /// The most bytes of an answer.
    pub(crate) limit: usize,
}

impl Request {
    /// How messages name it.
    pub(crate) fn named(&self) -> String {
        format!("{} {}", self.method, super::named(&self.path))
    }
}

/// An answer, of any status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// `X-Consul-Index` as it came.
    pub(crate) index: Option<String>,
    /// Consul says that the token may not see all there is, and there is nothing else.
    pub(crate) is_hidden: bool,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// The connection of one thread, kept alive between its requests; good for one [`Turn`].
pub(crate) struct Wire {
    pub(crate) setup: Arc<Setup>,
    pub(crate) turn: Turn,
    agent: Agent,
}

impl Wire {
    pub(crate) fn new(
        setup: &Arc<Setup>,
        resolver: &Arc<Resolver>,
        cutter: &Arc<Cutter>,
        turn: Turn,
    ) -> Self {
        let limit = Some(setup.settings.consul.request_timeout);
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent("res_consul")
            .max_idle_connections(1)
            .max_idle_connections_per_host(1)
            .max_idle_age(MOST_IDLE)
            .timeout_send_request(limit)
            .timeout_send_body(limit)
            .timeout_recv_body(limit)
            .build();
        let dialler = Dialler {
            setup: Arc::clone(setup),
            resolver: Arc::clone(resolver),
            cutter: Arc::clone(cutter),
            turn,
        };
        let agent = Agent::with_parts(config, dialler, Nowhere);
        Self { setup: Arc::clone(setup), turn, agent }
    }

    /// Makes a request, and reads all of its answer.
    pub(crate) fn send(&self, request: &Request, token: Option<&Secret>) -> Result<Reply, Fault> {
        let patience = request.wait + self.setup.settings.consul.request_timeout;
        let mut builder = ureq::http::Request::builder()
            .method(request.method.name())
            .uri(self.url(&request.path));
        if let Some(token) = token {
            let mut value = HeaderValue::from_bytes(token.reveal().as_bytes())
                .map_err(|_| Fault::Invalid("the token cannot be sent".to_owned()))?;
            value.set_sensitive(true);
            builder = builder.header("x-consul-token", value);
        }
        let body = match (&request.body, request.method) {
            (Some(body), _) => Some(body.as_slice()),
            // Some proxies want a length where there could be a body.
            (None, Method::Put | Method::Post) => Some(&[][..]),
            (None, Method::Get | Method::Delete) => None,
        };
        if request.body.is_some() {
            builder = builder.header("content-type", "application/json");
        }
        let invalid = |error: ureq::http::Error| Fault::Invalid(format!("{error}"));
        let answer = match body {
            Some(body) => {
                let request = builder.body(body).map_err(invalid)?;
                let request = self.agent.configure_request(request);
                self.agent.run(request.timeout_recv_response(Some(patience)).build())
            }
            None => {
                let request = builder.body(()).map_err(invalid)?;
                let request = self.agent.configure_request(request);
                self.agent.run(request.timeout_recv_response(Some(patience)).build())
            }
        }?;
        let (head, body) = answer.into_parts();
        let index = head.headers.get("x-consul-index").and_then(|value| value.to_str().ok());
        let index = index.map(str::to_owned);
        let filtered = head.headers.get("x-consul-results-filtered-by-acls");
        let body = all_of(body.into_reader(), request.limit)?;
        let is_hidden = filtered.is_some_and(|value| value.as_bytes() == b"true")
            && matches!(body.trim_ascii(), b"" | b"[]" | b"null");
        Ok(Reply { status: head.status.as_u16(), index, is_hidden, body })
    }

    fn url(&self, path: &str) -> String {
        let consul = &self.setup.settings.consul;
        let mut url = format!("{}{path}", consul.url());
        if let Some(datacenter) = consul.datacenter.as_ref().filter(|_| !is_of_agent(path)) {
            let separator = if path.contains('?') { '&' } else { '?' };
            url.push(separator);
            url.push_str("dc=");
            url.push_str(&encoded(datacenter));
        }
        url
    }
}

/// An answer's body. Nothing is set aside for what is only announced.
fn all_of(mut body: impl Read, limit: usize) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    let mut piece = vec![0; PIECE];
    loop {
        let amount =
            body.read(&mut piece).map_err(|error| Fault::from(ureq::Error::from(error)))?;
        if amount == 0 {
            return Ok(bytes);
        }
        if bytes.len() + amount > limit {
            let limit = asterisk::config::value::show_size(&(limit as u64));
            return Err(Fault::Unusable(format!("it is longer than {limit}")));
        }
        bytes.extend_from_slice(piece.get(..amount).unwrap_or_default());
    }
}
