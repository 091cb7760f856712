// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What Asterisk tells of how it is.

use asterisk::{host, manager, module};

use crate::health::{Amqp, Facts};

/// How this Asterisk is. Asks `res_stasis_amqp` by its AMI action, for the host counts that module
/// as in use meanwhile: one that is not there does not answer.
pub(crate) fn look(version: &str) -> Facts {
    Facts {
        version: version.to_owned(),
        is_booted: module::fully_booted(),
        no_address: None,
        amqp: manager::perform("AMQPStatus").as_deref().and_then(Amqp::from_answer),
        overloaded: host::overloaded_task_processors(),
        duplicate: None,
    }
}
