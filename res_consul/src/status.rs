// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! How the connection is, in words for operators, and what led there.
//!
//! Many requests speak of one connection: what concerns it as a whole (silence, no leader) holds
//! until an answer says otherwise; what concerns one request (refused, not readable) holds until
//! that request fares better, or is not made any more.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use asterisk::consul::provide::State;

use crate::http::{Fault, Reply, Request, is_of_agent, named};
use crate::threads::Level;

/// A trouble of one request that has not come up again for so long is past.
const TROUBLE_LASTS: Duration = Duration::from_secs(60);

/// Between two lines about refused tokens.
const REFUSAL_LINES: Duration = Duration::from_secs(60);

/// Troubles that are remembered.
const MOST_TROUBLES: usize = 64;

/// Of what Consul says, as much is shown.
const MOST_WORDS: usize = 200;

/// What an answer says of the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All is well.
    Fine,
    /// The token does not permit it; in Consul's words.
    Refused(String),
    /// Consul has a fault of its own; in its words.
    Failing(String),
    /// This answer says something else than it should.
    Unreadable(String),
}

impl Verdict {
    /// Judges an answer by its status. What an agent's own endpoint answers with 429, 500 or 503
    /// may be about a service's health or a wrong argument: only words that tell of lost servers
    /// count there.
    pub(crate) fn of(request: &Request, reply: &Reply) -> Self {
        let words = || words_of(&reply.body, reply.status);
        match reply.status {
            403 => Self::Refused(words()),
            429 | 500..=599
                if !is_of_agent(&request.path) || tells_of_lost_servers(&reply.body) =>
            {
                Self::Failing(words())
            }
            _ => Self::Fine,
        }
    }
}

impl Verdict {
    /// What is wrong, if anything.
    pub(crate) fn reason(&self) -> &str {
        match self {
            Self::Fine => "",
            Self::Refused(reason) | Self::Failing(reason) | Self::Unreadable(reason) => reason,
        }
    }

    /// The same with other words.
    pub(crate) fn map(self, words: impl FnOnce(String) -> String) -> Self {
        match self {
            Self::Fine => Self::Fine,
            Self::Refused(reason) => Self::Refused(words(reason)),
            Self::Failing(reason) => Self::Failing(words(reason)),
            Self::Unreadable(reason) => Self::Unreadable(words(reason)),
        }
    }
}

fn tells_of_lost_servers(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body.get(..MOST_WORDS).unwrap_or(body)).to_lowercase();
    ["no cluster leader", "no known consul servers", "rpc error"]
        .iter()
        .any(|words| text.contains(words))
}

/// The first line of a body, short and without what a terminal would obey; or the status.
pub(crate) fn words_of(body: &[u8], status: u16) -> String {
    let text = String::from_utf8_lossy(body.get(..4 * MOST_WORDS).unwrap_or(body));
    let line = text.trim().lines().next().unwrap_or_default();
    let line: String = line.chars().filter(|c| !c.is_control()).take(MOST_WORDS).collect();
    match line.is_empty() {
        true => format!("status {status}"),
        false => format!("status {status}, {line}"),
    }
}

/// What the connection as a whole was last seen to be.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    /// Nothing was asked yet.
    Nothing,
    Answering,
    Silent(String),
    Failing(String),
}

/// A trouble of one request.
#[derive(Debug)]
struct Trouble {
    state: State,
    reason: String,
    last: Instant,
}

/// What has been counted since the load.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Requests made.
    pub requests: u64,
    /// Those without an answer that could be used.
    pub failures: u64,
    /// Those that Consul refused the token for.
    pub refusals: u64,
    /// How often Consul was found again.
    pub reconnects: u64,
    /// Answers to watches.
    pub wakeups: u64,
    /// Those with which something had changed.
    pub changes: u64,
    /// Queries of watches that were held back.
    pub limited: u64,
}

impl Counters {
    /// By name, for the CLI.
    pub(crate) fn values(&self) -> [(&'static str, u64); 7] {
        [
            ("requests", self.requests),
            ("failures", self.failures),
            ("refusals", self.refusals),
            ("reconnects", self.reconnects),
            ("watch wake-ups", self.wakeups),
            ("changes delivered", self.changes),
            ("limited", self.limited),
        ]
    }
}

/// What `consul show status` and the C API tell.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    pub state: State,
    /// Why it is in that state, if that is no good one.
    pub reason: Option<String>,
    pub since: SystemTime,
    pub last_answer: Option<SystemTime>,
    pub last_failure: Option<(SystemTime, String)>,
    pub counters: Counters,
}

/// A line for the log.
pub(crate) type Line = (Level, String);

/// What follows from something that was noted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Consequence {
    /// For the log.
    pub lines: Vec<Line>,
    /// Consul is there again after it was not; whether it was silent.
    pub came_back: Option<bool>,
    /// Consul is not there any more.
    pub went_away: bool,
}

/// The status of the connection.
#[derive(Debug)]
pub(crate) struct Status {
    url: String,
    enabled: bool,
    seen: Seen,
    troubles: BTreeMap<String, Trouble>,
    shown: State,
    since: SystemTime,
    heard: Option<Instant>,
    last_answer: Option<SystemTime>,
    last_failure: Option<(SystemTime, String)>,
    refusal_line: Option<Instant>,
    refusals_untold: u64,
    /// The log has a refusal that it has not taken back.
    refusal_told: bool,
    was_reachable: bool,
    counters: Counters,
}

impl Status {
    pub(crate) fn new(url: String, enabled: bool) -> Self {
        Self {
            url,
            enabled,
            seen: Seen::Nothing,
            troubles: BTreeMap::new(),
            shown: if enabled { State::Unknown } else { State::Disabled },
            since: SystemTime::now(),
            heard: None,
            last_answer: None,
            last_failure: None,
            refusal_line: None,
            refusals_untold: 0,
            refusal_told: false,
            was_reachable: false,
            counters: Counters::default(),
        }
    }

    /// Other settings apply: what was seen was seen of others. The counters go on.
    pub(crate) fn begin_again(&mut self, url: String, enabled: bool) {
        let counters = self.counters;
        let (last_answer, last_failure) = (self.last_answer, self.last_failure.take());
        *self = Self { counters, last_answer, last_failure, ..Self::new(url, enabled) };
    }

    pub(crate) fn counters(&mut self) -> &mut Counters {
        &mut self.counters
    }

    /// When Consul last answered anything.
    pub(crate) fn heard(&self) -> Option<Instant> {
        self.heard
    }

    /// Notes an answer. `token` says whether there was one.
    pub(crate) fn answered(
        &mut self,
        request: &Request,
        verdict: &Verdict,
        token: bool,
        now: Instant,
    ) -> Consequence {
        self.counters.requests += 1;
        self.heard = Some(now);
        self.last_answer = Some(SystemTime::now());
        let key = key(request);
        let mut lines = Vec::new();
        let of_agent = is_of_agent(&request.path);
        let answering = match (&self.seen, verdict) {
            (_, Verdict::Failing(reason)) => Seen::Failing(reason.clone()),
            // The agent answers this by itself, also when it has lost its servers.
            (Seen::Failing(reason), _) if of_agent => Seen::Failing(reason.clone()),
            _ => Seen::Answering,
        };
        match verdict {
            Verdict::Fine => {
                self.troubles.remove(&key);
            }
            Verdict::Refused(words) => {
                self.counters.refusals += 1;
                let reason = match token {
                    true => format!("Consul refuses the token for {key} ({words})"),
                    false => format!("Consul wants a token for {key} ({words})"),
                };
                lines.extend(self.refusal(&reason, now));
                self.failed(&reason);
                self.trouble(key, State::Refused, reason, now);
            }
            Verdict::Failing(reason) => self.failed(&format!("{key}: {reason}")),
            Verdict::Unreadable(reason) => self.unusable(key, reason, now),
        }
        self.settle(answering, lines, now)
    }

    /// Notes that there was no answer, or none that is HTTP.
    pub(crate) fn failed_with(
        &mut self,
        request: &Request,
        fault: &Fault,
        now: Instant,
    ) -> Consequence {
        let key = key(request);
        let reason = fault.reason();
        self.counters.requests += 1;
        let seen = match fault {
            Fault::Unreachable(_) => Seen::Silent(reason.clone()),
            Fault::Unusable(_) => {
                self.heard = Some(now);
                self.unusable(key, &reason, now);
                return self.settle(Seen::Answering, Vec::new(), now);
            }
            Fault::Disabled | Fault::Ending | Fault::Interrupted | Fault::Invalid(_) => {
                return Consequence::default();
            }
        };
        self.failed(&format!("{key}: {reason}"));
        self.settle(seen, Vec::new(), now)
    }

    /// Lets pass what is past.
    pub(crate) fn look(&mut self, now: Instant) -> Consequence {
        let seen = self.seen.clone();
        self.settle(seen, Vec::new(), now)
    }

    pub(crate) fn state(&self) -> State {
        self.state_and_reason().0
    }

    pub(crate) fn report(&self) -> Report {
        let (state, reason) = self.state_and_reason();
        Report {
            state,
            reason: reason.map(str::to_owned),
            since: self.since,
            last_answer: self.last_answer,
            last_failure: self.last_failure.clone(),
            counters: self.counters,
        }
    }

    fn state_and_reason(&self) -> (State, Option<&str>) {
        if !self.enabled {
            return (State::Disabled, None);
        }
        match &self.seen {
            Seen::Nothing => (State::Unknown, None),
            Seen::Silent(reason) => (State::Unreachable, Some(reason)),
            Seen::Failing(reason) => (State::Failing, Some(reason)),
            Seen::Answering => {
                let of = |state| self.troubles.values().find(move |trouble| trouble.state == state);
                of(State::Failing)
                    .or(of(State::Refused))
                    .map_or((State::Reachable, None), |t| (t.state, Some(&t.reason)))
            }
        }
    }

    fn failed(&mut self, reason: &str) {
        self.counters.failures += 1;
        self.last_failure = Some((SystemTime::now(), reason.to_owned()));
    }

    fn unusable(&mut self, key: String, reason: &str, now: Instant) {
        let reason = format!("the answer to {key} cannot be used: {reason}");
        self.failed(&reason);
        self.trouble(key, State::Failing, reason, now);
    }

    fn trouble(&mut self, key: String, state: State, reason: String, now: Instant) {
        if self.troubles.len() < MOST_TROUBLES || self.troubles.contains_key(&key) {
            self.troubles.insert(key, Trouble { state, reason, last: now });
        }
    }

    fn refusal(&mut self, reason: &str, now: Instant) -> Option<Line> {
        let is_time = |last: Instant| now.saturating_duration_since(last) >= REFUSAL_LINES;
        if !self.refusal_line.is_none_or(is_time) {
            self.refusals_untold += 1;
            return None;
        }
        self.refusal_line = Some(now);
        self.refusal_told = true;
        let before = match std::mem::take(&mut self.refusals_untold) {
            0 => String::new(),
            count => format!("; {count} more refusals since the last such line"),
        };
        Some((Level::Warning, format!("{reason}; check the token and its policies{before}")))
    }

    /// Enters what was seen, and says what has changed by that.
    fn settle(&mut self, seen: Seen, lines: Vec<Line>, now: Instant) -> Consequence {
        let is_over =
            |trouble: &Trouble| now.saturating_duration_since(trouble.last) > TROUBLE_LASTS;
        self.troubles.retain(|_, trouble| !is_over(trouble));
        self.seen = seen;
        let before = self.shown;
        let (state, reason) = self.state_and_reason();
        let reason = reason.unwrap_or_default().to_owned();
        let mut consequence = Consequence { lines, ..Consequence::default() };
        if state == before {
            return consequence;
        }
        self.shown = state;
        self.since = SystemTime::now();
        let url = &self.url;
        let is_there = |state| matches!(state, State::Reachable | State::Refused);
        if is_there(state) && !is_there(before) {
            let was_away = matches!(before, State::Unreachable | State::Failing);
            consequence.came_back = was_away.then_some(before == State::Unreachable);
            self.counters.reconnects += u64::from(self.was_reachable);
        }
        consequence.went_away = !is_there(state);
        let again = if self.was_reachable { " again" } else { "" };
        let line = match state {
            State::Reachable | State::Refused if !is_there(before) => {
                Some((Level::Notice, format!("Consul at {url} is reachable{again}")))
            }
            // What was never told needs no taking back: two requests that only look alike may be
            // refused and permitted in turn.
            State::Reachable if std::mem::take(&mut self.refusal_told) => {
                Some((Level::Notice, format!("Consul at {url} refuses nothing any more")))
            }
            State::Unreachable => {
                Some((Level::Warning, format!("Consul at {url} is unreachable: {reason}")))
            }
            State::Failing => Some((Level::Warning, format!("Consul at {url} fails: {reason}"))),
            // The refusal has its own line.
            State::Reachable | State::Refused | State::Unknown | State::Disabled => None,
        };
        self.was_reachable |= is_there(state);
        consequence.lines.extend(line);
        consequence
    }
}

/// How a request is known: requests that differ in their queries only are one.
fn key(request: &Request) -> String {
    format!("{} {}", request.method, named(&request.path))
}

#[cfg(test)]
mod tests;
