// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Section `bridges`: those that span nodes.

use std::time::Duration;

use super::{Faults, Section};

const SECOND: Duration = Duration::from_secs(1);

/// How a bridge spans nodes.
#[derive(Debug, Clone)]
pub(crate) struct Bridges {
    /// Whether it may.
    pub span: bool,
    /// The PJSIP endpoint that all nodes have for calls among themselves.
    pub trunk_endpoint: String,
    /// The longest wait for such a call.
    pub trunk_timeout: Duration,
}

impl Bridges {
    pub(super) fn read(mut section: Section<'_>, faults: &mut Faults) -> Self {
        let endpoint = section.text("trunk_endpoint", faults);
        let endpoint = endpoint.unwrap_or_else(|| "gateway-trunk".to_owned());
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if !endpoint.bytes().all(is_name) {
            let what = format!("{endpoint:?} is no endpoint: letters, digits, \"-\", \"_\", \".\"");
            section.fault("trunk_endpoint", what, faults);
        }
        let bridges = Self {
            span: section.yes("span", true, faults),
            trunk_endpoint: endpoint,
            trunk_timeout: section.duration(
                "trunk_timeout",
                5 * SECOND,
                SECOND..=60 * SECOND,
                faults,
            ),
        };
        section.finish(faults);
        bridges
    }
}
