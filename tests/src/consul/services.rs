// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What is registered: with this agent, and in the catalog of the datacenter.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Consul, encoded};
use crate::ari::Reply;

impl Consul {
    /// This agent's services by their ids.
    #[track_caller]
    pub fn services(&self) -> BTreeMap<String, Value> {
        members(self.request("GET", "/v1/agent/services", None).ok())
    }

    /// One of this agent's services with its health: `AggregatedStatus`, `Service`, `Checks`.
    /// `None` when it has none of this id.
    #[track_caller]
    pub fn service(&self, id: &str) -> Option<Value> {
        let path = format!("/v1/agent/health/service/id/{}", encoded(id));
        match self.request("GET", &path, None) {
            Reply { status: 404, .. } => None,
            // The status tells the health: warning and critical are no 2xx.
            Reply { status: 200 | 429 | 503, body } => Some(body),
            other => panic!("Consul, GET {path}: {other:?}"),
        }
    }

    /// The checks of one of this agent's services, by their ids; one of an operator's maintenance
    /// is among them.
    #[track_caller]
    pub fn checks_of(&self, id: &str) -> BTreeMap<String, Value> {
        let mut checks = members(self.request("GET", "/v1/agent/checks", None).ok());
        checks.retain(|_, check| check["ServiceID"] == id);
        checks
    }

    /// The reason of the maintenance that one of this agent's services is in.
    #[track_caller]
    pub fn maintenance_of(&self, id: &str) -> Option<String> {
        let check = self.checks_of(id).remove(&format!("_service_maintenance:{id}"))?;
        Some(check["Notes"].as_str().unwrap_or_default().to_owned())
    }

    /// Sets or ends the maintenance of one of this agent's services, as an operator would.
    #[track_caller]
    pub fn set_maintenance(&self, id: &str, on: bool, reason: &str) {
        let (id, reason) = (encoded(id), encoded(reason));
        let path = format!("/v1/agent/service/maintenance/{id}?enable={on}&reason={reason}");
        self.request("PUT", &path, None).ok();
    }

    /// Takes one of this agent's services away, as an operator would.
    #[track_caller]
    pub fn deregister(&self, id: &str) {
        self.request("PUT", &format!("/v1/agent/service/deregister/{}", encoded(id)), None).ok();
    }

    /// All services of this name in the datacenter: `Node`, `Service`, `Checks` of each.
    #[track_caller]
    pub fn health(&self, name: &str) -> Vec<Value> {
        let found = self.request("GET", &format!("/v1/health/service/{}", encoded(name)), None);
        found.ok().as_array().cloned().unwrap_or_default()
    }
}

fn members(body: Value) -> BTreeMap<String, Value> {
    match body {
        Value::Object(members) => members.into_iter().collect(),
        _ => BTreeMap::new(),
    }
}
