// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! AMI: events, hooks and actions (`asterisk/manager.h`).

mod action;
mod event;
mod hook;

pub use action::{Action, Actions, Answer, Request, perform};
pub use event::{AmiEvent, ManagerMessages, emit};
pub use hook::Hook;
