// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! HTTP to Consul, on ureq with connections of ours.
//!
//! ureq's own connector can be interrupted neither in a look-up nor in a connect, starts threads
//! that nobody joins, and takes proxies from the environment. So names, sockets and TLS are made
//! here, and ureq speaks HTTP on them.

mod cutter;
mod dial;
mod fault;
mod path;
mod request;
mod resolve;
mod setup;
mod stream;
mod wire;

pub(crate) use cutter::{Cutter, Turn};
pub(crate) use fault::Fault;
pub(crate) use path::{can_carry, check, encoded_path, is_of_agent, named};
pub(crate) use request::{Method, Reply, Request};
pub(crate) use resolve::Resolver;
pub(crate) use setup::Setup;
pub(crate) use wire::Wire;

#[cfg(test)]
mod tests;
