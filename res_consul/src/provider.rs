// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! This module to those that call `include/asterisk/consul.h`.

use asterisk::consul::provide::{Changed, KeyWatches, Provider, Service, Status};

use crate::connection::Kind;
use crate::line::Client;
use crate::watch::Watch;
use crate::{Consul, MODULE, kv, service};

asterisk::provide_consul!(Consul, || MODULE.current());

type Result<T> = std::result::Result<T, String>;

impl Provider for Consul {
    type Client = Client;
    type Watch = Watch;

    fn shared_client(&self) -> &Client {
        &self.shared
    }

    fn new_client(&self, name: &str) -> Result<Client> {
        self.connection.check_not_ending()?;
        Ok(Client::new(&self.connection, name))
    }

    fn watch(&self, prefix: &str, changed: Changed) -> Result<Watch> {
        self.connection.check_not_ending()?;
        Watch::new(&self.connection, prefix, changed)
    }

    fn key_watches(&self) -> &KeyWatches<Watch> {
        &self.key_watches
    }

    fn register(&self, service: &Service) -> Result<()> {
        service::register(&self.shared, service)
    }

    fn deregister(&self, id: &str) -> Result<()> {
        service::deregister(&self.shared, id)
    }

    fn set_maintenance(&self, id: &str, enable: bool, reason: &str) -> Result<()> {
        service::set_maintenance(&self.shared, id, enable, reason)
    }

    fn kv_get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        kv::get(&self.shared, key)
    }

    fn kv_put(&self, key: &str, value: &[u8]) -> Result<()> {
        kv::put(&self.shared, key, value)
    }

    fn kv_delete(&self, key: &str) -> Result<()> {
        kv::delete(&self.shared, key)
    }

    fn kv_delete_tree(&self, prefix: &str) -> Result<()> {
        kv::delete_tree(&self.shared, prefix)
    }

    fn status(&self) -> Status {
        let report = self.connection.report();
        let kinds = self.connection.kinds();
        Status {
            state: report.state,
            last_answer: report.last_answer,
            last_failure: report.last_failure,
            requests: report.counters.requests,
            failures: report.counters.failures,
            logins: report.counters.logins,
            watches: kinds.iter().filter(|kind| matches!(kind, Kind::Watch(_))).count(),
        }
    }
}
