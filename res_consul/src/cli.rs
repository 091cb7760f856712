// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The commands `consul show settings` and `consul show status`.

use std::time::SystemTime;

use asterisk::cli::{Command, Invocation, Outcome, Output, no_completion};
use asterisk::config::tls::Pem;
use asterisk::config::value::show_duration;
use asterisk::consul::provide::State;

use crate::MODULE;
use crate::config::{ConsulSettings, Scheme, TokenSource};
use crate::connection::Kind;
use crate::watch::{WatchReport, WatchState};

pub(crate) static COMMANDS: [Command; 2] = [
    Command {
        words: "consul show settings",
        summary: "Show how Consul is reached",
        usage: "Usage: consul show settings\n       \
                Sections general and consul of consul.conf, with what applies where the file says\n       \
                nothing. The token is not shown.\n",
        run: show_settings,
        complete: no_completion,
    },
    Command {
        words: "consul show status",
        summary: "Show how the connection to Consul is",
        usage: "Usage: consul show status\n       \
                State of the connection, clients, watches, counters, last failure.\n",
        run: show_status,
        complete: no_completion,
    },
];

fn show_settings(invocation: &Invocation<'_>, output: &mut Output) -> Outcome {
    if invocation.len() != 3 {
        return Outcome::ShowUsage;
    }
    let Some(module) = MODULE.current() else {
        return Outcome::Failed;
    };
    let settings = module.connection.settings();
    let consul = &settings.consul;
    let mut row = |name: &str, value: &str| output.line(format_args!("  {name:<18}{value}"));
    row("Enabled:", yes_no(settings.enabled));
    row("Host:", &consul.host);
    row("Port:", &consul.port.to_string());
    row("Scheme:", &consul.scheme.to_string());
    row("Token:", &token(consul));
    row("Datacenter:", consul.datacenter.as_deref().unwrap_or("the agent's"));
    row("Connect timeout:", &show_duration(&consul.connect_timeout));
    row("Request timeout:", &show_duration(&consul.request_timeout));
    row("Watch wait:", &show_duration(&consul.watch_wait));
    if consul.scheme == Scheme::Https {
        let file = |pem: &Option<Pem>, none: &str| {
            pem.as_ref().map_or_else(|| none.to_owned(), |pem| pem.path.clone())
        };
        row("CA:", &file(&consul.tls.ca_file, "the system's"));
        row("Certificate:", &file(&consul.tls.cert_file, "none"));
        row("Key:", &file(&consul.tls.key_file, "none"));
        row("Verify:", yes_no(consul.tls.verify));
    }
    Outcome::Done
}

fn yes_no(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

fn token(consul: &ConsulSettings) -> String {
    match &consul.token_source {
        TokenSource::Nowhere => "none".to_owned(),
        TokenSource::Option => "***".to_owned(),
        TokenSource::File(path) => format!("*** (token_file {path})"),
        TokenSource::Environment => "*** (CONSUL_HTTP_TOKEN)".to_owned(),
    }
}

fn show_status(invocation: &Invocation<'_>, output: &mut Output) -> Outcome {
    if invocation.len() != 3 {
        return Outcome::ShowUsage;
    }
    let Some(module) = MODULE.current() else {
        return Outcome::Failed;
    };
    let report = module.connection.report();
    output.line(format_args!("Consul at {}", module.connection.settings().consul.url()));
    let state = word(report.state);
    match &report.reason {
        Some(reason) => output.line(format_args!("  State:        {state} ({reason})")),
        None => output.line(format_args!("  State:        {state}")),
    }
    output.line(format_args!("  Since:        {}", ago(Some(report.since))));
    output.line(format_args!("  Last answer:  {}", ago(report.last_answer)));
    match &report.last_failure {
        Some((when, text)) => {
            output.line(format_args!("  Last failure: {text} ({})", ago(Some(*when))));
        }
        None => output.line(format_args!("  Last failure: none")),
    }
    let mut watches = Vec::new();
    let mut clients = Vec::new();
    for kind in module.connection.kinds() {
        match kind {
            Kind::Watch(report) => watches.push(report),
            Kind::Client(name) => clients.push(name),
            Kind::Own => {}
        }
    }
    match clients.len() {
        0 => output.line(format_args!("  Clients:      none")),
        count => output.line(format_args!("  Clients:      {count} ({})", clients.join(", "))),
    }
    for watch in &watches {
        output.line(format_args!(""));
        show_watch(watch, output);
    }
    output.line(format_args!(""));
    output.line(format_args!("Counters"));
    for (name, value) in report.counters.values() {
        output.line(format_args!("  {name:<20}{value:>12}"));
    }
    Outcome::Done
}

/// A word for a state, stable: for tests and scripts.
fn word(state: State) -> &'static str {
    match state {
        State::Disabled => "disabled",
        State::Unknown => "unknown",
        State::Reachable => "reachable",
        State::Unreachable => "unreachable",
        State::Refused => "refused",
        State::Failing => "failing",
    }
}

fn show_watch(watch: &WatchReport, output: &mut Output) {
    output.line(format_args!("Watch of '{}'", watch.prefix));
    match &watch.state {
        WatchState::Waiting => output.line(format_args!("  State:        waiting")),
        WatchState::Watching => output.line(format_args!("  State:        watching")),
        WatchState::Failing(reason) => {
            output.line(format_args!("  State:        failing ({reason})"));
        }
    }
    match watch.index {
        Some(index) => output.line(format_args!("  Index:        {index}")),
        None => output.line(format_args!("  Index:        none")),
    }
    match watch.keys {
        Some(keys) => output.line(format_args!("  Keys:         {keys}")),
        None => output.line(format_args!("  Keys:         not known yet")),
    }
    output.line(format_args!("  Last change:  {}", ago(watch.last_change)));
}

fn ago(then: Option<SystemTime>) -> String {
    let Some(then) = then else {
        return "never".to_owned();
    };
    let seconds = SystemTime::now().duration_since(then).unwrap_or_default().as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s ago"),
        (0, 0, _) => format!("{minutes} min {} s ago", seconds % 60),
        (0, _, _) => format!("{hours} h {} min ago", minutes % 60),
        _ => format!("{days} d {} h ago", hours % 24),
    }
}
