// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The command `consul show applications`.

use asterisk::cli::{Command, Invocation, Outcome, Output};
use asterisk::on_one_line;

use crate::ledger::Registration;
use crate::plan::Row;
use crate::{MODULE, StasisApp};

/// What the names are padded to, at most.
const WIDTH: usize = 40;

pub(crate) static COMMANDS: [Command; 1] = [Command {
    words: "consul show applications",
    summary: "Show the applications of Consul's keys",
    usage: "Usage: consul show applications [<name>]\n       \
            The Stasis applications that Consul's keys name, or one of them: whether they are\n       \
            there, whether Consul has them registered, their event filter and subscriptions.\n",
    run: show,
    complete: |position| if position == 3 { names() } else { Vec::new() },
}];

fn names() -> Vec<String> {
    MODULE.current().map_or_else(Vec::new, |module| module.worker().names())
}

fn show(invocation: &Invocation<'_>, output: &mut Output) -> Outcome {
    let wanted = match invocation.len() {
        3 => None,
        4 => invocation.word(3),
        _ => return Outcome::ShowUsage,
    };
    let Some(module) = MODULE.current() else {
        return Outcome::Failed;
    };
    let settings = module.settings();
    let Some(rows) = module.worker().rows() else {
        output.line(format_args!(
            "{}",
            if settings.enabled {
                format!("The keys below '{}' are not known yet", settings.prefix)
            } else {
                "The keys are not looked at: enabled = no in consul.conf".to_owned()
            }
        ));
        return Outcome::Done;
    };
    let registrations = module.registrar().registrations(rows.iter().map(|row| row.name.as_str()));
    let rows: Vec<_> = rows.into_iter().zip(registrations).collect();
    if let Some(wanted) = wanted {
        let Some(row) = rows.iter().find(|(row, _)| row.name == wanted) else {
            let prefix = &settings.prefix;
            output.line(format_args!("There is no key '{prefix}{wanted}'"));
            return Outcome::Failed;
        };
        show_rows(std::slice::from_ref(row), output);
        return Outcome::Done;
    }
    if !rows.is_empty() {
        show_rows(&rows, output);
    }
    summarize(&module, &settings.prefix, &rows, output);
    Outcome::Done
}

fn show_rows(rows: &[(Row, Registration)], output: &mut Output) {
    let widest = rows.iter().map(|(row, _)| row.name.chars().count()).max().unwrap_or(0);
    let width = widest.clamp("Application".len(), WIDTH);
    output.line(format_args!("{:<width$}  {:<22}  In Consul", "Application", "State"));
    for (row, registration) in rows {
        let name = on_one_line(&row.name);
        let registered = match registration {
            Registration::Registered => "registered".to_owned(),
            Registration::Missing(_) if !row.is_active => "-".to_owned(),
            Registration::Missing(None) => "to be registered".to_owned(),
            Registration::Missing(Some(reason)) => format!("not registered: {reason}"),
        };
        output.line(format_args!("{name:<width$}  {:<22}  {registered}", row.state));
        show_wish(row, output);
    }
}

fn show_wish(row: &Row, output: &mut Output) {
    if let Some((filter, why)) = &row.filter {
        let why = why.map(|why| format!(" (not set: {why})")).unwrap_or_default();
        for (kind, names) in [("allowed", &filter.allowed), ("disallowed", &filter.disallowed)] {
            let all = if kind == "allowed" { "all" } else { "none" };
            let list =
                if names.is_empty() { all.to_owned() } else { on_one_line(&names.join(", ")) };
            output.line(format_args!("  {:<19}{list}{why}", format!("events {kind}:")));
        }
    }
    for (source, why) in &row.sources {
        let why = why.map(|why| format!(" (missing: {why})")).unwrap_or_default();
        output.line(format_args!("  {:<19}{}{why}", "subscription:", on_one_line(source)));
    }
}

fn summarize(module: &StasisApp, prefix: &str, rows: &[(Row, Registration)], output: &mut Output) {
    let active = rows.iter().filter(|(row, _)| row.is_active).count();
    let registered =
        rows.iter().filter(|(_, registration)| *registration == Registration::Registered).count();
    let count = rows.len();
    let noun = if count == 1 { "application" } else { "applications" };
    output.line(format_args!(
        "{count} {noun} below '{prefix}': {active} active, {registered} registered in Consul"
    ));
    if let Some(reason) = module.registrar().trouble() {
        output.line(format_args!("Consul's agent: {reason}"));
    }
}
