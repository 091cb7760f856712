// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The integration suite: real Asterisk, real RabbitMQ, real calls. One module a theme.

/// Makes of each scenario, a function of an Asterisk's version, one test for each version.
macro_rules! on_each_version {
    ($($scenario:ident),+ $(,)?) => {
        mod v22 {
            $(#[test] fn $scenario() { super::$scenario(rig::Version::V22); })+
        }
        mod v16 {
            $(#[test] fn $scenario() { super::$scenario(rig::Version::V16); })+
        }
    };
}

mod applications;
mod boundary;
mod broker;
mod burst;
mod c_api;
mod clients;
mod commands;
mod configuration;
mod contract;
mod documentation;
mod events;
mod exchanges;
mod filtering;
mod gate;
mod life;
mod manager_events;
mod outage;
mod overflow;
mod pair;
mod reload;
mod rig_itself;
mod stop;
mod tls;
mod traffic;
mod unloading;
