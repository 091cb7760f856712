// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Carries requests out: questions, merged lists, one node's answer passed on.

mod anew;
mod ask;
mod belongs;
mod carry;
mod desk;
mod docs;
mod gateway;
#[cfg(test)]
mod hostile;
mod many;
mod merge;
mod missed;
mod one;
mod place;
mod read;
mod refresh;
mod reply;
mod round;
mod send;
mod span;
mod spread;
mod stamp;
mod task;
#[cfg(test)]
mod tests;

pub(crate) use gateway::Gateway;
pub(crate) use merge::{Answer, Entry};
pub(crate) use missed::failed;
pub(crate) use refresh::refresh;
pub(crate) use reply::{Body, NODE, Reply, empty, failure, json, text};
pub(crate) use task::{Draft, Task, Unread};
