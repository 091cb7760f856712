// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! ARI as it is known: its operations, and where each request goes. Nothing here waits for anything.

mod catalogue;
mod lists;
mod operation;
mod params;
mod path;
mod plan;
mod route;
#[cfg(test)]
mod tests;
mod text;

pub(crate) use catalogue::{Found, find};
pub(crate) use operation::{Does, Merge, Operation};
pub(crate) use params::{BodyKind, Params};
pub(crate) use path::Path;
pub(crate) use plan::{Made, Plan, Refusal};
pub(crate) use route::{Answers, Known, Request, Whereabouts, route};
pub(crate) use text::encode;
