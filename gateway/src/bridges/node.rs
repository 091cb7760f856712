// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What is done on one node for a bridge that spans.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::HIDDEN_APP;
use super::ailment::Seen;
use super::trouble::Trouble;
use crate::ari::encode;
use crate::fleet::Slot;
use crate::node::{Member, NodeError, Outgoing, Roster};
use crate::proxy::Gateway;

/// A bridge, as its node tells of it.
#[derive(Debug, Deserialize)]
pub(super) struct Told {
    #[serde(default)]
    pub id: String,
    #[serde(default)]
    bridge_type: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    pub channels: Vec<String>,
}

impl Told {
    /// Whether its members do not hear each other, but what is played, and who announces.
    pub(super) fn is_holding(&self) -> bool {
        self.bridge_type == "holding"
    }
}

/// A trunk's end in a bridge.
#[derive(Clone, Copy)]
pub(super) enum End {
    /// It gets what the bridge at home has for its members.
    AtHome,
    /// It says that to all members here.
    AtPart,
}

/// A node to work on.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    gateway: &'a Gateway,
    member: &'a Member,
}

/// `name=value&…`, encoded, with a `?`.
pub(super) fn query(pairs: &[(&str, &str)]) -> String {
    let mut query = String::new();
    for (name, value) in pairs {
        query.push(if query.is_empty() { '?' } else { '&' });
        encode(name, &mut query);
        query.push('=');
        encode(value, &mut query);
    }
    query
}

/// `/ari/<folder>/<id>`
pub(super) fn path(folder: &str, id: &str) -> String {
    let mut path = format!("/ari/{folder}/");
    encode(id, &mut path);
    path
}

impl<'a> At<'a> {
    pub(super) fn new(
        gateway: &'a Gateway,
        roster: &'a Roster,
        eid: &str,
    ) -> Result<Self, Trouble> {
        let member = roster.fleet.by_eid(eid).and_then(|node| roster.member(node.slot));
        let member = member.ok_or_else(|| Trouble::Unknown(eid.to_owned()))?;
        Ok(Self { gateway, member })
    }

    pub(super) fn eid(&self) -> &str {
        &self.member.node.eid
    }

    pub(super) fn slot(&self) -> Slot {
        self.member.node.slot
    }

    /// `host:port` of its SIP.
    pub(super) fn sip(&self) -> Result<String, Trouble> {
        let (host, port) = (&self.member.node.origin.host, self.member.node.trunk_port);
        match (port, host.contains(':')) {
            (0, _) => Err(Trouble::NoAddress(self.eid().to_owned())),
            (port, true) => Ok(format!("[{host}]:{port}")),
            (port, false) => Ok(format!("{host}:{port}")),
        }
    }

    /// The bridge, if it is there.
    pub(super) async fn bridge(&self, id: &str) -> Result<Option<Told>, Trouble> {
        self.get(path("bridges", id), "GET /bridges/…").await
    }

    /// What it says of a bridge, for a diagnosis.
    pub(super) async fn seen(&self, id: &str) -> Seen {
        match self.bridge(id).await {
            Ok(Some(told)) => Seen::Has(told.channels),
            Ok(None) => Seen::Lacks,
            Err(trouble) => unseen(&trouble),
        }
    }

    /// What it says of all its bridges; the error is for each of them.
    pub(super) async fn all_seen(&self) -> Result<HashMap<String, Vec<String>>, Seen> {
        let told: Result<Option<Vec<Told>>, _> =
            self.get("/ari/bridges".to_owned(), "GET /bridges").await;
        match told {
            Ok(told) => {
                let told = told.unwrap_or_default().into_iter();
                Ok(told.map(|bridge| (bridge.id, bridge.channels)).collect())
            }
            Err(trouble) => Err(unseen(&trouble)),
        }
    }

    /// Makes the same bridge here, or finds it made. Events of keys are told wherever they come.
    pub(super) async fn make(&self, like: &Told) -> Result<(), Trouble> {
        // Asterisk refuses to make it again.
        if self.bridge(&like.id).await?.is_some() {
            return Ok(());
        }
        let kind = if like.is_holding() { "holding" } else { "mixing" };
        let named = [("type", &*format!("{kind},dtmf_events")), ("name", &like.name)];
        let made = self.post(path("bridges", &like.id) + &query(&named)).await?;
        self.expect(made, "POST /bridges/…")
    }

    /// Ends the bridge; none there is no fault.
    pub(super) async fn end(&self, id: &str) -> Result<(), Trouble> {
        self.delete(path("bridges", id), "DELETE /bridges/…").await
    }

    /// Ends a channel; none there is no fault.
    pub(super) async fn hang_up(&self, channel: &str) -> Result<(), Trouble> {
        self.delete(path("channels", channel), "DELETE /channels/…").await
    }

    /// Puts a trunk's channel into the bridge. Who it is must concern no member.
    pub(super) async fn add(
        &self,
        bridge: &Told,
        leg: &str,
        end: End,
    ) -> Result<StatusCode, Trouble> {
        let leg = [("channel", leg), ("inhibitConnectedLineUpdates", "true")];
        let mut target = path("bridges", &bridge.id) + "/addChannel" + &query(&leg);
        if let (true, End::AtPart) = (bridge.is_holding(), end) {
            target += "&role=announcer";
        }
        self.post(target).await
    }

    /// Has it tell an application of the bridge.
    pub(super) async fn subscribe(&self, app: &str, id: &str) -> Result<(), Trouble> {
        let source = format!("bridge:{id}");
        let source = query(&[("eventSource", &source)]);
        let told = self.post(path("applications", app) + "/subscription" + &source).await?;
        self.expect(told, "POST /applications/…/subscription")
    }

    /// Calls, as this channel.
    pub(super) async fn call(
        &self,
        channel: &str,
        endpoint: &str,
        within: Duration,
    ) -> Result<(), Trouble> {
        let within = within.as_secs().max(1).to_string();
        let call = [
            ("endpoint", endpoint),
            ("app", HIDDEN_APP),
            ("channelId", channel),
            ("timeout", within.as_str()),
        ];
        let made = self.post("/ari/channels".to_owned() + &query(&call)).await?;
        self.expect(made, "POST /channels")
    }

    /// Whether a channel is there.
    pub(super) async fn has_channel(&self, channel: &str) -> Result<bool, Trouble> {
        let found: Option<serde::de::IgnoredAny> =
            self.get(path("channels", channel), "GET /channels/…").await?;
        Ok(found.is_some())
    }

    /// The extension that a channel is at.
    pub(super) async fn extension_of(&self, channel: &str) -> Result<Option<String>, Trouble> {
        #[derive(Deserialize)]
        struct Channel {
            dialplan: Dialplan,
        }
        #[derive(Deserialize)]
        struct Dialplan {
            exten: String,
        }
        let found: Option<Channel> = self.get(path("channels", channel), "GET /channels/…").await?;
        Ok(found.map(|channel| channel.dialplan.exten))
    }

    /// The channels in our application; `None`: it is not there.
    pub(super) async fn legs(&self) -> Result<Option<Vec<String>>, Trouble> {
        #[derive(Deserialize)]
        struct Application {
            channel_ids: Vec<String>,
        }
        let told: Option<Application> =
            self.get(path("applications", HIDDEN_APP), "GET /applications/…").await?;
        Ok(told.map(|told| told.channel_ids))
    }

    async fn get<T: DeserializeOwned>(
        &self,
        target: String,
        what: &'static str,
    ) -> Result<Option<T>, Trouble> {
        let limit = self.gateway.config.nodes.question_timeout;
        let (status, body) = self.ask(&Outgoing::get(target, limit)).await?;
        match status {
            StatusCode::OK => match serde_json::from_slice(&body) {
                Ok(told) => Ok(Some(told)),
                Err(_) => Err(Trouble::Node(self.eid().to_owned(), NodeError::Broken)),
            },
            StatusCode::NOT_FOUND => Ok(None),
            other => Err(Trouble::Said(self.eid().to_owned(), other.as_u16(), what)),
        }
    }

    async fn post(&self, target: String) -> Result<StatusCode, Trouble> {
        self.change(Method::POST, target).await
    }

    async fn delete(&self, target: String, what: &'static str) -> Result<(), Trouble> {
        match self.change(Method::DELETE, target).await? {
            StatusCode::NOT_FOUND => Ok(()),
            status => self.expect(status, what),
        }
    }

    fn expect(&self, status: StatusCode, what: &'static str) -> Result<(), Trouble> {
        match status.is_success() {
            true => Ok(()),
            false => Err(Trouble::Said(self.eid().to_owned(), status.as_u16(), what)),
        }
    }

    async fn change(&self, method: Method, target: String) -> Result<StatusCode, Trouble> {
        let timeout = self.gateway.config.nodes.request_timeout;
        let outgoing = Outgoing { method, target, content_type: None, body: Bytes::new(), timeout };
        Ok(self.ask(&outgoing).await?.0)
    }

    async fn ask(&self, outgoing: &Outgoing) -> Result<(StatusCode, Bytes), Trouble> {
        let answer = self.gateway.fetch(self.member, outgoing).await;
        answer.map_err(|error| Trouble::Node(self.eid().to_owned(), error))
    }
}

/// What no answer says.
fn unseen(trouble: &Trouble) -> Seen {
    match trouble {
        Trouble::Node(_, NodeError::Refused) => Seen::Refuses,
        _ => Seen::Silent,
    }
}
