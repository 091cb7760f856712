// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Requests to Consul and their answers.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use asterisk::consul::encoded;
use asterisk::secret::Secret;
use ureq::Agent;
use ureq::http::HeaderValue;

use super::dial::{Dialler, Nowhere};
use super::{Cutter, Fault, Method, Reply, Request, Resolver, Setup, Turn, is_of_agent};

/// A connection that was idle for longer is not used again.
const MOST_IDLE: Duration = Duration::from_secs(15);

/// Read at a time from an answer.
const PIECE: usize = 16 * 1024;

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
        let limit = Some(setup.settings().consul.request_timeout);
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
        let patience = request.wait + self.setup.settings().consul.request_timeout;
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
        let consul = &self.setup.settings().consul;
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
