// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! How the node is in Consul, in words for operators.

use std::time::SystemTime;

use asterisk::on_one_line;

use crate::drain::Drain;
use crate::health::Status;

/// What `discovery show status` shows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Report {
    /// The id it is registered with, or is to be.
    pub id: String,
    pub name: String,
    /// Address and port, or why there is none.
    pub address: String,
    pub standing: Standing,
    /// Its check's kind, if it has one.
    pub check: Option<&'static str>,
    /// How the node is.
    pub health: Option<(Status, String)>,
    /// The reason of maintenance, if it is wanted.
    pub maintenance: Option<String>,
    /// Who wants it.
    pub maintenance_by: Vec<&'static str>,
    /// Whether Consul has it.
    pub maintenance_is_on: bool,
    pub drain: Drain,
    /// Who else has the id.
    pub duplicate: Option<String>,
    /// Why the last request failed.
    pub failure: Option<String>,
}

/// Whether the node is in Consul.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Consul has not been asked yet.
    #[default]
    Beginning,
    /// enabled = no.
    Off,
    /// There is no address to register.
    NoAddress(String),
    /// It is there since then.
    Registered(SystemTime),
    /// It is to be, and Consul does not do it.
    Failing,
    /// A drain has taken it out.
    Drained,
}

impl Report {
    /// The lines of `discovery show status`; `channels` is how many there are now.
    pub(crate) fn lines(&self, channels: usize, now: SystemTime) -> Vec<String> {
        // Reasons and addresses are what somebody has put into Consul.
        let line = |name: &str, value: String| {
            format!("  {:<14}{}", format!("{name}:"), on_one_line(&value))
        };
        let mut lines = vec![format!("Service '{}'", self.name)];
        lines.push(line("Id", self.id.clone()));
        lines.push(line("Address", self.address.clone()));
        lines.push(line("Registered", self.registered(now)));
        lines.push(line("Check", self.checked()));
        lines.push(line("Maintenance", self.maintained()));
        lines.push(line("Drain", self.drained(channels)));
        lines.push(line("Duplicate", self.duplicate.clone().unwrap_or_else(|| "none".to_owned())));
        if let Some(failure) = &self.failure {
            lines.push(line("Trouble", failure.clone()));
        }
        lines
    }

    fn registered(&self, now: SystemTime) -> String {
        match &self.standing {
            Standing::Beginning => "no, Consul has not answered yet".to_owned(),
            Standing::Off => "no, enabled = no in consul.conf".to_owned(),
            Standing::NoAddress(reason) => format!("no, {reason}"),
            Standing::Registered(since) => format!("yes, for {}", passed(*since, now)),
            Standing::Failing => "no, see below".to_owned(),
            Standing::Drained => "no, it is drained; 'discovery undrain' registers it".to_owned(),
        }
    }

    fn checked(&self) -> String {
        let (Some(kind), Some((status, output))) = (self.check, &self.health) else {
            return if self.check.is_some() { "not known yet" } else { "none" }.to_owned();
        };
        match kind {
            "ttl" => format!("{}, {output}", status.word()),
            kind => format!("{kind}, asked by Consul; here it is {}, {output}", status.word()),
        }
    }

    fn maintained(&self) -> String {
        match (&self.maintenance, self.maintenance_is_on) {
            (None, false) => "off".to_owned(),
            (None, true) => "on in Consul, to be taken back".to_owned(),
            (Some(reason), is_on) => {
                let state = if is_on { "on" } else { "wanted, not in Consul yet" };
                format!("{state}, by {}: {reason}", self.maintenance_by.join(" and "))
            }
        }
    }

    fn drained(&self, channels: usize) -> String {
        let then = |stop: bool| {
            let end = if stop { ", and then Asterisk is stopped" } else { "" };
            format!("{}{end}", remaining(channels))
        };
        match self.drain {
            Drain::Off => "none".to_owned(),
            Drain::Waiting { stop, .. } => format!("waiting, {}", then(stop)),
            Drain::Leaving { stop, .. } => format!("deregistering, {}", then(stop)),
            Drain::Left { stop } => format!("deregistered, {}", then(stop)),
            Drain::Stopping => "Asterisk is being stopped".to_owned(),
        }
    }
}

/// How many channels there are.
pub(crate) fn remaining(channels: usize) -> String {
    match channels {
        0 => "no channel remains".to_owned(),
        1 => "1 channel remains".to_owned(),
        count => format!("{count} channels remain"),
    }
}

fn passed(then: SystemTime, now: SystemTime) -> String {
    let seconds = now.duration_since(then).unwrap_or_default().as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn shown(report: &Report, channels: usize) -> String {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(100_000);
        report.lines(channels, now).join("\n")
    }

    fn report() -> Report {
        Report {
            id: "eid".to_owned(),
            name: "asterisk".to_owned(),
            address: "10.0.0.1 port 5060".to_owned(),
            standing: Standing::Registered(SystemTime::UNIX_EPOCH + Duration::from_secs(99_800)),
            check: Some("ttl"),
            health: Some((Status::Passing, "Asterisk 22.10.1 is up".to_owned())),
            ..Report::default()
        }
    }

    #[test]
    fn a_node_that_is_well() {
        let wanted = "Service 'asterisk'\n  Id:           eid\n  Address:      10.0.0.1 port 5060\n  \
                      Registered:   yes, for 3 min 20 s\n  \
                      Check:        passing, Asterisk 22.10.1 is up\n  Maintenance:  off\n  \
                      Drain:        none\n  Duplicate:    none";
        assert_eq!(shown(&report(), 0), wanted);
    }

    #[test]
    fn a_drain_tells_what_remains() {
        let drained = |drain, channels| shown(&Report { drain, ..report() }, channels);
        let text = drained(Drain::begin(false), 1);
        assert!(text.contains("Drain:        waiting, 1 channel remains\n"), "{text}");
        let text = drained(Drain::begin(true), 3);
        assert!(
            text.contains("waiting, 3 channels remain, and then Asterisk is stopped"),
            "{text}"
        );
        let text = drained(Drain::Left { stop: false }, 0);
        assert!(text.contains("deregistered, no channel remains"), "{text}");
    }

    #[test]
    fn maintenance_tells_who_wants_it_and_whether_consul_has_it() {
        let maintained = Report {
            maintenance: Some("new disk".to_owned()),
            maintenance_by: vec!["an operator", "the drain"],
            ..report()
        };
        let text = shown(&maintained, 0);
        let wanted = "wanted, not in Consul yet, by an operator and the drain: new disk";
        assert!(text.contains(wanted), "{text}");
        let text = shown(&Report { maintenance_is_on: true, ..maintained }, 0);
        assert!(text.contains("Maintenance:  on, by an operator"), "{text}");
    }

    #[test]
    fn what_consul_tells_forges_no_line() {
        let maintained = Report {
            maintenance: Some("x\n  Registered: no\x1b[2J".to_owned()),
            maintenance_by: vec!["an operator"],
            maintenance_is_on: true,
            duplicate: Some("'eid' is also at \n  Trouble: none".to_owned()),
            ..report()
        };
        let text = shown(&maintained, 0);
        assert_eq!(text.lines().count(), 8, "{text}");
        assert!(!text.contains('\x1b'), "{text}");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (standing, part) in [
            (Standing::Beginning, "not answered yet"),
            (Standing::Off, "enabled = no"),
            (Standing::NoAddress("interface 'eth0' …".to_owned()), "no, interface 'eth0'"),
            (Standing::Drained, "undrain"),
        ] {
            assert!(shown(&Report { standing, ..report() }, 0).contains(part));
        }
        let failing = Report { failure: Some("Consul does not answer: x".to_owned()), ..report() };
        assert!(shown(&failing, 0).contains("Trouble:      Consul does not answer: x"));
    }
}
