// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What `discovery show status` is told.

use super::Worker;
use crate::agent::Failure;
use crate::config::CheckWay;
use crate::desk::Wanted;
use crate::health::{Facts, Health};
use crate::report::{Report, Standing};

impl Worker {
    /// Has others see how it goes.
    pub(super) fn publish(&self) {
        let registered = self.keeper.registered();
        let shown = registered.map(|(registered, _)| registered).or(self.registration.as_ref());
        let Wanted { settings, identity, .. } = &self.wanted;
        let standing = match (&self.no_address, registered) {
            _ if !settings.enabled => Standing::Off,
            _ if !self.drain.lets_register() && self.keeper.is_gone() => Standing::Drained,
            (_, Some((_, since))) => Standing::Registered(*since),
            (Some(reason), None) => Standing::NoAddress(reason.to_string()),
            (None, None) if self.failure.is_some() => Standing::Failing,
            (None, None) => Standing::Beginning,
        };
        let facts = Facts { duplicate: self.keeper.duplicate(), ..self.facts.clone() };
        let health = Health::judge(&facts);
        let check = settings.check.as_ref();
        let maintenance = self.keeper.maintenance();
        self.desk.publish(Report {
            id: shown.map_or_else(|| identity.id.clone(), |shown| shown.id.clone()),
            name: shown.map_or_else(|| identity.name.clone(), |shown| shown.name.clone()),
            address: shown.map_or_else(
                || "none yet".to_owned(),
                |shown| format!("{} port {}", shown.address, shown.port),
            ),
            standing,
            check: check.map(|check| match check.way {
                CheckWay::Ttl => "ttl",
                CheckWay::Http { .. } => "http",
            }),
            health: self.sensed.map(|_| (health.status(), health.output())),
            maintenance: maintenance.wanted().map(str::to_owned),
            maintenance_by: maintenance.by(),
            maintenance_is_on: maintenance.is_on(),
            drain: self.drain,
            duplicate: self.keeper.duplicate(),
            failure: self.failure.as_ref().map(Failure::to_string),
        });
    }
}
