// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The integration suite: real Asterisk, real RabbitMQ, real calls. One module a theme.

/// Makes of each scenario, a function of an Asterisk's version, one test for each version. Those
/// in `[alone: …]` have the machine for themselves.
macro_rules! on_each_version {
    ($($beside:ident),* $(,)? $([alone: $($alone:ident),+])?) => {
        mod v22 {
            $(#[test] fn $beside() {
                crate::turns::beside_others(|| super::$beside(rig::Version::V22));
            })*
            $($(#[test] fn $alone() {
                crate::turns::alone(|| super::$alone(rig::Version::V22));
            })+)?
        }
        mod v16 {
            $(#[test] fn $beside() {
                crate::turns::beside_others(|| super::$beside(rig::Version::V16));
            })*
            $($(#[test] fn $alone() {
                crate::turns::alone(|| super::$alone(rig::Version::V16));
            })+)?
        }
    };
}

mod applications;
mod apps;
mod apps_copies;
mod askers;
mod boundary;
mod broker;
mod burst;
mod c_api;
mod clients;
mod commands;
mod configuration;
mod consul_access;
mod consul_c_api;
mod consul_configuration;
mod consul_connection;
mod consul_faults;
mod consul_hostile;
mod consul_keys;
mod consul_orders;
mod consul_outage;
mod consul_queries;
mod consul_stop;
mod consul_tls;
mod containers;
mod contract;
mod demonstration;
mod deployed;
mod discovery;
mod discovery_health;
mod documentation;
mod duplicates;
mod events;
mod exchanges;
mod fidelity;
mod filtering;
mod fleet;
mod gate;
mod gateway_access;
mod gateway_bridges;
mod gateway_calls;
mod gateway_client;
mod gateway_death;
mod gateway_events;
mod gateway_faults;
mod gateway_fleet;
mod gateway_holding;
mod gateway_hostile;
mod gateway_page;
mod gateway_process;
mod gateway_routing;
mod gateway_share;
mod gateway_stage;
mod gateway_telling;
mod gateway_tls;
mod kamailio;
mod life;
mod maintenance;
mod manager_events;
mod member;
mod memory;
mod outage;
mod overflow;
mod pair;
mod pretended;
mod reload;
mod rig_itself;
mod spool;
mod spool_faults;
mod stasis_apps;
mod stasis_values;
mod stop;
mod system;
mod tls;
mod traffic;
mod turns;
mod unloading;
