// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Which applications are to be registered, what Consul's agent has, and the next request between
//! them. Pure: it is told what came of each request.
//!
//! What the agent has is known from a listing and what was done since. It is listed again every few
//! seconds and after a failure, so that an agent that was wiped, or a service that somebody added
//! or removed, is noticed.
//!
//! The agent writes into the catalog, which all others see, with the token that a service was
//! registered with. If that is revoked by the time the service is to go, the agent lets it go, and the
//! catalog keeps it for ever. So such a service is registered once more before it goes.

mod failure;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use asterisk::backoff::Backoff;

pub(crate) use failure::Failure;
use failure::{Pause, refused_backoff, unreachable_backoff};

use crate::note::Note;

/// How old a listing may become. The registrations of an agent that was wiped are back within 10 s.
const LISTING: Duration = Duration::from_secs(5);

/// How long services that no application is known of yet are left alone after the first listing: the
/// keys may come any moment.
const LEFTOVERS: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Ledger {
    phase: Phase,
    /// Names by ids.
    wanted: BTreeMap<String, String>,
    /// What the agent has by ids, and the name it has it under; none where it is not as it should
    /// be.
    present: BTreeMap<String, Option<String>>,
    /// Ids that were registered with a token that does not apply any more, which the agent still uses
    /// for them.
    stale: BTreeSet<String>,
    logins: u64,
    /// Ids of which the two differ, and for which a request may be made now.
    to_do: BTreeSet<String>,
    /// Ids of requests under way, and how often the token had changed when they began.
    under_way: BTreeMap<String, u64>,
    /// Ids that Consul refused, when they are tried again, and why.
    refused: BTreeMap<String, (Instant, String)>,
    is_listing: bool,
    /// When the agent is to be asked what it has.
    list_at: Option<Instant>,
    /// Nothing is asked until then.
    pause: Option<Pause>,
    unreachable: Backoff,
    forbidden: Backoff,
    /// The kind of refusal that was logged.
    said: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The module is off. What is there of it is removed, no more.
    Off,
    /// The keys are not known yet, so what the agent has beyond is left alone, until the time given,
    /// once there is one.
    Starting(Option<Instant>),
    /// The agent is to have what is wanted and nothing else.
    Running,
    /// All is to go, and nothing is tried twice.
    Ending,
    /// No more requests.
    Over,
}

/// A request to be made of the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    List,
    Register { id: String, name: String },
    Deregister { id: String },
}

/// What a line to Consul is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Do(Task),
    /// Nothing until then, or until something changes.
    Wait(Option<Instant>),
    /// Nothing any more.
    End,
}

/// What the agent answered to a [`Task::List`]; nothing to the others.
pub(crate) type Listing = BTreeMap<String, Option<String>>;

/// How an application stands with Consul.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Registration {
    Registered,
    /// Why not, where that is known.
    Missing(Option<String>),
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self {
            phase: Phase::Off,
            wanted: BTreeMap::new(),
            present: BTreeMap::new(),
            stale: BTreeSet::new(),
            logins: 0,
            to_do: BTreeSet::new(),
            under_way: BTreeMap::new(),
            refused: BTreeMap::new(),
            is_listing: false,
            list_at: None,
            pause: None,
            unreachable: unreachable_backoff(),
            forbidden: refused_backoff(),
            said: None,
        }
    }

    /// The module is on: the agent is asked what it has.
    pub(crate) fn begin(&mut self, now: Instant) {
        if self.phase == Phase::Off {
            self.phase = Phase::Starting(None);
            self.list_at = Some(now);
        }
    }

    /// The keys are known and their applications created, so what else there is may go. Whether
    /// that is new.
    pub(crate) fn settle(&mut self) -> bool {
        let is_new = matches!(self.phase, Phase::Starting(_));
        if is_new {
            self.phase = Phase::Running;
            self.sort_all();
        }
        is_new
    }

    /// The module is off: all is to go.
    pub(crate) fn switch_off(&mut self) {
        if !matches!(self.phase, Phase::Ending | Phase::Over) {
            self.phase = Phase::Off;
            self.wanted.clear();
            self.refused.clear();
            self.sort_all();
        }
    }

    /// The end: what is there is removed as long as Consul does so.
    pub(crate) fn finish(&mut self) {
        if self.phase != Phase::Over {
            self.phase = Phase::Ending;
            self.wanted.clear();
            self.refused.clear();
            self.pause = None;
            self.sort_all();
        }
    }

    /// The end, at once.
    pub(crate) fn give_up(&mut self) {
        self.phase = Phase::Over;
    }

    /// How many services are left with the agent, as far as is known.
    pub(crate) fn left(&self) -> usize {
        self.present.len()
    }

    /// The token has changed so often. If that is more than before, all is registered again.
    pub(crate) fn set_logins(&mut self, logins: u64) {
        if std::mem::replace(&mut self.logins, logins) != logins {
            self.stale = self.present.keys().cloned().collect();
            self.sort_all();
        }
    }

    pub(crate) fn want(&mut self, id: String, name: &str) {
        if !matches!(self.phase, Phase::Ending | Phase::Over) {
            self.refused.remove(&id);
            self.wanted.insert(id.clone(), name.to_owned());
            self.sort(id);
        }
    }

    pub(crate) fn unwant(&mut self, id: String) {
        if self.wanted.remove(&id).is_some() {
            self.refused.remove(&id);
            self.sort(id);
        }
    }

    /// How the application of that id stands.
    pub(crate) fn registration(&self, id: &str) -> Registration {
        if self.present.get(id).is_some_and(|name| name.is_some()) {
            return Registration::Registered;
        }
        let refused = self.refused.get(id).map(|(_, reason)| reason.clone());
        Registration::Missing(refused.or_else(|| self.trouble().map(str::to_owned)))
    }

    /// Why Consul is not asked for the moment.
    pub(crate) fn trouble(&self) -> Option<&str> {
        self.pause.as_ref().map(|pause| pause.reason.as_str())
    }

    /// What is to be done now. A task that is given must be answered by [`Ledger::done`].
    pub(crate) fn next(&mut self, now: Instant) -> Next {
        if self.phase == Phase::Over || self.phase == Phase::Ending && self.is_cleared() {
            return Next::End;
        }
        if let Some(pause) = self.pause.as_ref().filter(|pause| pause.until > now) {
            return Next::Wait(Some(pause.until));
        }
        if self.is_listing {
            return Next::Wait(None);
        }
        if let Phase::Starting(Some(until)) = self.phase
            && until <= now
        {
            self.settle();
        }
        let list_at = match self.phase {
            Phase::Starting(_) | Phase::Running => self.list_at,
            Phase::Off | Phase::Ending | Phase::Over => None,
        };
        if list_at.is_some_and(|at| at <= now) {
            // Alone, so that it tells what came of all that was asked before.
            if !self.under_way.is_empty() {
                return Next::Wait(None);
            }
            self.is_listing = true;
            return Next::Do(Task::List);
        }
        self.try_again(now);
        let Some(id) = self.to_do.pop_first() else {
            let again = self.refused.values().map(|(again, _)| *again).min();
            return Next::Wait([list_at, again].into_iter().flatten().min());
        };
        self.under_way.insert(id.clone(), self.logins);
        Next::Do(match self.wanted.get(&id).or_else(|| self.not_to_go_yet(&id)).cloned() {
            Some(name) => Task::Register { id, name },
            None => Task::Deregister { id },
        })
    }

    /// Tells what came of a task.
    pub(crate) fn done(
        &mut self,
        task: Task,
        result: Result<Listing, Failure>,
        now: Instant,
    ) -> Option<Note> {
        match (task, result) {
            (Task::List, Ok(listing)) => {
                self.is_listing = false;
                self.list_at = Some(now + LISTING);
                self.pause = None;
                self.forbidden.reset();
                let note = self.listed(listing, now);
                // An agent that lists may still fail at all that is to be done.
                if self.to_do.is_empty() && self.refused.is_empty() {
                    self.unreachable.reset();
                }
                note
            }
            (Task::List, Err(failure)) => {
                self.is_listing = false;
                self.failed(failure, None, now)
            }
            (Task::Register { id, name }, Ok(_)) => {
                let began = self.under_way.remove(&id);
                self.reached();
                self.present.insert(id.clone(), Some(name));
                // With which token it was made is not known if that has changed meanwhile.
                if began == Some(self.logins) {
                    self.stale.remove(&id);
                } else {
                    self.stale.insert(id.clone());
                }
                self.sort(id);
                self.all_is_well()
            }
            (Task::Deregister { id }, Ok(_)) => {
                self.under_way.remove(&id);
                self.reached();
                // If it was stale it was not asked for: the token has changed meanwhile, and what
                // has gone from the agent may stay in the catalog.
                if self.not_to_go_yet(&id).is_none() {
                    self.present.remove(&id);
                    self.stale.remove(&id);
                }
                self.sort(id);
                None
            }
            (Task::Register { id, name }, Err(failure)) => {
                let what = match self.wanted.contains_key(&id) {
                    true => format!("application '{name}' is not registered in Consul"),
                    false => not_deregistered(&id),
                };
                self.failed(failure, Some((id, what)), now)
            }
            (Task::Deregister { id }, Err(failure)) => {
                let what = not_deregistered(&id);
                self.failed(failure, Some((id, what)), now)
            }
        }
    }

    fn listed(&mut self, listing: Listing, now: Instant) -> Option<Note> {
        let lost = self.wanted.keys().filter(|id| {
            self.present.get(*id).is_some_and(Option::is_some) && !listing.contains_key(*id)
        });
        let lost = lost.count();
        self.present = listing;
        self.stale.retain(|id| self.present.contains_key(id));
        if self.phase == Phase::Starting(None) {
            self.phase = Phase::Starting(Some(now + LEFTOVERS));
        }
        self.sort_all();
        let text = "applications are not registered in Consul any more; they are registered again";
        (lost > 0).then(|| Note::Notice(format!("{lost} {text}")))
    }

    fn failed(
        &mut self,
        failure: Failure,
        of: Option<(String, String)>,
        now: Instant,
    ) -> Option<Note> {
        let of_all = of.is_none();
        let what = of.map(|(id, what)| {
            self.under_way.remove(&id);
            if let Some(delay) = failure.delay_of_one() {
                self.refused.insert(id.clone(), (now + delay, failure.reason().to_owned()));
            }
            self.sort(id);
            what
        });
        // Several requests fail at once where one is the cause: that counts once.
        let is_paused = self.pause.as_ref().is_some_and(|pause| pause.until > now);
        if failure.is_of_all(of_all) && !is_paused {
            let is_refusal = matches!(failure, Failure::Forbidden(_));
            let backoff = if is_refusal { &mut self.forbidden } else { &mut self.unreachable };
            let until = now + backoff.next_delay();
            self.pause = Some(Pause { until, reason: failure.reason().to_owned() });
            self.list_at = Some(now);
        }
        if self.phase == Phase::Ending && matches!(failure, Failure::NoAnswer(_)) {
            self.phase = Phase::Over;
        }
        // A connection that fails is what res_consul logs.
        let kind = failure.kind()?;
        if self.said.as_deref() == Some(kind.as_str()) {
            return None;
        }
        self.said = Some(kind);
        let what = what.unwrap_or_else(|| "Consul does not tell its services".to_owned());
        Some(Note::Warning(format!("{what}: {}", failure.reason())))
    }

    fn reached(&mut self) {
        self.pause = None;
        self.unreachable.reset();
        self.forbidden.reset();
    }

    fn all_is_well(&mut self) -> Option<Note> {
        let is_well = self.to_do.is_empty() && self.under_way.is_empty() && self.refused.is_empty();
        let _ = self.said.as_ref().filter(|_| is_well)?;
        self.said = None;
        Some(Note::Notice("all applications are registered in Consul".to_owned()))
    }

    /// The name of a service that is to be registered with the token of now before it may go. One
    /// that somebody has altered has that one's token.
    fn not_to_go_yet(&self, id: &str) -> Option<&String> {
        self.present.get(id).filter(|_| self.stale.contains(id))?.as_ref()
    }

    fn is_cleared(&self) -> bool {
        self.to_do.is_empty() && self.under_way.is_empty() && !self.is_listing
    }

    fn try_again(&mut self, now: Instant) {
        let due = self.refused.iter().filter(|(_, (again, _))| *again <= now);
        let due: Vec<String> = due.map(|(id, _)| id.clone()).collect();
        for id in due {
            self.refused.remove(&id);
            self.sort(id);
        }
    }

    fn sort_all(&mut self) {
        let ids: BTreeSet<&String> =
            self.wanted.keys().chain(self.present.keys()).chain(&self.to_do).collect();
        for id in ids.into_iter().cloned().collect::<Vec<_>>() {
            self.sort(id);
        }
    }

    /// Puts an id where it belongs: to do, or not.
    fn sort(&mut self, id: String) {
        let differs = match (self.wanted.get(&id), self.present.get(&id)) {
            (Some(name), present) => {
                present.and_then(Option::as_ref) != Some(name) || self.stale.contains(&id)
            }
            (None, Some(_)) => !matches!(self.phase, Phase::Starting(_)),
            (None, None) => false,
        };
        if differs && !self.under_way.contains_key(&id) && !self.refused.contains_key(&id) {
            self.to_do.insert(id);
        } else {
            self.to_do.remove(&id);
        }
    }
}

fn not_deregistered(id: &str) -> String {
    format!("service '{id}' is not deregistered from Consul")
}

#[cfg(test)]
mod tests;
