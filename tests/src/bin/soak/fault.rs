// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Faults, one after the other.

use std::thread::sleep;
use std::time::Duration;

use rig::seconds;

use crate::servers::Servers;

/// How long what has ended or stands still does.
const LASTS: Duration = seconds(8);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The broker is stopped and started.
    BrokerRestart,
    /// Consul is killed and started.
    ConsulKilled,
    /// The broker closes the connection.
    Cut,
    /// The broker is killed and started.
    BrokerKilled,
    /// The broker stands still, for longer than two heartbeats.
    BrokerFrozen,
    /// Consul is stopped and started.
    ConsulRestart,
    /// The broker has no memory left.
    MemoryAlarm,
    /// Consul stands still.
    ConsulFrozen,
    /// The modules read their configuration anew.
    Reload,
}

impl Fault {
    pub(crate) const ALL: [Self; 9] = [
        Self::BrokerRestart,
        Self::ConsulKilled,
        Self::Cut,
        Self::BrokerKilled,
        Self::BrokerFrozen,
        Self::ConsulRestart,
        Self::MemoryAlarm,
        Self::ConsulFrozen,
        Self::Reload,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::BrokerRestart => "broker restarted",
            Self::ConsulKilled => "Consul kill -9",
            Self::Cut => "connection closed",
            Self::BrokerKilled => "broker kill -9",
            Self::BrokerFrozen => "broker frozen",
            Self::ConsulRestart => "Consul restarted",
            Self::MemoryAlarm => "memory alarm",
            Self::ConsulFrozen => "Consul frozen",
            Self::Reload => "modules reloaded",
        }
    }

    /// Begins, lasts, and ends; when it returns, there is nothing in the way of recovery.
    pub(crate) fn happen(self, servers: &Servers<'_>) {
        let Servers { asterisk, consul, broker, tenant, .. } = servers;
        match self {
            Self::BrokerRestart => {
                broker.stop();
                sleep(LASTS);
                broker.start();
            }
            Self::BrokerKilled => {
                broker.kill();
                sleep(LASTS);
                broker.start();
            }
            Self::BrokerFrozen => {
                broker.freeze();
                sleep(2 * LASTS);
                broker.thaw();
            }
            Self::Cut => tenant.close_connections(),
            Self::MemoryAlarm => {
                broker.memory_alarm(true);
                sleep(LASTS);
                broker.memory_alarm(false);
            }
            Self::ConsulRestart => {
                consul.stop();
                sleep(LASTS);
                consul.start_again();
            }
            Self::ConsulKilled => {
                consul.kill();
                sleep(LASTS);
                consul.start_again();
            }
            Self::ConsulFrozen => {
                consul.freeze();
                sleep(2 * LASTS);
                consul.thaw();
            }
            Self::Reload => {
                for module in ["res_stasis_amqp", "res_consul", "res_consul_discovery"] {
                    let answer = asterisk.cli(&format!("module reload {module}.so"));
                    assert!(answer.contains("reloaded successfully"), "{module}: {answer}");
                }
            }
        }
    }
}
