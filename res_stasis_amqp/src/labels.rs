// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What all events of an application have in common, made once for each application.
//!
//! The host has a thread for each application, and so have its events: what is allocated for an event
//! is allocated where none has been for a while, which costs most of all where applications are many.

use std::ffi::{CStr, CString};
use std::sync::Arc;

use crate::routing;
use crate::short_text::ShortText;

/// Those of one application.
pub(crate) struct Labels {
    name: Arc<str>,
    host_name: CString,
    key: ShortText,
}

impl Labels {
    /// `name` as the host gives it, which has no NUL.
    pub(crate) fn of(name: &str) -> Self {
        Self {
            name: name.into(),
            host_name: CString::new(name).unwrap_or_default(),
            key: routing::application(name).shared(),
        }
    }

    /// The application's name.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The same for the host.
    pub(crate) fn host_name(&self) -> &CStr {
        &self.host_name
    }

    /// The routing key of its events.
    pub(crate) fn key(&self) -> &ShortText {
        &self.key
    }
}
