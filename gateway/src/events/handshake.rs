// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The beginning of an event websocket: it is answered once the nodes have its applications and
//! their events come in, as with one Asterisk, where both are so at once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{join, ready};
use hyper::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue, UPGRADE};
use hyper::header::{
    SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
};
use hyper::upgrade::OnUpgrade;
use hyper::{Response, StatusCode};
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::hub::{Hub, Wanted};
use super::socket::Client;
use crate::access::Person;
use crate::amqp::BrokerState;
use crate::ari::{Params, Refusal, encode};
use crate::node::{Member, Outgoing};
use crate::proxy::{Body, Gateway, Reply};

/// Between two looks whether a node has an application.
const LOOK: Duration = Duration::from_millis(50);
/// The longest name whose routing key is a short text of AMQP.
const LONGEST: usize = 255 - "stasis.app.".len();
const PROTOCOL: &str = "ari";
/// More applications than one client is.
const MOST: usize = 100;

/// What sockets need.
#[derive(Clone)]
pub(crate) struct Sockets {
    pub hub: Arc<Hub>,
    /// The applications whose keys are in Consul.
    pub registered: watch::Receiver<Arc<BTreeSet<String>>>,
    pub stopping: watch::Receiver<bool>,
}

/// Opens one, for somebody who may.
pub(crate) async fn open(
    gateway: &Arc<Gateway>,
    sockets: &Sockets,
    person: Person,
    headers: &HeaderMap,
    upgrade: Option<OnUpgrade>,
    params: &Params,
) -> Result<Reply, Refusal> {
    let accepted = accepted(headers)?;
    let upgrade = upgrade.ok_or_else(no_websocket)?;
    let mut apps = params.all("app");
    apps.sort();
    apps.dedup();
    if apps.is_empty() {
        return Err(Refusal::bad("HTTP request is missing param: [app]"));
    }
    if apps.len() > MOST {
        return Err(Refusal::bad(format!("more than {MOST} applications for one socket")));
    }
    if let Some(app) = apps.iter().find(|app| app.len() > LONGEST || app.ends_with('/')) {
        return Err(Refusal::bad(format!("{app:?} is no name of an application")));
    }
    let is_told_all = params.is_true("subscribeAll");
    let Some(exchange) = &gateway.exchange else {
        return Err(Refusal::new(501, "this gateway has no broker: [amqp] is not configured"));
    };
    if *exchange.state.borrow() != BrokerState::Connected {
        return Err(Refusal::unavailable("RabbitMQ is not connected"));
    }
    let has_all = params.is_false("share");
    let seat = sockets.hub.join(Wanted { apps: apps.clone(), is_told_all, has_all })?;
    let until = Instant::now() + gateway.config.events.ready;
    let is_ready = async {
        let has = |set: &Arc<BTreeSet<String>>| apps.iter().all(|app| set.contains(app));
        // They end with the process.
        let _ = exchange.bound.clone().wait_for(has).await;
        let is_there = async {
            let _ = sockets.registered.clone().wait_for(has).await;
            for app in &apps {
                everywhere(gateway, app, is_told_all).await;
            }
        };
        join(is_there, seat.membership.share()).await;
    };
    if timeout_at(until, is_ready).await.is_err() {
        tracing::warn!("applications {} are not on all nodes and gateways yet", apps.join(", "));
        seat.membership.share_now();
    }
    let client = Client {
        gateway: Arc::clone(gateway),
        stopping: sockets.stopping.clone(),
        person,
        app: apps.join(","),
    };
    tokio::spawn(client.begin(upgrade, seat));
    Ok(accepted)
}

fn no_websocket() -> Refusal {
    Refusal::new(426, "events come by a websocket")
}

/// The answer to a websocket's request.
fn accepted(headers: &HeaderMap) -> Result<Reply, Refusal> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let has = |name, wanted: &str| {
        let mut words = text(name).unwrap_or_default().split(',').map(str::trim);
        words.any(|word| word.eq_ignore_ascii_case(wanted))
    };
    if !has(UPGRADE, "websocket") || !has(CONNECTION, "upgrade") {
        return Err(no_websocket());
    }
    if text(SEC_WEBSOCKET_VERSION) != Some("13") {
        return Err(Refusal::new(426, "only version 13 of websockets is spoken"));
    }
    let key = text(SEC_WEBSOCKET_KEY).ok_or_else(|| Refusal::bad("there is no websocket key"))?;
    let proof = derive_accept_key(key.as_bytes());
    let proof = HeaderValue::from_str(&proof).map_err(|_| Refusal::bad("no key"))?;
    let mut reply = Response::new(Body::Ours(Default::default()));
    *reply.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let answer = reply.headers_mut();
    answer.insert(UPGRADE, HeaderValue::from_static("websocket"));
    answer.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    answer.insert(SEC_WEBSOCKET_ACCEPT, proof);
    if has(SEC_WEBSOCKET_PROTOCOL, PROTOCOL) {
        answer.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
    }
    Ok(reply)
}

/// Until every node that is up has the application.
async fn everywhere(gateway: &Gateway, app: &str, is_told_all: bool) {
    #[derive(Deserialize)]
    struct Told {
        #[serde(default)]
        channel_ids: Vec<String>,
    }
    let mut target = "/ari/applications/".to_owned();
    encode(app, &mut target);
    let outgoing = &Outgoing::get(target, gateway.config.nodes.question_timeout);
    loop {
        let roster = gateway.roster.load_full();
        let up = roster
            .members()
            .filter(|member| member.node.state.is_up() && !member.client.is_suspect());
        let has_it = |body: &[u8]| {
            let told: Option<Told> = serde_json::from_slice(body).ok();
            told.is_some_and(|told| !is_told_all || !told.channel_ids.is_empty())
        };
        let is_there = |answer: &Result<(StatusCode, bytes::Bytes), _>| match answer {
            Ok((StatusCode::OK, body)) => has_it(body),
            Ok(_) => false,
            // Who does not answer is not waited for.
            Err(_) => true,
        };
        let put = |member: Member| async move { member.client.fetch(outgoing).await };
        let asked = gateway.round(up.cloned().collect(), outgoing.timeout, put);
        // All are waited for: a request that is given up costs its connection.
        if asked.filter(|(_, answer)| ready(!is_there(answer))).count().await == 0 {
            return;
        }
        sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(of: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        of.iter().map(pair).collect()
    }

    const GOOD: [(&str, &str); 4] = [
        ("upgrade", "WebSocket"),
        ("connection", "keep-alive, Upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    #[test]
    fn a_websocket_is_accepted_by_the_book() {
        let reply = accepted(&headers(&GOOD)).unwrap();
        assert_eq!(reply.status(), StatusCode::SWITCHING_PROTOCOLS);
        // RFC 6455's own example.
        assert_eq!(reply.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(!reply.headers().contains_key("sec-websocket-protocol"));
        let mut with = headers(&GOOD);
        with.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("x, ari"));
        assert_eq!(accepted(&with).unwrap().headers()["sec-websocket-protocol"], "ari");
    }

    #[test]
    fn what_is_no_websocket_is_told_so() {
        for missing in 0..GOOD.len() {
            let mut parts = GOOD.to_vec();
            parts.remove(missing);
            let status = accepted(&headers(&parts)).unwrap_err().status;
            assert_eq!(status, if missing == 3 { 400 } else { 426 });
        }
    }
}
