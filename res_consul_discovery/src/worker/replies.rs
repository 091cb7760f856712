// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Commands: what they change, and what is said of them.

use std::time::Instant;

use asterisk::host;

use super::Worker;
use crate::desk::{Reply, Ticket, Wish};
use crate::drain::Drain;
use crate::report::remaining;

impl Worker {
    /// Notes a command, to be carried out and answered by what follows.
    pub(super) fn accept(&mut self, ticket: Ticket, wish: Wish) {
        if let Err(reason) = self.note(&wish) {
            self.desk.reply(ticket, Reply::Refused(reason));
            return;
        }
        self.open.push((ticket, wish));
        self.due = Instant::now();
    }

    fn note(&mut self, wish: &Wish) -> Result<(), String> {
        if !self.wanted.settings.enabled {
            return Err("the node is not in Consul: enabled = no in consul.conf".to_owned());
        }
        let now = Instant::now();
        match (wish, self.drain) {
            (Wish::Maintenance(reason), _) => {
                self.keeper.maintenance_mut().set_operator(reason.clone());
                // Also if Consul is away, and Asterisk ends before it is back.
                self.remember();
            }
            (Wish::Drain { .. } | Wish::Undrain, Drain::Stopping) => {
                return Err("Asterisk is being stopped".to_owned());
            }
            (Wish::Drain { stop }, drain) => self.set_drain(drain.with_stop(*stop), now),
            (Wish::Undrain, Drain::Off) => return Err("the node is not being drained".to_owned()),
            (Wish::Undrain, _) => self.set_drain(Drain::Off, now),
        }
        Ok(())
    }

    /// Answers what Consul has been asked for.
    pub(super) fn answer(&mut self) {
        for (ticket, wish) in std::mem::take(&mut self.open) {
            self.desk.reply(ticket, self.reply(&wish));
        }
    }

    fn reply(&self, wish: &Wish) -> Reply {
        if let Some(failure) = &self.failure {
            return Reply::Later(failure.to_string());
        }
        let Some((registered, _)) = self.keeper.registered() else {
            return self.reply_unregistered(wish);
        };
        let (id, maintenance) = (&registered.id, self.keeper.maintenance());
        let by = maintenance.by();
        Reply::Done(match wish {
            Wish::Maintenance(Some(_)) => format!("'{id}' is in maintenance"),
            Wish::Drain { stop } => {
                let end = if *stop { ", and then Asterisk is stopped" } else { "" };
                let channels = remaining(host::active_channels());
                format!("'{id}' is in maintenance until it is drained: {channels}{end}")
            }
            Wish::Maintenance(None) | Wish::Undrain if by.is_empty() => {
                format!("'{id}' is out of maintenance")
            }
            Wish::Maintenance(None) | Wish::Undrain => {
                format!("'{id}' stays in maintenance, by {}", by.join(" and "))
            }
        })
    }

    fn reply_unregistered(&self, wish: &Wish) -> Reply {
        match (wish, &self.no_address) {
            (Wish::Drain { .. }, _) if !self.drain.lets_register() => {
                Reply::Done("the node is drained, and not in Consul".to_owned())
            }
            (Wish::Maintenance(None), _) => Reply::Done("the node is not in Consul".to_owned()),
            (_, Some(reason)) => Reply::Later(format!("the node is not in Consul: {reason}")),
            (_, None) => Reply::Later("the node is drained, and not in Consul".to_owned()),
        }
    }
}
