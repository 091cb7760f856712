// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Safe wrappers over the parts of Asterisk's module API that Constellation's modules need.
//!
//! Every `unsafe` of the project is in this crate; the modules forbid it. `SAFETY.md` at the top of
//! the repository has the invariants the blocks here rely on: which thread calls what, who owns
//! which reference, what may block, and how an unload proves that nothing of ours still runs.
//!
//! Two kinds of file live here. `config`, `backoff`, `one_line` and `secret` need no Asterisk and are
//! tested without one. The rest calls the host: a unit test that reaches it does not link.

pub mod ao2;
pub mod ari;
pub mod backoff;
pub mod boundary;
pub mod channel_event;
pub mod cli;
pub mod config;
pub mod consul;
pub mod database;
mod entity;
pub mod export;
pub mod host;
mod inside;
pub mod json;
pub mod log;
pub mod manager;
mod message_type;
pub mod module;
mod one_line;
mod restart;
pub mod secret;
pub mod snapshot;
pub mod socket;
pub mod stasis;
pub mod stasis_amqp;
pub mod stasis_app;
mod sys;
mod text;
pub mod thread;
pub mod time;
#[cfg(feature = "tls")]
pub mod tls;

pub use entity::entity_id;
pub use one_line::on_one_line;
pub use restart::restarting;
