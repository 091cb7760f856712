// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The functions of `include/asterisk/stasis_amqp.h`.

use asterisk::stasis_amqp::Standing;

use crate::MODULE;
use crate::apps::CreateError;

asterisk::export_text_functions! {
    ast_subscribe_to_stasis => subscribe;
    ast_unsubscribe_from_stasis => unsubscribe;
    ast_stasis_amqp_app_create => create;
    ast_stasis_amqp_app_state => state;
}

fn subscribe(app: &str) -> Result<(), String> {
    let module = MODULE.current().ok_or("not loaded")?;
    module.apps().create(app).map_err(|error| logged(error.to_string()))
}

fn unsubscribe(app: &str) -> Result<(), String> {
    let module = MODULE.current().ok_or("not loaded")?;
    module.apps().remove(app).map_err(|error| logged(error.to_string()))
}

fn create(app: &str) -> Standing {
    let Some(module) = MODULE.current() else {
        return Standing::Failed;
    };
    match module.apps().create(app) {
        Ok(()) => Standing::Ours,
        Err(CreateError::Held(_)) => Standing::Held,
        Err(CreateError::Off) => Standing::Off,
        Err(error @ (CreateError::Unnamed | CreateError::Refused(_))) => {
            logged(error.to_string());
            Standing::Failed
        }
    }
}

fn state(app: &str) -> Standing {
    match MODULE.current() {
        Some(module) if !app.is_empty() => module.apps().standing(app),
        _ => Standing::Failed,
    }
}

/// The C caller only sees a number.
fn logged(reason: String) -> String {
    asterisk::debug!(1, "{reason}");
    reason
}
