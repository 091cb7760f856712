// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Consul's answer about the service, read into what we want of it.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::State;
use crate::config::Origin;

/// A service with an entity id and an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    /// Consul's node and service id: what tells two that claim one entity id apart.
    pub key: (String, String),
    pub eid: String,
    pub origin: Origin,
    pub service_port: u16,
    pub trunk_port: u16,
    pub version: String,
    pub weight: u32,
    pub state: State,
}

/// What was listed, and what of it cannot be used, in sentences.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listing {
    pub nodes: Vec<Listed>,
    pub unusable: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    node: HostEntry,
    service: ServiceEntry,
    #[serde(default)]
    checks: Option<Vec<CheckEntry>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HostEntry {
    #[serde(default)]
    node: String,
    #[serde(default)]
    address: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ServiceEntry {
    #[serde(rename = "ID")]
    id: String,
    #[serde(default)]
    address: String,
    #[serde(default)]
    port: i64,
    #[serde(default)]
    meta: Option<BTreeMap<String, String>>,
    #[serde(default)]
    weights: Option<Weights>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Weights {
    passing: i64,
    warning: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CheckEntry {
    #[serde(rename = "CheckID", default)]
    id: String,
    #[serde(default)]
    status: String,
}

/// Reads the body of `/v1/health/service/<name>`.
pub(super) fn read(body: &[u8]) -> Result<Listing, serde_json::Error> {
    let entries: Vec<Entry> = serde_json::from_slice(body)?;
    let mut listing = Listing::default();
    for entry in entries {
        let id = entry.service.id.clone();
        match listed(entry) {
            Ok(node) => listing.nodes.push(node),
            Err(reason) => listing.unusable.push(format!("service {id:?}: {reason}")),
        }
    }
    Ok(listing)
}

fn listed(entry: Entry) -> Result<Listed, String> {
    let state = state(entry.checks.as_deref().unwrap_or_default());
    let mut meta = entry.service.meta.unwrap_or_default();
    let eid = meta.remove("eid").filter(|eid| !eid.is_empty()).ok_or("its meta has no eid")?;
    if eid.len() > 64 || !eid.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"') {
        return Err("its eid is none".to_owned());
    }
    let port = meta.remove("ari_port").ok_or("its meta has no ari_port")?;
    let port = port.parse().map_err(|_| format!("its ari_port is {port:?}"))?;
    let is_https = match meta.remove("ari_scheme").as_deref() {
        None | Some("http") => false,
        Some("https") => true,
        Some(other) => return Err(format!("its ari_scheme is {other:?}")),
    };
    let address = Some(entry.service.address).filter(|address| !address.is_empty());
    let host = address.unwrap_or(entry.node.address);
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || "-._:".contains(letter);
    if host.is_empty() || !host.chars().all(is_name) {
        return Err(format!("its address is {host:?}"));
    }
    let service_port = match u16::try_from(entry.service.port) {
        // It was registered without one.
        Ok(0) => 5060,
        Ok(port) => port,
        Err(_) => return Err(format!("its port is {}", entry.service.port)),
    };
    // Phones may be to use another transport than nodes among each other.
    let trunk_port = match meta.remove("trunk_port") {
        Some(port) => port.parse().map_err(|_| format!("its trunk_port is {port:?}"))?,
        None => service_port,
    };
    let weights = entry.service.weights.unwrap_or(Weights { passing: 1, warning: 1 });
    let weight = if state == State::Warning { weights.warning } else { weights.passing };
    Ok(Listed {
        key: (entry.node.node, entry.service.id),
        eid,
        origin: Origin { is_https, host, port },
        service_port,
        trunk_port,
        version: meta.remove("version").unwrap_or_default(),
        weight: u32::try_from(weight.clamp(0, 65535)).unwrap_or(1),
        state,
    })
}

fn state(checks: &[CheckEntry]) -> State {
    let is_maintenance = |check: &CheckEntry| {
        check.id.starts_with("_service_maintenance:") || check.id == "_node_maintenance"
    };
    let of = |check: &CheckEntry| match check.status.as_str() {
        _ if is_maintenance(check) => State::Maintenance,
        "passing" => State::Passing,
        "warning" => State::Warning,
        _ => State::Critical,
    };
    if checks.iter().any(is_maintenance) {
        return State::Maintenance;
    }
    checks.iter().map(of).max().unwrap_or(State::Passing)
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;

    pub(crate) fn service(eid: &str, port: u16, checks: &[(&str, &str)]) -> Value {
        let checks: Vec<Value> =
            checks.iter().map(|(id, status)| json!({"CheckID": id, "Status": status})).collect();
        json!({
            "Node": {"Node": "host", "Address": "10.0.0.1"},
            "Service": {
                "ID": eid, "Address": "127.0.0.1", "Port": 5060,
                "Meta": {"eid": eid, "ari_port": port.to_string(), "ari_scheme": "http",
                         "version": "22.10.1"},
                "Weights": {"Passing": 4, "Warning": 2},
            },
            "Checks": checks,
        })
    }

    fn one(value: Value) -> Result<Listed, String> {
        let mut listing = read(json!([value]).to_string().as_bytes()).unwrap();
        listing.nodes.pop().ok_or_else(|| listing.unusable.concat())
    }

    #[test]
    fn states_come_from_checks() {
        let serf = ("serfHealth", "passing");
        for (checks, wanted, weight) in [
            (vec![], State::Passing, 4),
            (vec![serf, ("service:a", "passing")], State::Passing, 4),
            (vec![serf, ("service:a", "warning")], State::Warning, 2),
            (vec![serf, ("service:a", "critical")], State::Critical, 4),
            (vec![("serfHealth", "critical"), ("a", "warning")], State::Critical, 4),
            (vec![("a", "what")], State::Critical, 4),
            (vec![serf, ("_service_maintenance:a", "critical")], State::Maintenance, 4),
            (vec![("_node_maintenance", "critical"), serf], State::Maintenance, 4),
            // In maintenance it takes no new calls either way.
            (
                vec![("_service_maintenance:a", "critical"), ("a", "critical")],
                State::Maintenance,
                4,
            ),
        ] {
            let node = one(service("a", 1, &checks)).unwrap();
            assert_eq!((node.state, node.weight), (wanted, weight), "{checks:?}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_told() {
        let with = |pointer: &str, value: Value| {
            let mut service = service("a", 1, &[]);
            *service.pointer_mut(pointer).unwrap() = value;
            one(service)
        };
        assert_eq!(
            with("/Service/Meta", json!(null)),
            Err("service \"a\": its meta has no eid".into())
        );
        assert!(with("/Service/Meta/eid", json!("")).is_err());
        assert!(with("/Service/Meta/eid", json!("a\r\nb")).is_err());
        assert!(with("/Service/Meta/ari_port", json!("70000")).is_err());
        assert!(with("/Service/Meta/ari_scheme", json!("ftp")).is_err());
        assert!(with("/Service/Address", json!("a b")).is_err());
        assert_eq!(with("/Service/Address", json!("")).unwrap().origin.host, "10.0.0.1");
        assert!(
            with("/Service/Meta", json!({"eid": "a", "ari_port": "1", "trunk_port": "x"})).is_err()
        );
        let meta = json!({"eid": "a", "ari_port": "1", "trunk_port": "5070"});
        assert_eq!(with("/Service/Meta", meta).unwrap().trunk_port, 5070);
        assert_eq!(with("/Checks", json!([])).unwrap().trunk_port, 5060);
        assert_eq!(with("/Service/Weights", json!(null)).unwrap().weight, 1);
        assert_eq!(one(service("a", 1, &[])).unwrap().service_port, 5060);
        let with_port = |port: i64| {
            let mut service = service("a", 1, &[]);
            service["Service"]["Port"] = json!(port);
            one(service).map(|listed| listed.service_port)
        };
        assert_eq!(with_port(5070), Ok(5070));
        assert!(with_port(65536).is_err() && with_port(-1).is_err());
        assert_eq!(with("/Checks", json!(null)).unwrap().state, State::Passing);
        assert!(read(b"null").is_err() && read(b"{}").is_err() && read(b"").is_err());
    }
}
