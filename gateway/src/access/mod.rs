// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Who may do what.

mod audit;
mod credentials;
mod hash;
mod rights;
mod users;

pub(crate) use audit::{Audited, audit};
pub(crate) use credentials::Credentials;
pub(crate) use hash::{hash_password, new_token};
#[cfg(test)]
pub(crate) use rights::tests::{anybody, limited_to};
pub(crate) use rights::{Named, Verdict, judge};
pub(crate) use users::{Person, Users};
