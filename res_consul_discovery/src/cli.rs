// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The commands `discovery show settings`, `discovery show status`, `discovery set maintenance`,
//! `discovery drain` and `discovery undrain`.

use std::time::{Duration, SystemTime};

use asterisk::cli::{Command, Invocation, Outcome, Output, no_completion};
use asterisk::config::value::show_duration;

use crate::MODULE;
use crate::config::{CheckWay, Ip, Settings};
use crate::desk::{Reply, Wanted, Wish};

/// How long a command waits for Consul to have done it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);

pub(crate) static COMMANDS: [Command; 5] = [
    Command {
        words: "discovery show settings",
        summary: "Show how this node is to be in Consul",
        usage: "Usage: discovery show settings\n       \
                The settings of [discovery] in consul.conf, and what they come to.\n",
        run: show_settings,
        complete: no_completion,
    },
    Command {
        words: "discovery show status",
        summary: "Show how this node is in Consul",
        usage: "Usage: discovery show status\n       \
                Registration, check, maintenance, drain, and who else has the id.\n",
        run: show_status,
        complete: no_completion,
    },
    Command {
        words: "discovery set maintenance",
        summary: "Put this node into maintenance, or take it out",
        usage: "Usage: discovery set maintenance {on|off}\n       \
                In maintenance a node gets no new calls from who finds it by Consul. It is kept\n       \
                over restarts of Asterisk, until it is taken back.\n",
        run: set_maintenance,
        complete: |position| match position {
            3 => vec!["off".to_owned(), "on".to_owned()],
            _ => Vec::new(),
        },
    },
    Command {
        words: "discovery drain",
        summary: "Take this node out of Consul when its calls have ended",
        usage: "Usage: discovery drain [stop]\n       \
                Puts the node into maintenance; running calls live on and may originate. When no\n       \
                channel remains, the node is deregistered, and with 'stop' Asterisk is stopped.\n",
        run: drain,
        complete: |position| match position {
            2 => vec!["stop".to_owned()],
            _ => Vec::new(),
        },
    },
    Command {
        words: "discovery undrain",
        summary: "Take a drain back",
        usage: "Usage: discovery undrain\n       \
                Ends the drain, and registers the node again if it was deregistered.\n",
        run: undrain,
        complete: no_completion,
    },
];

fn show_status(invocation: &Invocation<'_>, output: &mut Output) -> Outcome {
    if invocation.len() != 3 {
        return Outcome::ShowUsage;
    }
    let Some(module) = MODULE.current() else {
        return Outcome::Failed;
    };
    let channels = asterisk::host::active_channels();
    for line in module.desk().report().lines(channels, SystemTime::now()) {
        output.line(format_args!("{line}"));
    }
    Outcome::Done
}

fn show_settings(invocation: &Invocation<'_>, output: &mut Output) -> Outcome {
    if invocation.len() != 3 {
        return Outcome::ShowUsage;
    }
    let Some(module) = MODULE.current() else {
        return Outcome::Failed;
    };
    let Wanted { settings, identity, ari } = module.desk().wanted();
    let mut show = |name: &str, value: &str| {
        output.line(format_args!("  {:<25}{value}", format!("{name}:")));
    };
    show("enabled", yes(settings.enabled));
    show("id", &identity.id);
    show("name", &identity.name);
    show("tags", &settings.tags.join(", "));
    match &settings.ip {
        Ip::Given(address) => show("discovery_ip", address),
        Ip::Interface(interface) => show("discovery_ip", &format!("auto, of {interface}")),
    }
    show("discovery_port", &settings.port.to_string());
    show("weight_passing", &settings.weights.passing.to_string());
    show("weight_warning", &settings.weights.warning.to_string());
    show_check(&settings, &mut show);
    show("maintenance_on_shutdown", yes(settings.maintenance_on_shutdown));
    for (key, value) in &settings.meta {
        show(&format!("meta_{key}"), value);
    }
    let served = if ari.is_served { "" } else { ", but http.conf has no server enabled" };
    show("ARI (http.conf)", &format!("{} on port {}{served}", ari.scheme, ari.port));
    Outcome::Done
}

fn show_check(settings: &Settings, show: &mut impl FnMut(&str, &str)) {
    show("check", yes(settings.check.is_some()));
    let Some(check) = &settings.check else {
        return;
    };
    match check.way {
        CheckWay::Ttl => show("check_type", "ttl"),
        CheckWay::Http { port, timeout } => {
            show("check_type", "http");
            show("check_http_port", &port.to_string());
            show("check_timeout", &show_duration(&timeout));
        }
    }
    show("check_interval", &show_duration(&check.interval));
    let after = check.deregister_after.as_ref().map(show_duration);
    show("deregister_after", after.as_deref().unwrap_or("never"));
}

fn yes(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

fn set_maintenance(invocation: &Invocation<'_>, output: &mut Output) -> Outcome {
    let (Some(word), 4) = (invocation.word(3), invocation.len()) else {
        return Outcome::ShowUsage;
    };
    let reason = match word.to_ascii_lowercase().as_str() {
        "on" => Some(REASON.to_owned()),
        "off" => None,
        _ => return Outcome::ShowUsage,
    };
    ask(Wish::Maintenance(reason), output)
}

/// The reason of maintenance that an operator gives none for.
pub(crate) const REASON: &str = "set by an operator in Asterisk";

fn drain(invocation: &Invocation<'_>, output: &mut Output) -> Outcome {
    let stop = match (invocation.word(2), invocation.len()) {
        (None, 2) => false,
        (Some(word), 3) if word.eq_ignore_ascii_case("stop") => true,
        _ => return Outcome::ShowUsage,
    };
    ask(Wish::Drain { stop }, output)
}

fn undrain(invocation: &Invocation<'_>, output: &mut Output) -> Outcome {
    if invocation.len() != 2 {
        return Outcome::ShowUsage;
    }
    ask(Wish::Undrain, output)
}

fn ask(wish: Wish, output: &mut Output) -> Outcome {
    let Some(module) = MODULE.current() else {
        return Outcome::Failed;
    };
    let desk = module.desk();
    drop(module); // an unload waits for the command itself
    match desk.ask(wish, PATIENCE) {
        Reply::Done(text) => {
            output.line(format_args!("Done: {text}"));
            Outcome::Done
        }
        Reply::Later(reason) => {
            output.line(format_args!("It will be done as soon as it can be: {reason}"));
            Outcome::Done
        }
        Reply::Refused(reason) => {
            output.line(format_args!("Not done: {reason}"));
            Outcome::Failed
        }
    }
}
