// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The AMI actions `DiscoverySetMaintenance` and `DiscoveryDrain`.

use asterisk::manager::{Action, Answer, Request};

use crate::MODULE;
use crate::cli::{PATIENCE, REASON};
use crate::desk::{Reply, Wish};

pub(crate) static ACTIONS: [Action; 2] = [
    Action {
        name: "DiscoverySetMaintenance",
        run: |request| {
            let reason = request.header(c"Reason");
            let reason = if reason.is_empty() { REASON.to_owned() } else { reason };
            ask(Wish::Maintenance(truth(request, c"Enable")?.then_some(reason)))
        },
    },
    Action {
        name: "DiscoveryDrain",
        run: |request| {
            let stop = match request.header(c"Stop").as_str() {
                "" => false,
                _ => truth(request, c"Stop")?,
            };
            let is_drain = truth(request, c"Enable")?;
            ask(if is_drain { Wish::Drain { stop } } else { Wish::Undrain })
        },
    },
];

fn truth(request: &Request<'_>, name: &std::ffi::CStr) -> Result<bool, String> {
    match request.header(name).to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("{} must be true or false", name.to_string_lossy())),
    }
}

fn ask(wish: Wish) -> Answer {
    let desk = MODULE.current().ok_or("the module is being unloaded")?.desk();
    match desk.ask(wish, PATIENCE) {
        Reply::Done(text) => Ok(vec![("Message", text)]),
        Reply::Later(reason) => {
            Ok(vec![("Message", format!("it will be done as soon as it can be: {reason}"))])
        }
        Reply::Refused(reason) => Err(reason),
    }
}
