// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Section `dispatcher`: Kamailio, which is told where new calls go. Its process reads this section,
//! `consul` and `log` only, so that it needs none of the gateway's secrets.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::section::Environment;
use super::{ConfigError, Consul, Faults, Log, SECTIONS, Section, file_and_text, nearest};

const OURS: [&str; 3] = ["dispatcher", "consul", "log"];

/// What Kamailio speaks to the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Udp,
    Tcp,
    Tls,
}

/// How Kamailio is told.
#[derive(Debug, Clone)]
pub(crate) struct Dispatcher {
    /// The file it reads.
    pub list: PathBuf,
    /// Its socket for JSON-RPC.
    pub kamailio: PathBuf,
    pub transport: Transport,
}

impl Dispatcher {
    pub(super) fn read(mut section: Section<'_>, faults: &mut Faults) -> Self {
        let transports =
            [("udp", Transport::Udp), ("tcp", Transport::Tcp), ("tls", Transport::Tls)];
        let mut path = |option, default: &str, faults: &mut Faults| {
            section.text(option, faults).map_or_else(|| PathBuf::from(default), PathBuf::from)
        };
        let list = path("list", "/var/lib/constellation/dispatcher.list", faults);
        let kamailio = path("kamailio", "/run/kamailio/kamailio_rpc.sock", faults);
        for (option, path) in [("list", &list), ("kamailio", &kamailio)] {
            if !path.is_absolute() {
                let what = format!("{:?} is no path from the root", path.display().to_string());
                section.fault(option, what, faults);
            }
        }
        let transport = section.word("transport", &transports, Transport::Udp, faults);
        section.finish(faults);
        Self { list, kamailio, transport }
    }
}

/// What the dispatcher's process is told.
#[derive(Debug, Clone)]
pub(crate) struct DispatcherConfig {
    pub dispatcher: Dispatcher,
    pub consul: Consul,
    pub log: Log,
}

/// Reads a file for the dispatcher, with the process' environment and then `options`, those of the
/// command line, over it. Sections that are the gateway's may be there.
pub(crate) fn load_dispatcher(
    path: &Path,
    options: &[(&str, &str)],
) -> Result<DispatcherConfig, ConfigError> {
    let (file, text) = file_and_text(path)?;
    let mut variables: BTreeMap<String, String> = std::env::vars().collect();
    for (option, value) in options {
        let name = format!("GATEWAY_DISPATCHER_{}", option.to_ascii_uppercase());
        variables.insert(name, (*value).to_owned());
    }
    read_dispatcher(&file, &text, variables)
}

fn read_dispatcher(
    file: &str,
    text: &str,
    variables: BTreeMap<String, String>,
) -> Result<DispatcherConfig, ConfigError> {
    let mut table = super::table(file, text)?;
    let mut faults = Faults::new(file);
    let environment = Environment::new(variables);
    let [dispatcher, consul, log] =
        OURS.map(|name| Section::new(name, table.remove(name), &environment, &mut faults));
    let dispatcher = Dispatcher::read(dispatcher, &mut faults);
    let consul = Consul::read(consul, &environment, &mut faults);
    let log = Log::read(log, &mut faults);
    for name in table.keys().filter(|name| !SECTIONS.contains(&name.as_str())) {
        faults.unknown_section(name, nearest(name, &SECTIONS));
    }
    for name in environment.unread(&OURS) {
        faults.unknown_variable(&name);
    }
    faults.into_result(DispatcherConfig { dispatcher, consul, log })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str, variables: &[(&str, &str)]) -> Result<DispatcherConfig, String> {
        let variables = variables.iter().map(|(name, value)| {
            let pair: (String, String) = ((*name).into(), (*value).into());
            pair
        });
        read_dispatcher("t", text, variables.collect()).map_err(|error| error.to_string())
    }

    #[test]
    fn an_empty_file_has_all_defaults_and_the_sample_says_them() {
        let empty = with("", &[]).unwrap();
        assert_eq!(empty.dispatcher.transport, Transport::Udp);
        let sample = include_str!("../../gateway.toml.sample").lines();
        let told: String =
            sample.map(|line| line.strip_prefix("#= ").unwrap_or(line).to_owned() + "\n").collect();
        assert!(told.contains("kamailio = "), "the section is there");
        let told = with(&told, &[]).unwrap();
        assert_eq!(format!("{told:?}"), format!("{empty:?}"));
    }

    #[test]
    fn the_gateways_sections_are_not_looked_at_and_what_is_neither_is_a_fault() {
        // Wrong for the gateway.
        let text = "[http]\nlissten = 1\n[nodes]\n[dispatcher]\ntransport = \"tcp\"\n";
        let config = with(text, &[("GATEWAY_NODES_PASSWORT", "x")]).unwrap();
        assert_eq!(config.dispatcher.transport, Transport::Tcp);
        let text = "[dispacher]\n[dispatcher]\nlist = \"here\"\nkamalio = \"/x\"\n\
                    transport = \"sctp\"\n[consul]\naddress = \"ftp://x\"\n";
        let faults = with(text, &[("GATEWAY_DISPATCHER_LISST", "/x")]).unwrap_err();
        for wanted in [
            "t: [dispacher]: unknown section (did you mean dispatcher?)",
            "t: [dispatcher]: list: \"here\" is no path from the root",
            "t: [dispatcher]: kamalio: unknown option (did you mean kamailio?)",
            "t: [dispatcher]: transport: \"sctp\" is none of udp, tcp, tls",
            "t: [consul]: address: \"ftp://x\" is no http or https URL",
            "environment: GATEWAY_DISPATCHER_LISST: names no option",
        ] {
            assert!(faults.contains(wanted), "no {wanted:?} in:\n{faults}");
        }
    }
}
