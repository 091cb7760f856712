// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The commands `amqp show status`, `amqp show connection`, `amqp spool show` and `amqp test send`.

use std::time::{Duration, Instant, SystemTime};

use asterisk::cli::{Command, Invocation, Outcome, Output, no_completion};

use crate::config::{ConnectionSettings, Settings};
use crate::spool::Shown;
use crate::status::ConnectionReport;
use crate::times::{Summary, micros};
use crate::{MODULE, StasisAmqp};

/// How long `amqp test send` waits for the broker's word.
const TEST_SEND: Duration = Duration::from_secs(10);

/// How many events `amqp spool show` shows, and may be asked for.
const SHOWN: usize = 10;
const MOST_SHOWN: usize = 1000;

pub(crate) static COMMANDS: [Command; 4] = [
    Command {
        words: "amqp show status",
        summary: "Show what is published, and how it goes",
        usage: "Usage: amqp show status\n       \
                The state of the publisher: connections, queue, counters, last error.\n",
        run: show_status,
        complete: no_completion,
    },
    Command {
        words: "amqp show connection",
        summary: "Show one AMQP connection",
        usage: "Usage: amqp show connection <name>\n       \
                Settings and state of a connection of amqp.conf.\n",
        run: show_connection,
        complete: |position| if position == 3 { connection_names() } else { Vec::new() },
    },
    Command {
        words: "amqp spool show",
        summary: "Show what is in the spool",
        usage: "Usage: amqp spool show [<count>]\n       \
                The files of the spool, and the oldest <count> events in it that are not delivered\n       \
                (10, at most 1000), without their bodies.\n",
        run: show_spool,
        complete: no_completion,
    },
    Command {
        words: "amqp test send connection",
        summary: "Send one message to a queue",
        usage: "Usage: amqp test send connection <name> queue <queue> message <text>\n       \
                Publishes the text to the default exchange with the queue's name as routing key,\n       \
                and waits for the broker to confirm it. The queue must exist.\n",
        run: test_send,
        complete: |position| match position {
            4 => connection_names(),
            5 => vec!["queue".to_owned()],
            7 => vec!["message".to_owned()],
            _ => Vec::new(),
        },
    },
];

fn connection_names() -> Vec<String> {
    let Some(module) = MODULE.current() else {
        return Vec::new();
    };
    module.publishers().statuses().into_iter().map(|(name, _)| name).collect()
}

fn show_status(invocation: &Invocation<'_>, output: &mut Output) -> Outcome {
    if invocation.len() != 3 {
        return Outcome::ShowUsage;
    }
    let Some(module) = MODULE.current() else {
        return Outcome::Failed;
    };
    let settings = module.settings();
    show_publishing(&module, &settings, output);
    for (name, status) in module.publishers().statuses() {
        output.line(format_args!(""));
        show_report(&name, &status.report(), output);
    }
    output.line(format_args!(""));
    output.line(format_args!("Counters"));
    for (name, value) in module.counters().values() {
        output.line(format_args!("  {name:<24}{value:>12}"));
    }
    Outcome::Done
}

fn show_publishing(module: &StasisAmqp, settings: &Settings, output: &mut Output) {
    let Some(stasis) = settings.publishing() else {
        let reason = if settings.enabled { "no section of type stasis" } else { "enabled = no" };
        output.line(format_args!("Nothing is published: {reason} in amqp.conf"));
        return;
    };
    output.line(format_args!(
        "Publishing to exchange '{}' ({}) by connection '{}'",
        stasis.exchange,
        stasis.exchange_type.as_str(),
        stasis.connection
    ));
    let depth = module.outbox().depth();
    output.line(format_args!(
        "  Queue:        {} events, {} bytes",
        depth.queued_events, depth.queued_bytes
    ));
    output.line(format_args!(
        "  Unconfirmed:  {} events, {} bytes",
        depth.in_flight_events, depth.in_flight_bytes
    ));
    output.line(format_args!(
        "  Limits:       {} events, {} bytes in both together",
        stasis.limits.events, stasis.limits.bytes
    ));
    let spool = module.spool().report();
    output.line(format_args!("  Spool:        {spool}"));
    match module.times() {
        None => output.line(format_args!("  Callbacks:    none yet")),
        Some(Summary { p50, p99, max }) => output.line(format_args!(
            "  Callbacks:    p50 {} us, p99 {} us, longest {} us",
            micros(p50),
            micros(p99),
            micros(max)
        )),
    }
    output.line(format_args!("  Texts:        {}", module.standing()));
    let names = module.apps().names();
    match names.len() {
        0 => output.line(format_args!("  Applications: none")),
        count => output.line(format_args!("  Applications: {count} ({})", names.join(", "))),
    }
}

fn show_report(name: &str, report: &ConnectionReport, output: &mut Output) {
    output.line(format_args!("Connection '{name}'"));
    output.line(format_args!("  State:        {}", report.sentence(Instant::now())));
    output.line(format_args!("  Since:        {}", ago(report.since)));
    if let Some(server) = &report.server {
        output.line(format_args!("  Broker:       {server}"));
    }
    output.line(format_args!("  Reconnects:   {}", report.reconnects));
    match &report.last_error {
        Some((text, when)) => {
            output.line(format_args!("  Last error:   {text} ({})", ago(*when)));
        }
        None => output.line(format_args!("  Last error:   none")),
    }
}

fn show_connection(invocation: &Invocation<'_>, output: &mut Output) -> Outcome {
    let (Some(name), 4) = (invocation.word(3), invocation.len()) else {
        return Outcome::ShowUsage;
    };
    let Some(module) = MODULE.current() else {
        return Outcome::Failed;
    };
    let settings = module.settings();
    let Some(connection) = settings.connections.iter().find(|one| one.name == name) else {
        unknown(&name, output);
        return Outcome::Failed;
    };
    match module.publishers().statuses().into_iter().find(|(one, _)| *one == name) {
        Some((_, status)) => show_report(&name, &status.report(), output),
        None => output.line(format_args!("Connection '{name}' is off: enabled = no in amqp.conf")),
    }
    show_settings(connection, output);
    Outcome::Done
}

fn show_settings(connection: &ConnectionSettings, output: &mut Output) {
    for endpoint in &connection.endpoints {
        output.line(format_args!("  URL:          {endpoint}"));
    }
    output.line(format_args!("  Heartbeat:    {} s", connection.heartbeat));
    output.line(format_args!("  Frame:        {} bytes", connection.max_frame_bytes));
    output.line(format_args!("  Timeout:      {:?}", connection.connection_timeout));
    if connection.endpoints.iter().any(|endpoint| endpoint.tls) {
        let tls = &connection.tls;
        let file = |pem: &Option<asterisk::config::tls::Pem>, none: &str| {
            pem.as_ref().map_or_else(|| none.to_owned(), |pem| pem.path.clone())
        };
        output.line(format_args!("  CA:           {}", file(&tls.ca_file, "the system's")));
        output.line(format_args!("  Certificate:  {}", file(&tls.cert_file, "none")));
        output.line(format_args!("  Verify:       {}", if tls.verify { "yes" } else { "no" }));
    }
}

/// `amqp spool show [<count>]`
fn show_spool(invocation: &Invocation<'_>, output: &mut Output) -> Outcome {
    let count = match (invocation.word(3), invocation.len()) {
        (None, 3) => Some(SHOWN),
        (Some(count), 4) => count.parse().ok().filter(|count| *count <= MOST_SHOWN),
        _ => None,
    };
    let Some(count) = count else {
        return Outcome::ShowUsage;
    };
    let Some(module) = MODULE.current() else {
        return Outcome::Failed;
    };
    let Shown { report, rows, cursor, events } = match module.spool().show(count) {
        Ok(shown) => shown,
        Err(reason) => {
            output.line(format_args!("The spool is {reason}"));
            return Outcome::Failed;
        }
    };
    let identity = module.identity();
    output.line(format_args!("Directory:  {}", report.dir));
    output.line(format_args!("State:      {report}"));
    output.line(format_args!("Delivered:  up to file {}, byte {}", cursor.number, cursor.offset));
    output.line(format_args!(""));
    output.line(format_args!(
        "{:<20} {:<14} {:>10} {:>12} {:>12} - {:<12}",
        "File", "Boot", "Events", "Bytes", "First", "Last"
    ));
    for row in &rows {
        output.line(format_args!(
            "{:020} {:<14} {:>10} {:>12} {:>12} - {:<12}",
            row.number, row.boot, row.events, row.bytes, row.first, row.last
        ));
    }
    output.line(format_args!(""));
    for event in &events {
        let of = event.origin.as_ref().map_or(identity, |origin| &origin.identity);
        let id = of.message_id(event.sequence);
        let (when, key, name) = (event.timestamp, &event.key, &event.name);
        output.line(format_args!("{id}  {when}  {key}  {name}"));
    }
    output.line(format_args!("{} files, {} of the events shown", rows.len(), events.len()));
    Outcome::Done
}

/// `amqp test send connection <name> queue <queue> message <text>`
fn test_send(invocation: &Invocation<'_>, output: &mut Output) -> Outcome {
    let word = |index| invocation.word(index);
    let (Some(name), Some(queue), Some(text), 9) = (word(4), word(6), word(8), invocation.len())
    else {
        return Outcome::ShowUsage;
    };
    if word(5).as_deref() != Some("queue") || word(7).as_deref() != Some("message") {
        return Outcome::ShowUsage;
    }
    let Some(module) = MODULE.current() else {
        return Outcome::Failed;
    };
    let Some(worker) = module.publishers().worker(&name) else {
        unknown(&name, output);
        return Outcome::Failed;
    };
    drop(module); // an unload waits for the command itself
    match worker.test_send(&queue, &text, TEST_SEND) {
        Ok(()) => {
            output.line(format_args!("Sent to queue '{queue}', and confirmed by the broker"));
            Outcome::Done
        }
        Err(reason) => {
            output.line(format_args!("Not sent to queue '{queue}': {reason}"));
            Outcome::Failed
        }
    }
}

fn unknown(name: &str, output: &mut Output) {
    output.line(format_args!("There is no connection '{name}' in amqp.conf"));
    let names = connection_names();
    if !names.is_empty() {
        output.line(format_args!("There is: {}", names.join(", ")));
    }
}

fn ago(then: SystemTime) -> String {
    let seconds = SystemTime::now().duration_since(then).unwrap_or_default().as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s ago"),
        (0, 0, _) => format!("{minutes} min {} s ago", seconds % 60),
        (0, _, _) => format!("{hours} h {} min ago", minutes % 60),
        _ => format!("{days} d {} h ago", hours % 24),
    }
}
