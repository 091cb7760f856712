// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A pretender in Consul's place, and a node that asks it.

use std::sync::{Arc, Mutex, PoisonError};

use rig::{Answer, Asterisk, Pretender, Request, Version, eventually, seconds};
use serde_json::{Value, json};

use crate::fleet::{
    AMQP, APPS, CONSUL, ConsulConf, amqp, apps, assert_all_gone, load, node, unload_in_time,
};

/// What an agent answers that knows of no service and takes all.
pub(crate) fn agent(request: &Request) -> Answer {
    match (request.method.as_str(), request.path()) {
        ("PUT", _) => Answer::status(200),
        ("GET", "/v1/agent/services" | "/v1/agent/checks") => Answer::json(&json!({})),
        ("GET", path) if path.starts_with("/v1/agent/health/") => {
            Answer::json(&json!({"Service": null})).with_status(404)
        }
        ("GET", "/v1/status/leader") => Answer::json(&json!("127.0.0.1:8300")),
        _ => Answer::json(&json!([])),
    }
}

/// A node with the modules that watch, asking the pretender.
pub(crate) fn watching(version: Version, pretender: &Pretender) -> Asterisk {
    let conf = ConsulConf::new(pretender.port()).consul("watch_wait", "3s");
    let asterisk = node(version, &amqp(), &conf).start();
    for module in [AMQP, CONSUL, APPS] {
        load(&asterisk, module);
    }
    asterisk
}

#[track_caller]
pub(crate) fn wait_apps(asterisk: &Asterisk, wanted: &[&str]) {
    eventually(&format!("applications {wanted:?}"), seconds(20), || {
        let there = apps(asterisk);
        if there == wanted { Ok(()) } else { Err(format!("{there:?}")) }
    });
}

/// Ends what [`watching`] has begun.
#[track_caller]
pub(crate) fn unload_watching(asterisk: &Asterisk) {
    for module in [APPS, CONSUL, AMQP] {
        unload_in_time(asterisk, module);
    }
    assert_all_gone(asterisk);
}

/// The queries of watches.
pub(crate) fn queries(pretender: &Pretender) -> Vec<Request> {
    let requests = pretender.requests();
    requests.into_iter().filter(|request| request.begins("GET /v1/kv/")).collect()
}

/// Keys of these applications as Consul's JSON has them.
pub(crate) fn pairs(names: &[&str]) -> Value {
    let pair = |name: &&str| {
        let key = format!("applications/{name}");
        json!({
            "LockIndex": 0, "Key": key, "Flags": 0, "Value": "", "CreateIndex": 1, "ModifyIndex": 1,
        })
    };
    names.iter().map(pair).collect()
}

/// Answers to the queries of a watch, to be changed by the test; the agent's part is as it should be.
#[derive(Clone)]
pub(crate) struct Script(Arc<Mutex<Make>>);

pub(crate) type Make = Box<dyn FnMut(&Request) -> Answer + Send>;

impl Script {
    pub(crate) fn new(make: impl FnMut(&Request) -> Answer + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Box::new(make))))
    }

    pub(crate) fn play(&self, make: impl FnMut(&Request) -> Answer + Send + 'static) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(make);
    }

    fn answer(&self, request: &Request) -> Answer {
        (self.0.lock().unwrap_or_else(PoisonError::into_inner))(request)
    }

    /// For the queries of watches only.
    pub(crate) fn pretend_keys(&self) -> Pretender {
        let script = self.clone();
        Pretender::start(move |request| match request.path() {
            path if path.starts_with("/v1/kv/") => script.answer(request),
            _ => agent(request),
        })
    }

    /// For everything.
    pub(crate) fn pretend_all(&self) -> Pretender {
        let script = self.clone();
        Pretender::start(move |request| script.answer(request))
    }
}

/// What Consul answers that has these applications' keys, but for the index.
pub(crate) fn good(names: &[&str]) -> Answer {
    Answer::json(&pairs(names))
}
