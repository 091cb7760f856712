// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Connections: TCP and TLS, and HTTP/1.1 as a client over them.

mod dial;
mod stopping;
mod tls;

pub(crate) use dial::{Dialer, Sender, Wire};
pub(crate) use stopping::stopped;
pub(crate) use tls::server_config;

#[cfg(test)]
pub(crate) mod scripted;
