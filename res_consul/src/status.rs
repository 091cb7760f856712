// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! How the connection is, in words for operators, and what led there.
//!
//! Many requests speak of one connection: silence concerns it as a whole, and holds until there is
//! an answer; what concerns one request (refused, failing, not readable, the only one without an
//! answer) holds until that request fares better, or is not made any more. So one that fails while
//! others are answered does not have the state change with each of them.

mod counters;
mod verdict;

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use asterisk::consul::provide::State;

use crate::http::{Fault, Request, named};
use crate::threads::Level;

pub(crate) use counters::Counters;
pub(crate) use verdict::{Verdict, words_of};

/// A trouble of one request that has not come up again for so long is past.
const TROUBLE_LASTS: Duration = Duration::from_secs(60);

/// Between two lines about refused tokens.
const REFUSAL_LINES: Duration = Duration::from_secs(60);

/// Troubles that are remembered.
const MOST_TROUBLES: usize = 64;

/// What the connection as a whole was last seen to be.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    /// Nothing was asked yet.
    Nothing,
    Answering,
    Silent(String),
}

/// A trouble of one request.
#[derive(Debug)]
struct Trouble {
    state: State,
    reason: String,
    last: Instant,
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

/// From what Consul came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Back {
    /// From silence: what waits may wait on a dead connection.
    Silence,
    /// From a fault of its own.
    Fault,
    /// From refusals: it keeps to itself what a token may not see, and so may have told a query that
    /// waits of less than there is now to see.
    Refusal,
}

/// What follows from something that was noted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Consequence {
    /// For the log.
    pub lines: Vec<Line>,
    /// Consul is there again after it was not, or permits what it has refused.
    pub came_back: Option<Back>,
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
    /// The requests that had no answer when they were last made, and when that was.
    silences: BTreeMap<String, Instant>,
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
            silences: BTreeMap::new(),
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
        self.silences.remove(&key);
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
            Verdict::Failing(words) => {
                let reason = format!("{key}: {words}");
                self.failed(&reason);
                self.trouble(key, State::Failing, reason, now);
            }
            Verdict::Unreadable(reason) => self.unusable(key, reason, now),
        }
        self.settle(Seen::Answering, lines, now)
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
        match fault {
            Fault::Unreachable(_) => {
                let reason_of_key = format!("{key}: {reason}");
                self.failed(&reason_of_key);
                if !request.wait.is_zero() {
                    // What stands in between may end a query that waits. The next one, which does
                    // not, will tell.
                    return self.look(now);
                }
                let alone = self.is_silent_alone(&key);
                if self.silences.len() < MOST_TROUBLES || self.silences.contains_key(&key) {
                    self.silences.insert(key.clone(), now);
                }
                if alone {
                    self.trouble(key, State::Failing, reason_of_key, now);
                    return self.settle(Seen::Answering, Vec::new(), now);
                }
                self.settle(Seen::Silent(reason), Vec::new(), now)
            }
            Fault::Unusable(_) => {
                self.heard = Some(now);
                self.unusable(key, &reason, now);
                self.settle(Seen::Answering, Vec::new(), now)
            }
            Fault::Disabled | Fault::Ending | Fault::Interrupted | Fault::Invalid(_) => {
                Consequence::default()
            }
        }
    }

    /// Whether others have been answered since this request had no answer, and it has none again.
    /// While others have none either, it is Consul that is away.
    fn is_silent_alone(&self, key: &str) -> bool {
        let is_away = matches!(self.seen, Seen::Silent(_));
        let last = self.silences.get(key).filter(|_| !is_away);
        last.is_some_and(|last| self.heard.is_some_and(|heard| heard > *last))
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
        self.silences.retain(|_, last| now.saturating_duration_since(*last) <= TROUBLE_LASTS);
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
            self.counters.reconnects += u64::from(self.was_reachable);
        }
        consequence.came_back = match before {
            _ if !is_there(state) => None,
            State::Unreachable => Some(Back::Silence),
            State::Failing => Some(Back::Fault),
            State::Refused => Some(Back::Refusal),
            State::Reachable | State::Unknown | State::Disabled => None,
        };
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
