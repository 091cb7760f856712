// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What scenarios of the gateway have in common: nodes, each behind a proxy that counts what comes
//! to its ARI, Consul, and a gateway.

use std::sync::OnceLock;
use std::thread;

use rig::{
    Ari, AriEvents, Asterisk, Builder, Consul, Gateway, Proxy, Version, eventually, seconds,
};
use serde_json::Value;

use crate::fleet::{CONSUL, DISCOVERY, load, node};
use crate::member::quick;

/// A node that is registered with the address of its proxy.
pub(crate) struct Post {
    pub(crate) asterisk: Asterisk,
    pub(crate) proxy: Proxy,
}

impl Post {
    pub(crate) fn start(version: Version, consul: &Consul) -> Self {
        Self::of(consul, node(version, "", &quick(consul.port())))
    }

    /// One of a node with more in it.
    pub(crate) fn of(consul: &Consul, node: Builder) -> Self {
        let asterisk = node.start();
        let proxy = Proxy::to(asterisk.http_port());
        let conf = quick(consul.port())
            .discovery("meta_ari_port", &proxy.port().to_string())
            .discovery("discovery_port", &asterisk.sip_port().to_string());
        asterisk.write_conf("consul.conf", &conf.text());
        load(&asterisk, CONSUL);
        load(&asterisk, DISCOVERY);
        Self { asterisk, proxy }
    }

    pub(crate) fn eid(&self) -> &str {
        self.asterisk.entity_id()
    }

    /// Its channels as it says itself, past the gateway.
    #[track_caller]
    pub(crate) fn channels(&self) -> Vec<String> {
        ids(&self.asterisk.ari().get("/channels").ok())
    }

    /// The requests that came to its ARI, as `POST /channels/x/answer`, those of the gateway's own
    /// reading left out.
    pub(crate) fn requests(&self) -> Vec<String> {
        let seen = self.proxy.seen().into_iter();
        seen.map(|request| {
            format!("{} {}", request.method, request.target.trim_start_matches("/ari"))
        })
        .filter(|line| !line.starts_with("GET /asterisk/info?only=status"))
        .collect()
    }
}

/// Nodes and a gateway.
pub(crate) struct Site {
    pub(crate) gateway: Gateway,
    pub(crate) posts: Vec<Post>,
    pub(crate) consul: Consul,
}

impl Site {
    pub(crate) fn start(versions: &[Version], more: &[(&str, &str)]) -> Self {
        Self::of(versions, more, &Post::start)
    }

    /// One whose nodes are made so.
    pub(crate) fn of(
        versions: &[Version],
        more: &[(&str, &str)],
        post: &(dyn Fn(Version, &Consul) -> Post + Sync),
    ) -> Self {
        let consul = Consul::start();
        let posts: Vec<Post> = thread::scope(|scope| {
            let starting: Vec<_> =
                versions.iter().map(|version| scope.spawn(|| post(*version, &consul))).collect();
            starting.into_iter().map(|one| one.join().expect("a node")).collect()
        });
        let gateway = Gateway::start(consul.port(), more);
        let site = Self { gateway, posts, consul };
        site.wait_nodes("passing", versions.len());
        site
    }

    /// Three nodes of Asterisk 22.
    pub(crate) fn three(more: &[(&str, &str)]) -> Self {
        Self::start(&[Version::V22; 3], more)
    }

    /// One that all scenarios share which break nothing in it. Round robin, so that whatever is
    /// made comes to each node in turn.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Site> = OnceLock::new();
        SHARED.get_or_init(|| Self::three(&[("nodes", "placement = \"round_robin\"")]))
    }

    pub(crate) fn ari(&self) -> Ari {
        self.gateway.ari()
    }

    /// Waits until the gateway sees so many nodes in this state.
    #[track_caller]
    pub(crate) fn wait_nodes(&self, state: &str, count: usize) {
        eventually(&format!("{count} nodes {state}"), seconds(20), || {
            let seen = self.gateway.metric(&format!("gateway_nodes{{kind=\"{state}\"}}"));
            if seen == count as f64 { Ok(()) } else { Err(format!("{seen}")) }
        });
    }

    /// The node with this id.
    #[track_caller]
    pub(crate) fn post(&self, eid: &Value) -> &Post {
        let found = self.posts.iter().find(|post| *eid == post.eid());
        found.unwrap_or_else(|| panic!("no node {eid}"))
    }

    /// The application on every node, as long as the websockets live.
    #[track_caller]
    pub(crate) fn app(&self, name: &str) -> Vec<AriEvents> {
        self.posts.iter().map(|post| post.asterisk.ari().events(name)).collect()
    }

    /// A call in an application, wherever it comes to; it stays. Its id, and its node's.
    #[track_caller]
    pub(crate) fn call(&self, app: &str) -> (String, Value) {
        let path = format!("/channels?endpoint=Local/stay@default&app={app}");
        let call = self.ari().post(&path).ok();
        let id = text(&call["id"]);
        self.wait_in(app, &id, &call["asterisk_id"]);
        (id, call["asterisk_id"].clone())
    }

    /// Waits until a call is in the application, as its node says itself.
    #[track_caller]
    pub(crate) fn wait_in(&self, app: &str, id: &str, eid: &Value) {
        let ari = self.post(eid).asterisk.ari();
        eventually(&format!("{id} to be in {app}"), seconds(20), || {
            let told = ari.get(&format!("/applications/{app}")).body;
            let ids = told["channel_ids"].as_array().cloned().unwrap_or_default();
            let state = ari.get(&format!("/channels/{id}")).body["dialplan"]["app_name"].clone();
            let is_in = ids.iter().any(|one| one == id) && (state == "Stasis" || state.is_null());
            if is_in { Ok(()) } else { Err(format!("{told} {state}")) }
        });
    }
}

/// The ids of a list.
#[track_caller]
pub(crate) fn ids(list: &Value) -> Vec<String> {
    let list = list.as_array().unwrap_or_else(|| panic!("no list: {list}"));
    list.iter().map(|one| text(&one["id"])).collect()
}

#[track_caller]
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// One test for each scenario.
macro_rules! scenarios {
    ($($beside:ident),* $(,)? $([alone: $($alone:ident),+ $(,)?])?) => {
        mod scenario {
            $(#[test] fn $beside() { crate::turns::beside_others(super::$beside); })*
            $($(#[test] fn $alone() { crate::turns::alone(super::$alone); })+)?
        }
    };
}
pub(crate) use scenarios;
