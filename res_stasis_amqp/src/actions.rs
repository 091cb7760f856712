// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The AMI action `AMQPStatus`: for operators, and for `res_consul_discovery`, whose health check
//! asks it because the host counts a module as in use while an action of it runs.

use asterisk::manager::{Action, Answer, Request};

use crate::MODULE;
use crate::times::micros;

pub(crate) static ACTIONS: [Action; 1] = [Action { name: "AMQPStatus", run: status }];

fn status(_request: &Request<'_>) -> Answer {
    let module = MODULE.current().ok_or("the module is being unloaded")?;
    let settings = module.settings();
    let Some(stasis) = settings.publishing() else {
        let detail = "nothing is published".to_owned();
        return Ok(vec![("State", "idle".to_owned()), ("Detail", detail)]);
    };
    let statuses = module.publishers().statuses();
    let status = statuses.iter().find(|(name, _)| *name == stasis.connection);
    let state = status.map(|(_, status)| status.report().state).ok_or("it has no connection")?;
    let depth = module.outbox().depth();
    let spool = module.spool().report();
    let mut answer = vec![
        ("State", state.word().to_owned()),
        ("Detail", state.to_string()),
        ("Connection", stasis.connection.clone()),
        ("Events", (depth.queued_events + depth.in_flight_events).to_string()),
        ("EventsMax", stasis.limits.events.to_string()),
        ("Bytes", (depth.queued_bytes + depth.in_flight_bytes).to_string()),
        ("BytesMax", stasis.limits.bytes.to_string()),
        ("SpoolState", spool.state.word().to_owned()),
        ("SpoolDetail", spool.to_string()),
        ("SpoolEvents", spool.events.to_string()),
        ("SpoolBytes", spool.bytes.to_string()),
        ("SpoolBytesMax", spool.max_bytes.to_string()),
    ];
    if let Some(times) = module.times() {
        answer.push(("CallbackP50", micros(times.p50).to_string()));
        answer.push(("CallbackP99", micros(times.p99).to_string()));
        answer.push(("CallbackMax", micros(times.max).to_string()));
    }
    Ok(answer)
}
