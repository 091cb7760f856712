// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What the operator is to hear: lines of the log, and AMI events.

use asterisk::log::Level;

use crate::agent::Failure;
use crate::duplicate::Holder;
use crate::found::Found;
use crate::health::{Health, Status};
use crate::maintenance::Change;
use crate::plan::Why;
use crate::service::Registration;

/// Something to be heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Note {
    Log(Level, String),
    /// An AMI event and its fields.
    Event(&'static str, Vec<(&'static str, String)>),
}

#[derive(Debug, Default)]
pub(super) struct Notes(Vec<Note>);

impl Notes {
    pub(super) fn take(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.0)
    }

    fn log(&mut self, level: Level, text: String) {
        self.0.push(Note::Log(level, text));
    }

    fn event(&mut self, name: &'static str, fields: Vec<(&'static str, String)>) {
        self.0.push(Note::Event(name, fields));
    }

    pub(super) fn registered(&mut self, service: &Registration, why: Why) {
        let Registration { id, name, address, port, .. } = service;
        let why = match why {
            Why::Start => "registered",
            Why::Missing => "it was gone from Consul, and is registered again",
            Why::Changed => "its registration is changed",
            Why::Altered => "it was altered in Consul, and is registered again",
            Why::CheckLost => "its check was gone from Consul, and is registered again",
            Why::Login => "registered again, for another token applies",
        };
        let text = format!("service '{name}', id '{id}', {address} port {port}: {why}");
        self.log(Level::Notice, text);
        self.event("DiscoveryRegister", service_fields(id, name, address, *port));
    }

    pub(super) fn deregistered(&mut self, found: &Found) {
        let (id, name) = (&found.service.id, &found.service.name);
        let (address, port) = found.endpoint();
        self.log(Level::Notice, format!("service '{name}', id '{id}': deregistered"));
        self.event("DiscoveryDeregister", service_fields(id, name, &address, port));
    }

    pub(super) fn maintained(&mut self, id: &str, change: &Change) {
        match change {
            Change::On(reason) => {
                self.log(Level::Notice, format!("'{id}' is in maintenance: {reason}"));
                self.maintenance_event(id, Some(reason));
            }
            Change::Off => {
                self.log(Level::Notice, format!("'{id}' is out of maintenance"));
                self.maintenance_event(id, None);
            }
        }
    }

    pub(super) fn maintenance_set(&mut self, id: &str, reason: &str) {
        let text = format!(
            "'{id}' was put into maintenance in Consul: {reason}; it is kept until an operator \
             takes it back"
        );
        self.log(Level::Notice, text);
        self.maintenance_event(id, Some(reason));
    }

    pub(super) fn maintenance_lifted(&mut self, id: &str, drain: bool) {
        let end = if drain { ", which ends the drain" } else { "" };
        self.log(Level::Notice, format!("'{id}' was taken out of maintenance in Consul{end}"));
        self.maintenance_event(id, None);
    }

    pub(super) fn maintenance_not_owned(&mut self, id: &str, failure: &Failure) {
        let text = format!(
            "the maintenance of '{id}' is lifted as it was set: {failure}; if that was with a token \
             that is revoked by now, Consul's catalog keeps it"
        );
        self.log(Level::Warning, text);
    }

    fn maintenance_event(&mut self, id: &str, reason: Option<&str>) {
        let fields = vec![
            ("ServiceID", id.to_owned()),
            ("Enable", reason.is_some().to_string()),
            ("Reason", reason.unwrap_or_default().to_owned()),
        ];
        self.event("DiscoverySetMaintenance", fields);
    }

    /// Once for each change of what is wrong. That Asterisk is starting is nothing wrong.
    pub(super) fn told(&mut self, before: Option<&Health>, now: &Health) {
        if before.is_some_and(|before| !now.is_news_after(before)) {
            return;
        }
        let (status, output) = (now.status(), now.output());
        match (before.map(Health::status), status) {
            (None, _) if status == Status::Passing || now.is_starting() => {}
            (_, Status::Passing) => self.log(Level::Notice, format!("health passing: {output}")),
            _ => self.log(Level::Warning, format!("health {}: {output}", status.word())),
        }
    }

    pub(super) fn claim(&mut self, id: &str, registered: &str, holder: Option<&Holder>) {
        let Some(holder) = holder else {
            self.log(Level::Notice, format!("the id '{id}' is this node's alone now"));
            return;
        };
        let what = if id == registered {
            "this node is registered with a warning meanwhile".to_owned()
        } else {
            format!("this node is registered as '{registered}' meanwhile")
        };
        let text = format!(
            "duplicate identity: '{id}' is also at {holder}; give each node its own, by entityid \
             in asterisk.conf or id in consul.conf; {what}"
        );
        self.log(Level::Error, text);
    }

    pub(super) fn not_served(&mut self, url: &str) {
        let text = format!(
            "{url} is answered with 404, so the check is critical: this Asterisk serves \
             /httpstatus only with enable_status=yes in http.conf"
        );
        self.log(Level::Warning, text);
    }
}

fn service_fields(id: &str, name: &str, address: &str, port: u16) -> Vec<(&'static str, String)> {
    vec![
        ("ServiceID", id.to_owned()),
        ("ServiceName", name.to_owned()),
        ("Address", address.to_owned()),
        ("Port", port.to_string()),
    ]
}
