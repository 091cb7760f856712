// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! How the node is, in the words of a health check, and why.

use std::fmt;

/// A check's status, the better first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Status {
    /// Calls are welcome.
    Passing,
    /// It works, and something is wrong.
    Warning,
    /// No calls.
    Critical,
}

impl Status {
    pub(crate) const ALL: [Self; 3] = [Self::Passing, Self::Warning, Self::Critical];

    /// As Consul has it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Passing => "passing",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// What the node's health is judged by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Asterisk's own version.
    pub version: String,
    /// Whether Asterisk has finished its start.
    pub is_booted: bool,
    /// What the configured interface lacks; the address that is registered may be gone.
    pub no_address: Option<String>,
    /// What `res_stasis_amqp` answers, if it is there.
    pub amqp: Option<Amqp>,
    /// Task processors above their high-water mark.
    pub overloaded: u32,
    /// Who else has our id.
    pub duplicate: Option<String>,
}

/// The state of publishing to RabbitMQ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Amqp {
    pub state: String,
    pub detail: String,
    pub events: u64,
    pub events_max: u64,
    /// Why its spool does not work, if it does not.
    pub broken_spool: Option<String>,
}

impl Amqp {
    /// From the answer of the AMI action `AMQPStatus`; none if it is none of success.
    pub(crate) fn from_answer(answer: &str) -> Option<Self> {
        let header = |name: &str| {
            answer.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
            })
        };
        let number = |name| header(name).and_then(|text| text.parse().ok()).unwrap_or(0);
        header("Response").filter(|word| word.eq_ignore_ascii_case("Success"))?;
        Some(Self {
            state: header("State")?.to_owned(),
            detail: header("Detail").unwrap_or_default().to_owned(),
            events: number("Events"),
            events_max: number("EventsMax"),
            broken_spool: header("SpoolState")
                .filter(|state| *state == "broken")
                .map(|state| header("SpoolDetail").unwrap_or(state).to_owned()),
        })
    }

    fn is_connected(&self) -> bool {
        matches!(self.state.as_str(), "idle" | "connected")
    }

    fn is_half_full(&self) -> bool {
        self.events > self.events_max / 2 && self.events_max > 0
    }
}

/// Something wrong with the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    NotBooted,
    NoAddress(String),
    NotConnected(String),
    HalfFull { events: u64, events_max: u64 },
    BrokenSpool(String),
    Overloaded(u32),
    Duplicate(String),
}

impl Fault {
    fn status(&self) -> Status {
        match self {
            Self::NotBooted | Self::NoAddress(_) => Status::Critical,
            Self::NotConnected(_)
            | Self::HalfFull { .. }
            | Self::BrokenSpool(_)
            | Self::Overloaded(_)
            | Self::Duplicate(_) => Status::Warning,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotBooted => f.write_str("Asterisk is not fully booted"),
            Self::NoAddress(reason) => write!(f, "no address: {reason}"),
            Self::NotConnected(detail) => write!(f, "AMQP is not connected: {detail}"),
            Self::HalfFull { events, events_max } => {
                write!(f, "the queue of events is more than half full: {events} of {events_max}")
            }
            Self::BrokenSpool(detail) => write!(f, "the spool of events is {detail}"),
            Self::Overloaded(count) => write!(
                f,
                "Asterisk is overloaded: {count} task processors are above their limit, and calls \
                 may be refused"
            ),
            Self::Duplicate(holder) => write!(f, "duplicate identity: {holder}"),
        }
    }
}

/// How the node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Health {
    faults: Vec<Fault>,
    version: String,
}

impl Health {
    pub(crate) fn judge(facts: &Facts) -> Self {
        let mut faults = Vec::new();
        if !facts.is_booted {
            faults.push(Fault::NotBooted);
        }
        faults.extend(facts.no_address.clone().map(Fault::NoAddress));
        if let Some(amqp) = &facts.amqp {
            if !amqp.is_connected() {
                let text = if amqp.detail.is_empty() { &amqp.state } else { &amqp.detail };
                faults.push(Fault::NotConnected(text.clone()));
            }
            if amqp.is_half_full() {
                let Amqp { events, events_max, .. } = *amqp;
                faults.push(Fault::HalfFull { events, events_max });
            }
            faults.extend(amqp.broken_spool.clone().map(Fault::BrokenSpool));
        }
        if facts.overloaded > 0 {
            faults.push(Fault::Overloaded(facts.overloaded));
        }
        faults.extend(facts.duplicate.clone().map(Fault::Duplicate));
        Self { faults, version: facts.version.clone() }
    }

    /// The worst there is.
    pub(crate) fn status(&self) -> Status {
        self.faults.iter().map(Fault::status).max().unwrap_or(Status::Passing)
    }

    /// Why, or that all is well.
    pub(crate) fn output(&self) -> String {
        if self.faults.is_empty() {
            return format!("Asterisk {} is up", self.version);
        }
        let faults: Vec<String> = self.faults.iter().map(Fault::to_string).collect();
        faults.join("; ")
    }

    /// Whether an operator would read something else of it: other faults, not other numbers.
    pub(crate) fn is_news_after(&self, before: &Self) -> bool {
        let kinds =
            |health: &Self| health.faults.iter().map(std::mem::discriminant).collect::<Vec<_>>();
        kinds(self) != kinds(before)
    }

    /// Whether there is no more to it than that Asterisk is starting.
    pub(crate) fn is_starting(&self) -> bool {
        self.faults == [Fault::NotBooted]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn well() -> Facts {
        Facts { version: "22.10.1".to_owned(), is_booted: true, ..Facts::default() }
    }

    fn amqp(state: &str, events: u64) -> Option<Amqp> {
        let detail = format!("{state}, in a sentence");
        Some(Amqp { state: state.to_owned(), detail, events, events_max: 100, broken_spool: None })
    }

    #[test]
    fn every_fault_has_its_status_and_its_sentence() {
        let judged = |facts: Facts| {
            let health = Health::judge(&facts);
            (health.status(), health.output())
        };
        let is = |status, text: &str| (status, text.to_owned());
        assert_eq!(judged(well()), is(Status::Passing, "Asterisk 22.10.1 is up"));
        assert_eq!(
            judged(Facts { is_booted: false, ..well() }),
            is(Status::Critical, "Asterisk is not fully booted")
        );
        assert_eq!(
            judged(Facts { no_address: Some("interface 'eth0' …".to_owned()), ..well() }),
            is(Status::Critical, "no address: interface 'eth0' …")
        );
        assert_eq!(
            judged(Facts { amqp: amqp("unreachable", 0), ..well() }),
            is(Status::Warning, "AMQP is not connected: unreachable, in a sentence")
        );
        for fine in ["idle", "connected"] {
            assert_eq!(judged(Facts { amqp: amqp(fine, 50), ..well() }).0, Status::Passing);
        }
        assert_eq!(
            judged(Facts { amqp: amqp("connected", 51), ..well() }),
            is(Status::Warning, "the queue of events is more than half full: 51 of 100")
        );
        assert_eq!(judged(Facts { overloaded: 1, ..well() }).0, Status::Warning);
        assert_eq!(
            judged(Facts { duplicate: Some("it is at 10.0.0.2".to_owned()), ..well() }),
            is(Status::Warning, "duplicate identity: it is at 10.0.0.2")
        );
    }

    #[test]
    fn the_worst_counts_and_all_are_told() {
        let facts = Facts { is_booted: false, overloaded: 2, amqp: amqp("blocked", 99), ..well() };
        let health = Health::judge(&facts);
        assert_eq!(health.status(), Status::Critical);
        assert_eq!(health.output().split("; ").count(), 4);
    }

    #[test]
    fn other_numbers_are_no_news() {
        let health = |facts: &Facts| Health::judge(facts);
        let full = |events| Facts { amqp: amqp("connected", events), ..well() };
        assert!(health(&full(60)).is_news_after(&health(&well())));
        assert!(!health(&full(61)).is_news_after(&health(&full(60))));
        assert!(health(&well()).is_news_after(&health(&full(60))));
    }

    #[test]
    fn the_answer_of_the_action_is_read() {
        let answer = "Response: Success\r\nState: connected\r\nDetail: connected to amqp://h:5672/\r\n\
                      Events: 7\r\nEventsMax: 100\r\n\r\n";
        let read = Amqp::from_answer(answer).unwrap();
        assert_eq!(read.state, "connected");
        assert_eq!(read.detail, "connected to amqp://h:5672/");
        assert_eq!((read.events, read.events_max, &read.broken_spool), (7, 100, &None));
        let idle = answer.replace("EventsMax", "SpoolState: idle\r\nEventsMax");
        assert_eq!(Amqp::from_answer(&idle), Some(read));
        let broken = idle.replace("idle", "broken\r\nSpoolDetail: broken: /x is full");
        let facts = Facts { amqp: Amqp::from_answer(&broken), ..well() };
        let health = Health::judge(&facts);
        assert_eq!(health.output(), "the spool of events is broken: /x is full");
        assert_eq!(health.status(), Status::Warning);
        assert_eq!(Amqp::from_answer("Response: Error\r\nMessage: no\r\n\r\n"), None);
        assert_eq!(Amqp::from_answer(""), None);
    }
}
