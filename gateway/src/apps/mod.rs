// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Applications in Consul: a key makes every node have one (`docs/consul.md`). It is there while
//! any socket of any gateway uses it, and for a grace time after.

mod carry;
mod keep;
mod value;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use carry::carry;
pub(crate) use keep::keep;
use value::{with_all, with_filter};

/// The applications that sockets of this gateway use, and which of them are to be told of all.
pub(crate) type Uses = Arc<BTreeMap<String, bool>>;

/// Below it, `<gateway>/<application>`: held by that gateway's session while it has a socket of it.
const USES: &str = "gateway/uses/";
/// Below it, `<application>`: its key is the gateways', to be removed by them. One without this is
/// an operator's, and is left alone.
const MADE: &str = "gateway/made/";
/// Who makes or removes keys of applications.
const LOCK: &str = "gateway/lock/applications";
/// The longest wait for who does.
const TURN: Duration = Duration::from_secs(2);
