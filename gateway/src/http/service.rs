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
use hyper::upgrade::OnUpgrade;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use tokio::sync::watch;
use tokio::time::timeout;

use super::identity::{sane, uuid};
use super::page;
use crate::access::{Audited, Credentials, Person, Verdict, audit, judge};
use crate::amqp::BrokerState;
use crate::apps;
use crate::ari::{BodyKind, Does, Params, Refusal};
use crate::events::{self, Sockets};
use crate::fleet::ConsulState;
use crate::proxy::{Body, Draft, Gateway, NODE, Reply, Task, Unread, failure, text};

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What all connections share.
#[derive(Clone)]
pub(crate) struct Service {
    pub gateway: Arc<Gateway>,
    pub sockets: Sockets,
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
        if trace.area != "other" {
            let (id, user) = (trace.id.as_str(), trace.user.as_deref());
            let audited =
                Audited { id, user, peer: &peer, method: &method, path: &path, status, node, took };
            audit(&self.gateway.config.log, &audited);
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
            // Requests do without events; a balancer would find no better gateway either.
            return match self.gateway.exchange.as_ref().map(|one| one.state.borrow().clone()) {
                Some(BrokerState::Fails(trouble)) => {
                    let text_of = format!("ready, without events: RabbitMQ: {trouble}\n");
                    text(StatusCode::OK, "text/plain", text_of)
                }
                _ => text(StatusCode::OK, "text/plain", "ready\n"),
            };
        };
        text(StatusCode::SERVICE_UNAVAILABLE, "text/plain", reason)
    }

    async fn ari(&self, request: Request<Incoming>, trace: &mut Trace) -> Result<Reply, Refusal> {
        let (mut head, body) = request.into_parts();
        let upgrade = head.extensions.remove::<OnUpgrade>();
        let query = head.uri.query().unwrap_or_default();
        let person = self.person(&head.headers, query).await?;
        trace.user = Some(person.name().to_owned());
        if let Some(file) = head.uri.path().strip_prefix("/ari/api-docs/") {
            return Ok(match head.method {
                Method::GET => self.gateway.api_docs(file, &self.base_url(&head.headers)).await,
                _ => other_methods(&["GET"], &head.method),
            });
        }
        let sought = match Task::find(&head.method, head.uri.path()) {
            Ok(sought) => sought,
            Err(Unread::OtherMethods(methods)) => {
                return Ok(other_methods(&methods, &head.method));
            }
            Err(Unread::Refused(refusal)) => return Err(refusal),
        };
        let operation = sought.0;
        trace.area = operation.area();
        let body = self.read(&head.headers, body).await?;
        let named = head.headers.get(&NODE).map(|value| match value.to_str() {
            Ok(named) => Ok(named.to_owned()),
            Err(_) => Err(Refusal::bad("X-Asterisk-ID is no text")),
        });
        let draft = Draft {
            method: head.method,
            query,
            content_type: head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()),
            body,
            node: named.transpose()?,
        };
        let task = Task::read(sought, draft, person, uuid)?;
        if operation.does == Does::Events {
            return self.events(task, &head.headers, upgrade).await;
        }
        Ok(apps::carry(&self.gateway, &task).await)
    }

    /// The event websocket, for who may have it.
    async fn events(
        &self,
        task: Task,
        headers: &HeaderMap,
        upgrade: Option<OnUpgrade>,
    ) -> Result<Reply, Refusal> {
        if let Verdict::Refused(refusal) = judge(&task.person, &task.request()) {
            return Err(refusal);
        }
        events::open(&self.gateway, &self.sockets, task.person, headers, upgrade, &task.params)
            .await
    }

    async fn person(&self, headers: &HeaderMap, query: &str) -> Result<Person, Refusal> {
        let header = headers.get(AUTHORIZATION).map(|value| value.to_str().unwrap_or_default());
        let key = match header {
            Some(_) => None,
            None => Params::parse(query, BodyKind::Ignored, b"")?.take("api_key"),
        };
        let credentials = Credentials::of(header, key.as_deref());
        let person = self.gateway.users.person(&credentials).await?;
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
