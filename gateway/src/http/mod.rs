// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What clients meet: connections, requests, health, metrics, the status page.

mod identity;
mod metrics;
mod page;
mod serve;
mod service;

pub(crate) use identity::uuid;
pub(crate) use metrics::Metrics;
pub(crate) use serve::{Rest, serve};
pub(crate) use service::Service;
