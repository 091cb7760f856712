// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The registration as it is to be: a value, and what Consul is sent for it.

use std::collections::BTreeMap;
use std::time::Duration;

use asterisk::config::value::show_duration;
use serde_json::{Value, json};

use crate::address;
use crate::ari::Ari;
use crate::config::{CheckSettings, CheckWay, Settings, Weights};
use crate::health::Status;
use crate::identity::Identity;

/// The key of the mark that a node with a duplicate identity has; its value is the id.
pub(crate) const CONFLICT: &str = "conflict";

/// A service of Consul's agent, with its check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Registration {
    pub id: String,
    pub name: String,
    pub address: String,
    pub port: u16,
    pub tags: Vec<String>,
    pub meta: BTreeMap<String, String>,
    pub weights: Weights,
    pub check: Option<Check>,
}

/// A check of Consul's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Check {
    pub way: Way,
    /// Between questions, or within which one must be told.
    pub interval: Duration,
    pub deregister_after: Option<Duration>,
}

/// Who asks whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Way {
    /// We tell Consul.
    Ttl,
    /// Consul asks.
    Http { url: String, timeout: Duration },
}

/// What of this node is told beside the settings.
#[derive(Debug, Clone)]
pub(crate) struct About<'a> {
    pub entity_id: &'a str,
    pub version: &'a str,
    pub ari: &'a Ari,
}

impl Registration {
    /// The node as `settings` want it, at `address`.
    pub(crate) fn new(
        settings: &Settings,
        identity: &Identity,
        address: &str,
        about: &About<'_>,
    ) -> Self {
        let mut meta = settings.meta.clone();
        for (key, value) in
            [("ari_port", about.ari.port.to_string()), ("ari_scheme", about.ari.scheme.to_owned())]
        {
            meta.entry(key.to_owned()).or_insert(value);
        }
        for (key, value) in [("eid", about.entity_id), ("version", about.version)] {
            meta.insert(key.to_owned(), value.to_owned());
        }
        let check = settings.check.as_ref();
        Self {
            id: identity.id.clone(),
            name: identity.name.clone(),
            address: address.to_owned(),
            port: settings.port,
            tags: settings.tags.clone(),
            meta,
            weights: settings.weights,
            check: check.map(|check| Check::new(check, address, &about.ari.prefix)),
        }
    }

    /// The same, marked as one whose id another node has too.
    pub(crate) fn marked(&self) -> Self {
        let mut marked = self.clone();
        marked.meta.insert(CONFLICT.to_owned(), self.id.clone());
        marked
    }

    /// The same, marked and under an id that no other has.
    pub(crate) fn aside(&self) -> Self {
        Self { id: self.aside_id(), ..self.marked() }
    }

    /// The id it has when another service of the same agent has its own.
    pub(crate) fn aside_id(&self) -> String {
        format!("{}@{}:{}", self.id, self.address, self.port)
    }

    /// Where calls are sent.
    pub(crate) fn endpoint(&self) -> (String, u16) {
        (self.address.clone(), self.port)
    }

    /// The id of its check, also when it has none: of one that is to be there no more.
    pub(crate) fn check_id(&self) -> String {
        check_id(&self.id)
    }

    /// The body of `PUT /v1/agent/service/register`. Without a status Consul would take the node
    /// out of service until it is told of one.
    pub(crate) fn to_json(&self, status: Status) -> String {
        let mut body = json!({
            "ID": self.id,
            "Name": self.name,
            "Address": self.address,
            "Port": self.port,
            "Tags": self.tags,
            "Meta": self.meta,
            "Weights": { "Passing": self.weights.passing, "Warning": self.weights.warning },
            "EnableTagOverride": false,
        });
        if let (Some(check), Some(body)) = (&self.check, body.as_object_mut()) {
            body.insert("Check".to_owned(), check.to_json(&self.check_id(), status));
        }
        body.to_string()
    }
}

/// The id of a service's check.
pub(crate) fn check_id(service: &str) -> String {
    format!("service:{service}")
}

/// The id of the check that Consul makes of a service's maintenance.
pub(crate) fn maintenance_id(service: &str) -> String {
    format!("_service_maintenance:{service}")
}

impl Check {
    fn new(settings: &CheckSettings, address: &str, prefix: &str) -> Self {
        Self {
            way: match settings.way {
                CheckWay::Ttl => Way::Ttl,
                CheckWay::Http { port, timeout } => {
                    let host = address::in_url(address);
                    Way::Http { url: format!("http://{host}:{port}{prefix}/httpstatus"), timeout }
                }
            },
            interval: settings.interval,
            deregister_after: settings.deregister_after,
        }
    }

    /// Whether it is we who tell.
    pub(crate) fn is_told(&self) -> bool {
        self.way == Way::Ttl
    }

    /// Its `Notes`: the agent does not tell what a check is made of, but tells these.
    pub(crate) fn notes(&self) -> String {
        let interval = show_duration(&self.interval);
        match &self.way {
            Way::Ttl => format!("{TOLD}told by Asterisk within every {interval}"),
            Way::Http { url, .. } => format!("http: {url} asked every {interval}"),
        }
    }

    fn to_json(&self, id: &str, status: Status) -> Value {
        let mut fields = vec![
            ("CheckID", id.to_owned()),
            ("Name", "Asterisk".to_owned()),
            ("Notes", self.notes()),
            ("Status", status.word().to_owned()),
        ];
        match &self.way {
            Way::Ttl => fields.push(("TTL", in_consul(self.interval))),
            Way::Http { url, timeout } => fields.extend([
                ("HTTP", url.clone()),
                ("Method", "GET".to_owned()),
                ("Interval", in_consul(self.interval)),
                ("Timeout", in_consul(*timeout)),
            ]),
        }
        let after = self.deregister_after.map(in_consul);
        fields.extend(after.map(|time| ("DeregisterCriticalServiceAfter", time)));
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value.into()));
        Value::Object(fields.collect())
    }
}

/// What the notes of a check that is told begin with.
const TOLD: &str = "ttl: ";

/// Whether the check with these notes is one that is told; none if the notes are not ours.
pub(crate) fn is_told_by_notes(notes: &str) -> Option<bool> {
    if notes.starts_with(TOLD) { Some(true) } else { notes.starts_with("http: ").then_some(false) }
}

/// A duration as Go reads it.
fn in_consul(time: Duration) -> String {
    format!("{}ms", time.as_millis())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn about() -> (Identity, Ari) {
        let identity = Identity { id: "eid".to_owned(), name: "asterisk".to_owned() };
        let ari = Ari { scheme: "http", port: 8088, prefix: String::new(), is_served: true };
        (identity, ari)
    }

    pub(crate) fn registration(settings: &Settings, address: &str) -> Registration {
        let (identity, ari) = about();
        let about = About { entity_id: "eid", version: "22.10.1", ari: &ari };
        Registration::new(settings, &identity, address, &about)
    }

    fn http() -> Settings {
        let timeout = Duration::from_millis(1500);
        Settings {
            check: Some(CheckSettings {
                way: CheckWay::Http { port: 8080, timeout },
                interval: Duration::from_secs(15),
                deregister_after: Some(Duration::from_secs(120)),
            }),
            ..Settings::default()
        }
    }

    #[test]
    fn the_body_of_the_default_is_what_consul_is_to_have() {
        let body = registration(&Settings::default(), "10.0.0.1").to_json(Status::Critical);
        let body: Value = serde_json::from_str(&body).unwrap();
        let wanted = json!({
            "ID": "eid", "Name": "asterisk", "Address": "10.0.0.1", "Port": 5060,
            "Tags": ["asterisk"],
            "Meta": {
                "eid": "eid", "version": "22.10.1", "ari_port": "8088", "ari_scheme": "http",
            },
            "Weights": { "Passing": 1, "Warning": 1 },
            "EnableTagOverride": false,
            "Check": {
                "CheckID": "service:eid", "Name": "Asterisk", "Status": "critical",
                "Notes": "ttl: told by Asterisk within every 15s", "TTL": "15000ms",
            },
        });
        assert_eq!(body, wanted);
    }

    #[test]
    fn a_check_that_consul_makes_has_a_url() {
        let (identity, mut ari) = about();
        ari.prefix = "/pbx".to_owned();
        let about = About { entity_id: "eid", version: "22", ari: &ari };
        let service = Registration::new(&http(), &identity, "2001:db8::1", &about);
        let body: Value = serde_json::from_str(&service.to_json(Status::Passing)).unwrap();
        let check = &body["Check"];
        assert_eq!(check["HTTP"], "http://[2001:db8::1]:8080/pbx/httpstatus");
        assert_eq!(check["Interval"], "15000ms");
        assert_eq!(check["Timeout"], "1500ms");
        assert_eq!(check["DeregisterCriticalServiceAfter"], "120000ms");
        assert_eq!(check["TTL"], Value::Null);
        let notes = service.check.as_ref().unwrap().notes();
        assert_eq!(is_told_by_notes(&notes), Some(false));
    }

    #[test]
    fn without_a_check_there_is_none() {
        let settings = Settings { check: None, ..Settings::default() };
        let body = registration(&settings, "10.0.0.1").to_json(Status::Passing);
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body.get("Check"), None);
    }

    #[test]
    fn the_file_overrides_where_ari_is_and_nothing_else_of_ours() {
        let meta = [("ari_port", "443"), ("ari_scheme", "https"), ("zone", "a")];
        let meta = meta.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let settings = Settings { meta: BTreeMap::from(meta), ..Settings::default() };
        let meta = registration(&settings, "10.0.0.1").meta;
        let meta: Vec<_> = meta.iter().map(|(key, value)| (&**key, &**value)).collect();
        assert_eq!(
            meta,
            [
                ("ari_port", "443"),
                ("ari_scheme", "https"),
                ("eid", "eid"),
                ("version", "22.10.1"),
                ("zone", "a")
            ]
        );
    }

    #[test]
    fn aside_it_has_another_id_and_the_mark() {
        let service = registration(&Settings::default(), "2001:db8::1");
        let aside = service.aside();
        assert_eq!(aside.id, "eid@2001:db8::1:5060");
        assert_eq!(aside.check_id(), "service:eid@2001:db8::1:5060");
        assert_eq!(aside.meta[CONFLICT], "eid");
        assert_eq!(service.marked().id, "eid");
        assert_eq!(service.marked().meta[CONFLICT], "eid");
    }
}
