// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The gateway: one ARI address in front of a fleet of Asterisk servers.
#![forbid(unsafe_code)]

mod access;
mod ari;
mod config;
mod fleet;
mod index;
mod net;
mod node;

fn main() {}
