// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Stasis applications whose events are published, by the C functions of
//! `include/asterisk/stasis_amqp.h`, for modules that require `res_stasis_amqp`.
//!
//! None waits for the network. No lock may be held that the handler of an application takes.

use std::ffi::c_int;

use crate::export::Answer;
use crate::sys;
use crate::text::c_string;

/// How an application stands; the same as `enum ast_stasis_amqp_app`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is there, created by `res_stasis_amqp`, and its events are published.
    Ours,
    /// Another ARI client has an application of that name.
    Held,
    /// There is no application of that name.
    Absent,
    /// The configuration says to publish nothing, so none is created.
    Off,
    /// It cannot be told or created: no name, no memory, or the module is being unloaded.
    Failed,
}

impl Answer for Standing {
    const FAILED: c_int = sys::AST_STASIS_AMQP_APP_FAILED as c_int;

    fn code(self) -> c_int {
        let code = match self {
            Self::Ours => sys::AST_STASIS_AMQP_APP_OURS,
            Self::Held => sys::AST_STASIS_AMQP_APP_HELD,
            Self::Absent => sys::AST_STASIS_AMQP_APP_ABSENT,
            Self::Off => sys::AST_STASIS_AMQP_APP_OFF,
            Self::Failed => sys::AST_STASIS_AMQP_APP_FAILED,
        };
        code as c_int
    }
}

fn standing_of(code: sys::ast_stasis_amqp_app) -> Standing {
    match code {
        sys::AST_STASIS_AMQP_APP_OURS => Standing::Ours,
        sys::AST_STASIS_AMQP_APP_HELD => Standing::Held,
        sys::AST_STASIS_AMQP_APP_ABSENT => Standing::Absent,
        sys::AST_STASIS_AMQP_APP_OFF => Standing::Off,
        _ => Standing::Failed,
    }
}

/// Creates the application `name`, unless it is there already. [`Standing::Ours`], or why not.
#[must_use]
pub fn create(name: &str) -> Standing {
    let name = c_string(name);
    // SAFETY: a NUL-terminated name that outlives the call.
    standing_of(unsafe { sys::ast_stasis_amqp_app_create(name.as_ptr()) })
}

/// How the application `name` stands. Another ARI client may take over any application.
#[must_use]
pub fn standing(name: &str) -> Standing {
    let name = c_string(name);
    // SAFETY: a NUL-terminated name that outlives the call.
    standing_of(unsafe { sys::ast_stasis_amqp_app_state(name.as_ptr()) })
}

/// Ends the application `name`, and returns when no event of it is being handled any more. `false`
/// where there is none, or another client has taken it over.
pub fn end(name: &str) -> bool {
    let name = c_string(name);
    // SAFETY: a NUL-terminated name that outlives the call.
    unsafe { sys::ast_unsubscribe_from_stasis(name.as_ptr()) == 0 }
}
