// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A service as Consul tells of it, and whether that is what it is to be.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use crate::health::Status;
use crate::service::{CONFLICT, Registration, check_id, maintenance_id};

/// One service with its checks: what the agent answers to `/v1/agent/health/service/id/<id>`, and
/// one of what the catalog answers to `/v1/health/service/<name>`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Found {
    /// Told by the catalog only.
    #[serde(default)]
    pub node: Option<Node>,
    pub service: Service,
    /// Its own, and those of the node.
    #[serde(default, deserialize_with = "null_is_default")]
    pub checks: Vec<FoundCheck>,
}

/// The node of a service.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Node {
    pub node: String,
    #[serde(default)]
    pub address: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Service {
    #[serde(rename = "ID")]
    pub id: String,
    #[serde(rename = "Service")]
    pub name: String,
    #[serde(default, deserialize_with = "null_is_default")]
    pub tags: Vec<String>,
    #[serde(default, deserialize_with = "null_is_default")]
    pub meta: BTreeMap<String, String>,
    #[serde(default)]
    pub port: i64,
    #[serde(default)]
    pub address: String,
    #[serde(default)]
    pub weights: Option<FoundWeights>,
    #[serde(default)]
    pub enable_tag_override: bool,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct FoundWeights {
    pub passing: i64,
    pub warning: i64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct FoundCheck {
    #[serde(rename = "CheckID")]
    pub id: String,
    pub status: String,
    #[serde(default)]
    pub notes: String,
    #[serde(default)]
    pub output: String,
    #[serde(rename = "ServiceID", default)]
    pub service_id: String,
}

fn null_is_default<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: Deserializer<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Whether a service's checks show it to be alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alive {
    /// A check of its own says so.
    Yes,
    /// A check of its own, or its node's, is critical.
    No,
    /// It has no check of its own.
    Untold,
}

impl Found {
    /// Where calls to it are sent.
    pub(crate) fn endpoint(&self) -> (String, u16) {
        let address = match (&self.service.address, &self.node) {
            (address, Some(node)) if address.is_empty() => &node.address,
            (address, _) => address,
        };
        (address.clone(), u16::try_from(self.service.port).unwrap_or_default())
    }

    /// The check that a module of ours gave it.
    pub(crate) fn check(&self) -> Option<&FoundCheck> {
        let id = check_id(&self.service.id);
        self.checks.iter().find(|check| check.id == id)
    }

    /// Why it is in maintenance, if it is.
    pub(crate) fn maintenance(&self) -> Option<&str> {
        let check = self.checks.iter().find(|check| self.is_maintenance(check));
        check.map(|check| check.notes.as_str())
    }

    fn is_maintenance(&self, check: &FoundCheck) -> bool {
        check.id == maintenance_id(&self.service.id)
    }

    /// Whether it says of itself that another has its id.
    pub(crate) fn is_marked(&self) -> bool {
        self.service.meta.contains_key(CONFLICT)
    }

    /// Maintenance is no sign of death.
    pub(crate) fn alive(&self) -> Alive {
        let own = |check: &&FoundCheck| {
            check.service_id == self.service.id && !self.is_maintenance(check)
        };
        let is_critical = |check: &FoundCheck| check.status == Status::Critical.word();
        let node = self.checks.iter().find(|check| check.id == "serfHealth");
        if node.is_some_and(is_critical) || self.checks.iter().filter(own).any(is_critical) {
            Alive::No
        } else if self.checks.iter().any(|check| own(&check)) {
            Alive::Yes
        } else {
            Alive::Untold
        }
    }

    /// Whether the agent has the service as it is to be. Of the check it tells no more than that it
    /// is there, and its notes.
    pub(crate) fn is(&self, wanted: &Registration) -> bool {
        let service = &self.service;
        let weights = service.weights.is_none_or(|weights| {
            weights.passing == i64::from(wanted.weights.passing)
                && weights.warning == i64::from(wanted.weights.warning)
        });
        service.id == wanted.id
            && service.name == wanted.name
            && service.address == wanted.address
            && service.port == i64::from(wanted.port)
            && service.tags == wanted.tags
            && service.meta == wanted.meta
            && !service.enable_tag_override
            && weights
            && match (&wanted.check, self.check()) {
                (Some(wanted), Some(found)) => found.notes == wanted.notes(),
                (None, None) => true,
                (Some(_), None) | (None, Some(_)) => false,
            }
    }
}

impl FoundCheck {
    /// Its status, if it is one of the three.
    pub(crate) fn status(&self) -> Option<Status> {
        Status::ALL.into_iter().find(|status| status.word() == self.status)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::config::Settings;
    use crate::service::tests::registration;

    /// What Consul 1.8 tells of a registration.
    pub(crate) fn told(service: &Registration, status: Status, maintenance: Option<&str>) -> Value {
        let check = |id: String, status: &str, notes: &str| {
            json!({
                "Node": "n1", "CheckID": id, "Name": "n", "Status": status, "Notes": notes,
                "Output": "", "ServiceID": service.id, "ServiceName": service.name,
                "ServiceTags": null, "Type": "", "Definition": { "Interval": "0s" },
            })
        };
        let mut checks = vec![json!({
            "CheckID": "serfHealth", "Status": "passing", "Notes": "", "Output": "",
            "ServiceID": "",
        })];
        if let Some(reason) = maintenance {
            let id = format!("_service_maintenance:{}", service.id);
            checks.push(check(id, "critical", reason));
        }
        if let Some(own) = &service.check {
            checks.push(check(service.check_id(), status.word(), &own.notes()));
        }
        let tags = if service.tags.is_empty() { Value::Null } else { json!(service.tags) };
        json!({
            "AggregatedStatus": "maintenance",
            "Service": {
                "ID": service.id, "Service": service.name, "Tags": tags, "Meta": service.meta,
                "Port": service.port, "Address": service.address, "TaggedAddresses": {},
                "Weights": {
                    "Passing": service.weights.passing, "Warning": service.weights.warning,
                },
                "EnableTagOverride": false,
            },
            "Checks": checks,
        })
    }

    pub(crate) fn found(
        service: &Registration,
        status: Status,
        maintenance: Option<&str>,
    ) -> Found {
        serde_json::from_value(told(service, status, maintenance)).unwrap()
    }

    fn service() -> Registration {
        registration(&Settings::default(), "10.0.0.1")
    }

    #[test]
    fn what_was_registered_is_known_again() {
        let service = service();
        let found = found(&service, Status::Warning, None);
        assert!(found.is(&service));
        assert_eq!(found.check().unwrap().status(), Some(Status::Warning));
        assert_eq!(found.maintenance(), None);
        assert_eq!(found.endpoint(), service.endpoint());
    }

    #[test]
    fn every_difference_is_seen() {
        let wanted = service();
        let changes: [(&str, Value); 8] = [
            ("/Service/Service", json!("other")),
            ("/Service/Address", json!("10.0.0.2")),
            ("/Service/Port", json!(5061)),
            ("/Service/Tags", json!(["asterisk", "more"])),
            ("/Service/Meta/version", json!("16")),
            ("/Service/Weights/Warning", json!(2)),
            ("/Service/EnableTagOverride", json!(true)),
            ("/Checks/1/Notes", json!("by hand")),
        ];
        for (pointer, value) in changes {
            let mut told = told(&wanted, Status::Passing, None);
            *told.pointer_mut(pointer).unwrap() = value;
            let found: Found = serde_json::from_value(told).unwrap();
            assert!(!found.is(&wanted), "{pointer}");
        }
        let without = Registration { check: None, ..wanted.clone() };
        assert!(!found(&without, Status::Passing, None).is(&wanted));
        assert!(!found(&wanted, Status::Passing, None).is(&without));
        assert!(found(&without, Status::Passing, None).is(&without));
    }

    #[test]
    fn maintenance_has_its_reason_and_is_no_death() {
        let found = found(&service(), Status::Passing, Some("new disk"));
        assert_eq!(found.maintenance(), Some("new disk"));
        assert_eq!(found.alive(), Alive::Yes);
    }

    #[test]
    fn a_service_is_as_alive_as_its_check_and_its_node() {
        let service = service();
        assert_eq!(found(&service, Status::Warning, None).alive(), Alive::Yes);
        assert_eq!(found(&service, Status::Critical, None).alive(), Alive::No);
        let without = Registration { check: None, ..service.clone() };
        assert_eq!(found(&without, Status::Critical, Some("x")).alive(), Alive::Untold);
        let mut lost = told(&service, Status::Passing, None);
        lost["Checks"][0]["Status"] = json!("critical");
        let lost: Found = serde_json::from_value(lost).unwrap();
        assert_eq!(lost.alive(), Alive::No);
    }

    #[test]
    fn nulls_and_missing_fields_are_no_fault() {
        let found: Found = serde_json::from_value(json!({
            "Node": { "Node": "n2", "Address": "10.9.9.9" },
            "Service": { "ID": "a", "Service": "b", "Tags": null, "Meta": null },
            "Checks": null,
        }))
        .unwrap();
        assert_eq!(found.endpoint(), ("10.9.9.9".to_owned(), 0));
        assert_eq!(found.alive(), Alive::Untold);
        assert!(serde_json::from_value::<Found>(json!({ "Service": null })).is_err());
        assert!(serde_json::from_value::<Found>(json!([])).is_err());
    }
}
