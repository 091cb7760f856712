// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The functions of `include/asterisk/stasis_amqp.h`.

use crate::MODULE;

asterisk::export_text_functions! {
    ast_subscribe_to_stasis => subscribe;
    ast_unsubscribe_from_stasis => unsubscribe;
}

fn subscribe(app: &str) -> Result<(), String> {
    let module = MODULE.current().ok_or("not loaded")?;
    module.apps().create(app).map_err(|error| logged(error.to_string()))
}

fn unsubscribe(app: &str) -> Result<(), String> {
    let module = MODULE.current().ok_or("not loaded")?;
    module.apps().remove(app).map_err(|error| logged(error.to_string()))
}

/// The C caller only sees -1.
fn logged(reason: String) -> String {
    asterisk::debug!(1, "{reason}");
    reason
}
