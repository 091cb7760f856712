// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! `[discovery]` of `consul.conf`, parsed once into settings that later code need not doubt.

mod meta;
mod options;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use asterisk::config::{Reader, Report, Section, value};

use crate::CONFIG_FILE;

/// What Consul calls the least of DeregisterCriticalServiceAfter.
const DEREGISTER_AFTER_LEAST: Duration = Duration::from_secs(60);

/// How the node is to be in Consul.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Whether it is to be there at all.
    pub enabled: bool,
    /// The service's id.
    pub id: Id,
    /// The service's name.
    pub name: Name,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its address.
    pub ip: Ip,
    /// Its port.
    pub port: u16,
    /// Its share of the calls.
    pub weights: Weights,
    /// Its health check, if it has one.
    pub check: Option<CheckSettings>,
    /// Whether a graceful stop puts it into maintenance.
    pub maintenance_on_shutdown: bool,
    /// What `meta_<key>` says.
    pub meta: BTreeMap<String, String>,
}

/// Where the service's id comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Id {
    /// The entity id.
    Entity,
    /// A UUID.
    Random,
    /// The file.
    Given(String),
}

/// Where the service's name comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Name {
    /// The host name.
    Host,
    /// The file.
    Given(String),
}

/// Where the service's address comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ip {
    /// An interface of this machine.
    Interface(String),
    /// The file: an address or a host name.
    Given(String),
}

/// A service's share of the calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Weights {
    /// While its check is passing.
    pub passing: u16,
    /// While it is warning.
    pub warning: u16,
}

/// A health check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CheckSettings {
    /// Who asks whom.
    pub way: CheckWay,
    /// How often, or within which time.
    pub interval: Duration,
    /// When Consul forgets a critical service.
    pub deregister_after: Option<Duration>,
}

/// Who asks whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CheckWay {
    /// We tell Consul.
    Ttl,
    /// Consul asks Asterisk.
    Http {
        /// Asterisk's HTTP port.
        port: u16,
        /// Longest wait for its answer.
        timeout: Duration,
    },
}

impl Default for Settings {
    /// What applies without a file.
    fn default() -> Self {
        parse(&[]).0
    }
}

/// Reads the sections of `consul.conf`. With errors in the report the settings must not be used;
/// the report has every fault, not only the first.
pub(crate) fn parse(sections: &[Section]) -> (Settings, Report) {
    let mut report = Report::default();
    let general = Section::only(sections, CONFIG_FILE, "general", &mut report);
    let discovery = Section::only(sections, CONFIG_FILE, "discovery", &mut report);
    let modules_enabled = general.reader(options::GENERAL, &mut report).yes_no("enabled");
    let mut settings = read(&discovery, &mut report);
    settings.enabled &= modules_enabled;
    (settings, report)
}

fn read(section: &Section, report: &mut Report) -> Settings {
    let mut options = section.reader(options::DISCOVERY, report);
    let settings = Settings {
        enabled: options.yes_no("enabled"),
        id: match word(&mut options, "id") {
            text if text.eq_ignore_ascii_case("asterisk") => Id::Entity,
            text if text.eq_ignore_ascii_case("auto") => Id::Random,
            text => Id::Given(text),
        },
        name: match word(&mut options, "name") {
            text if text.eq_ignore_ascii_case("auto") => Name::Host,
            text => Name::Given(text),
        },
        tags: options.list("tags"),
        ip: ip(&mut options),
        port: port(&mut options, "discovery_port"),
        weights: Weights {
            passing: port(&mut options, "weight_passing"),
            warning: port(&mut options, "weight_warning"),
        },
        check: check(&mut options),
        maintenance_on_shutdown: options.yes_no("maintenance_on_shutdown"),
        meta: meta::read(&mut options),
    };
    options.finish();
    settings
}

/// A text that stands in a path of Consul's API, which cannot carry every one.
fn word(options: &mut Reader<'_>, name: &'static str) -> String {
    let text = options.text(name);
    let reason = if text.is_empty() {
        "must not be empty"
    } else if text.chars().any(char::is_control) {
        "must not have control characters"
    } else if text.split('/').any(|part| matches!(part, "" | "." | "..")) {
        "must have more than '.' or '..' before, between and after its slashes"
    } else {
        return text;
    };
    options.error(name, format!("{name} = '{text}': {reason}"));
    text
}

fn port(options: &mut Reader<'_>, name: &'static str) -> u16 {
    u16::try_from(options.integer(name, 1..=65_535)).unwrap_or_default()
}

fn ip(options: &mut Reader<'_>) -> Ip {
    let interface = options.text("discovery_interface");
    let given = options.parsed("discovery_ip", |text| match text {
        text if text.eq_ignore_ascii_case("auto") => Ok(None),
        text => address(text).map(Some),
    });
    match given.flatten() {
        Some(address) => Ip::Given(address),
        None => {
            if interface.is_empty() {
                let text = "discovery_interface = '': must not be empty with discovery_ip = auto";
                options.error("discovery_interface", text);
            }
            Ip::Interface(interface)
        }
    }
}

/// An address or a host name, as Consul is to have it.
fn address(text: &str) -> Result<String, String> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return if address.is_unspecified() || address.is_multicast() {
            Err("is no address that calls can be sent to".to_owned())
        } else {
            Ok(address.to_string())
        };
    }
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if is_number || text.len() > 253 || !text.split('.').all(is_label) {
        return Err("must be auto, an IPv4 or IPv6 address, or a host name".to_owned());
    }
    Ok(text.to_owned())
}

fn is_label(label: &str) -> bool {
    let mut bytes = label.bytes();
    (1..=63).contains(&label.len())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

fn check(options: &mut Reader<'_>) -> Option<CheckSettings> {
    let wanted = options.yes_no("check");
    let http = CheckWay::Http {
        port: port(options, "check_http_port"),
        timeout: options
            .duration("check_timeout", Duration::from_millis(100)..=Duration::from_secs(300)),
    };
    let way = options.choice("check_type", &[("ttl", CheckWay::Ttl), ("http", http)]);
    let settings = CheckSettings {
        way: way.unwrap_or(CheckWay::Ttl),
        interval: options
            .duration("check_interval", Duration::from_secs(1)..=Duration::from_secs(300)),
        deregister_after: deregister_after(options),
    };
    wanted.then_some(settings)
}

fn deregister_after(options: &mut Reader<'_>) -> Option<Duration> {
    let parse = |text: &str| match text {
        "" => Ok(None),
        text => match value::duration(text)? {
            Duration::ZERO => Ok(None),
            time => {
                value::within(time, &(DEREGISTER_AFTER_LEAST..), value::show_duration).map(Some)
            }
        },
    };
    options.parsed("deregister_after", parse).flatten()
}

#[cfg(test)]
mod drift;
#[cfg(test)]
mod tests;
