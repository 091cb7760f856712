// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! One request: health and metrics are answered here, ARI is read, proven, looked at, and handed on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use tokio::sync::watch;
use tokio::time::timeout;

use super::identity::{sane, uuid};
use super::page;
use crate::access::{Credentials, Person};
use crate::ari::{BodyKind, Does, Found, Operation, Params, Path, Refusal, find};
use crate::fleet::ConsulState;
use crate::proxy::{Body, Gateway, Reply, Task, failure, text};

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static NODE: HeaderName = HeaderName::from_static("x-asterisk-id");

/// What all connections share.
#[derive(Clone)]
pub(crate) struct Service {
    pub gateway: Arc<Gateway>,
    /// Whether the fleet has been read.
    pub ready: watch::Receiver<bool>,
    /// Whether we are asked to stop.
    pub stopping: watch::Receiver<bool>,
}

/// What is told of a request when it is over.
struct Trace {
    id: String,
    user: Option<String>,
    area: &'static str,
}

impl Service {
    pub(super) async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Reply {
        let since = Instant::now();
        let given = request.headers().get(&REQUEST_ID).and_then(|value| value.to_str().ok());
        let id = sane(given).map_or_else(uuid, str::to_owned);
        let mut trace = Trace { id, user: None, area: "other" };
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let mut reply = self.find(request, &mut trace).await;
        if let Ok(value) = HeaderValue::from_str(&trace.id) {
            reply.headers_mut().insert(REQUEST_ID.clone(), value);
        }
        let (took, status) = (since.elapsed(), reply.status());
        self.gateway.metrics.note_request(&method, trace.area, status, took);
        let node = reply.headers().get(&NODE).and_then(|value| value.to_str().ok());
        let is_changing = !matches!(method, Method::GET | Method::HEAD | Method::OPTIONS);
        if is_changing && self.gateway.config.log.audit && trace.area != "other" {
            // The path without its query, which may hold a person's words or a key.
            tracing::info!(
                target: "audit",
                request = trace.id,
                user = trace.user.as_deref().unwrap_or("-"),
                peer = %peer,
                method = %method,
                path = ?path,
                status = status.as_u16(),
                node = node.unwrap_or("-"),
                ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            );
        }
        tracing::debug!(request = trace.id, peer = %peer, %method, ?path, status = status.as_u16());
        reply
    }

    async fn find(&self, request: Request<Incoming>, trace: &mut Trace) -> Reply {
        match request.uri().path() {
            "/health/live" => text(StatusCode::OK, "text/plain", "live\n"),
            "/health/ready" => self.ready(),
            "/metrics" => {
                let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                text(StatusCode::OK, kind, self.gateway.metrics.text(&self.gateway))
            }
            path if path == "/ari" || path.starts_with("/ari/") => {
                trace.area = "ari";
                self.ari(request, trace).await.unwrap_or_else(|refusal| failure(&refusal))
            }
            path if page::is_of_page(path) => {
                trace.area = "page";
                self.page(&request, trace).await.unwrap_or_else(|refusal| failure(&refusal))
            }
            _ => failure(&Refusal::not_found("Resource not found")),
        }
    }

    /// It shows all there is, so it is for those who may see all.
    async fn page(&self, request: &Request<Incoming>, trace: &mut Trace) -> Result<Reply, Refusal> {
        if request.method() != Method::GET {
            return Ok(other_methods(&["GET"], request.method()));
        }
        let person = self.person(request.headers(), "").await?;
        trace.user = Some(person.name().to_owned());
        if person.is_limited() || !person.may_use("GET") {
            return Err(Refusal::new(403, "the status page is not for this user"));
        }
        Ok(page::page(request.uri().path(), &self.gateway))
    }

    fn ready(&self) -> Reply {
        let reason = if *self.stopping.borrow() {
            "stopping"
        } else if !*self.ready.borrow() {
            match &*self.gateway.watch.consul.borrow() {
                ConsulState::Fails(_) => "Consul does not answer\n",
                _ => "the fleet has not been read yet\n",
            }
        } else {
            return text(StatusCode::OK, "text/plain", "ready\n");
        };
        text(StatusCode::SERVICE_UNAVAILABLE, "text/plain", reason)
    }

    async fn ari(&self, request: Request<Incoming>, trace: &mut Trace) -> Result<Reply, Refusal> {
        let (head, body) = request.into_parts();
        let query = head.uri.query().unwrap_or_default();
        let person = self.person(&head.headers, query).await?;
        trace.user = Some(person.name().to_owned());
        if let Some(file) = head.uri.path().strip_prefix("/ari/api-docs/") {
            return Ok(match head.method {
                Method::GET => self.gateway.api_docs(file, &self.base_url(&head.headers)).await,
                _ => other_methods(&["GET"], &head.method),
            });
        }
        let path = Path::parse(head.uri.path())?;
        let (operation, names) = match find(head.method.as_str(), &path) {
            Found::Operation(operation, names) => (operation, names),
            Found::OtherMethods(methods) => return Ok(other_methods(&methods, &head.method)),
            Found::Nothing => return Err(Refusal::not_found("Resource not found")),
        };
        trace.area = operation.area();
        let content_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let body_kind = BodyKind::of(content_type);
        let body = self.read(&head.headers, body).await?;
        let mut params = Params::parse(query, body_kind, &body)?;
        params.take("api_key");
        let in_query = params.take("asteriskId");
        let node = match head.headers.get(&NODE) {
            Some(value) => {
                let named = value.to_str().map_err(|_| Refusal::bad("X-Asterisk-ID is no text"))?;
                Some(named.to_owned())
            }
            None => in_query,
        };
        let task = Task {
            method: head.method,
            operation,
            names,
            params,
            node,
            id: new_id(operation),
            body_kind,
            body,
            person,
        };
        Ok(self.gateway.carry(&task).await)
    }

    async fn person(&self, headers: &HeaderMap, query: &str) -> Result<Person, Refusal> {
        let header = headers.get(AUTHORIZATION).map(|value| value.to_str().unwrap_or_default());
        let key = match header {
            Some(_) => None,
            None => Params::parse(query, BodyKind::Ignored, b"")?.take("api_key"),
        };
        let credentials = Credentials::of(header, key.as_deref());
        let person = self.gateway.users.person(&credentials).await;
        person.ok_or_else(|| Refusal::new(401, "Authentication required"))
    }

    async fn read(&self, headers: &HeaderMap, body: Incoming) -> Result<Bytes, Refusal> {
        let limits = &self.gateway.config.limits;
        let too_large =
            || Refusal::new(413, format!("the body is longer than {} bytes", limits.body_bytes));
        let length = headers.get(hyper::header::CONTENT_LENGTH);
        let length = length.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if length.is_some_and(|length| length > limits.body_bytes) {
            return Err(too_large());
        }
        match timeout(limits.body, Limited::new(body, limits.body_bytes).collect()).await {
            Ok(Ok(read)) => Ok(read.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
            Ok(Err(_)) => Err(Refusal::bad("the body cannot be read")),
            Err(_) => Err(Refusal::new(408, "the body did not come in time")),
        }
    }

    fn base_url(&self, headers: &HeaderMap) -> String {
        let http = &self.gateway.config.http;
        if let Some(url) = &http.base_url {
            return url.clone();
        }
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
        let host = headers.get(HOST).and_then(|value| value.to_str().ok());
        let host = host.filter(|host| !host.is_empty() && host.bytes().all(is_name));
        let scheme = if http.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", host.map_or_else(|| http.listen.to_string(), str::to_owned))
    }
}

/// An id for what comes of it, if anything does.
fn new_id(operation: &Operation) -> String {
    match operation.does {
        Does::Creates(_) | Does::OwnedMakes(..) => uuid(),
        _ => String::new(),
    }
}

/// 405, or what OPTIONS asks for.
fn other_methods(methods: &[&str], method: &Method) -> Reply {
    let mut reply = if *method == Method::OPTIONS {
        let mut reply = Response::new(Body::Ours(Bytes::new().into()));
        *reply.status_mut() = StatusCode::NO_CONTENT;
        reply
    } else {
        failure(&Refusal::new(405, "Invalid method"))
    };
    let mut allowed = methods.to_vec();
    allowed.push("OPTIONS");
    if let Ok(value) = HeaderValue::from_str(&allowed.join(",")) {
        reply.headers_mut().insert(ALLOW, value);
    }
    reply
}
