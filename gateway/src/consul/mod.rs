// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Consul's agent, asked over HTTP.

mod agent;
// The rules are Consul's, whoever asks.
#[path = "../../../res_consul/src/watch/cursor.rs"]
mod cursor;
mod path;
mod retry;

pub(crate) use agent::{Agent, Answer, Fault, Question};
pub(crate) use cursor::Cursor;
pub(crate) use path::encoded;
pub(crate) use retry::Retry;
