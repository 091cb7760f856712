// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! One application: what it is to be, what it is, and the next step.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use asterisk::stasis_amqp::Standing;
use asterisk::stasis_app::NO_SOURCE;

use crate::note::Note;
use crate::value::{Filter, Wish};

/// When what could not be done is tried again.
const AGAIN: Duration = Duration::from_secs(2);

/// The same for what the host writes into the log each time.
const RARELY: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(crate) struct App {
    /// None: its key is gone, and it is to go too.
    key: Option<Key>,
    stage: Stage,
    /// The filter that was set; none: none was.
    filter: Option<Filter>,
    /// What it was subscribed to, by us: the host counts.
    sources: BTreeSet<String>,
    /// What it could not be subscribed to, and when that is tried again.
    missing: BTreeMap<String, Missing>,
    /// Why the filter could not be set, and when that is tried again.
    unset: Option<Missing>,
}

#[derive(Debug)]
struct Key {
    value: Vec<u8>,
    wish: Wish,
}

#[derive(Debug)]
struct Missing {
    why: &'static str,
    again: Instant,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// It is not there: the next step creates it.
    #[default]
    Absent,
    /// It is there, and ours.
    Active,
    /// It could not be created, or was taken over; it is tried again at that time.
    Waiting(Obstacle, Instant),
}

/// Why there is no application of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Obstacle {
    /// Another ARI client has the name.
    Held,
    /// `res_stasis_amqp` publishes nothing.
    Off,
    /// The host has no memory.
    Failed,
}

/// Something to be done for an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Create,
    End,
    SetFilter(Filter),
    Subscribe(String),
    Unsubscribe(String),
}

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Of [`Step::Create`].
    Stands(Standing),
    Done,
    Failed(&'static str),
}

/// An application, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) state: &'static str,
    pub(crate) is_active: bool,
    /// As it was set, or what it should be and why it is not.
    pub(crate) filter: Option<(Filter, Option<&'static str>)>,
    /// What it is to be subscribed to, and why it is not.
    pub(crate) sources: Vec<(String, Option<&'static str>)>,
}

impl App {
    pub(crate) fn has_value(&self, value: &[u8]) -> bool {
        self.key.as_ref().is_some_and(|key| key.value == value)
    }

    pub(crate) fn set_wish(&mut self, value: Vec<u8>, wish: Wish) {
        self.missing.retain(|source, _| wish.sources.contains(source));
        self.unset = None;
        self.key = Some(Key { value, wish });
    }

    pub(crate) fn unset_wish(&mut self) {
        self.key = None;
    }

    pub(crate) fn is_active(&self) -> bool {
        self.stage == Stage::Active
    }

    pub(crate) fn is_subscribed(&self) -> bool {
        !self.sources.is_empty()
    }

    /// Whether nothing is to be done or kept for it any more.
    pub(crate) fn is_over(&self) -> bool {
        self.key.is_none() && !self.is_active() && self.sources.is_empty()
    }

    pub(crate) fn next(&self, now: Instant) -> Option<Step> {
        match (self.stage, &self.key) {
            (Stage::Active, None) => Some(Step::End),
            (Stage::Active, Some(key)) => self.adjustment(&key.wish, now),
            (Stage::Absent, _) => self.key.is_some().then_some(Step::Create),
            (Stage::Waiting(_, again), key) => {
                // The new owner has what we asked for only; what it asked for stays counted.
                let ours = self.sources.first().cloned().map(Step::Unsubscribe);
                ours.or_else(|| (key.is_some() && again <= now).then_some(Step::Create))
            }
        }
    }

    /// What makes an application that is there as it is to be.
    fn adjustment(&self, wish: &Wish, now: Instant) -> Option<Step> {
        let due = |missing: Option<&Missing>| missing.is_none_or(|missing| missing.again <= now);
        if wish.filter != self.filter && due(self.unset.as_ref()) {
            return Some(Step::SetFilter(wish.filter.clone().unwrap_or_default()));
        }
        if let Some(surplus) = self.sources.difference(&wish.sources).next() {
            return Some(Step::Unsubscribe(surplus.clone()));
        }
        let mut lacking = wish.sources.difference(&self.sources);
        let source = lacking.find(|source| due(self.missing.get(*source)))?;
        Some(Step::Subscribe(source.clone()))
    }

    pub(crate) fn done(
        &mut self,
        name: &str,
        step: &Step,
        outcome: Outcome,
        now: Instant,
    ) -> Option<Note> {
        match (step, outcome) {
            (Step::Create, Outcome::Stands(standing)) => self.created(name, standing, now),
            (Step::End, _) => {
                self.forget();
                None
            }
            (Step::SetFilter(_), Outcome::Failed(why)) => {
                let first = self.unset.is_none();
                self.unset = Some(Missing { why, again: now + AGAIN });
                first.then(|| {
                    Note::Warning(format!("application '{name}' is without its filter: {why}"))
                })
            }
            (Step::SetFilter(_), _) => {
                self.unset = None;
                self.filter = self.key.as_ref().and_then(|key| key.wish.filter.clone());
                None
            }
            (Step::Subscribe(source), Outcome::Failed(why)) => {
                let again = now + if why == NO_SOURCE { AGAIN } else { RARELY };
                let missing = Missing { why, again };
                let first = self.missing.insert(source.clone(), missing).is_none();
                first.then(|| {
                    Note::Notice(format!(
                        "application '{name}' is not subscribed to '{source}' yet: {why}; it is \
                         tried again until it works"
                    ))
                })
            }
            (Step::Subscribe(source), _) => {
                self.missing.remove(source);
                self.sources.insert(source.clone());
                None
            }
            // What is not there any more has taken its subscriptions along.
            (Step::Unsubscribe(source), _) => {
                self.sources.remove(source);
                None
            }
            (Step::Create, _) => None,
        }
    }

    fn created(&mut self, name: &str, standing: Standing, now: Instant) -> Option<Note> {
        let obstacle = match standing {
            Standing::Ours => {
                self.forget();
                self.stage = Stage::Active;
                return None;
            }
            Standing::Held => Obstacle::Held,
            Standing::Off => Obstacle::Off,
            Standing::Absent | Standing::Failed => Obstacle::Failed,
        };
        self.wait(name, obstacle, now)
    }

    fn wait(&mut self, name: &str, obstacle: Obstacle, now: Instant) -> Option<Note> {
        let is_new = !matches!(self.stage, Stage::Waiting(before, _) if before == obstacle);
        self.stage = Stage::Waiting(obstacle, now + AGAIN);
        match obstacle {
            Obstacle::Held => is_new.then(|| {
                Note::Notice(format!(
                    "application '{name}' belongs to another ARI client and is left to it; it is \
                     created when the name is free"
                ))
            }),
            Obstacle::Failed => is_new.then(|| {
                Note::Warning(format!("application '{name}' cannot be created, it is tried again"))
            }),
            Obstacle::Off => None,
        }
    }

    pub(crate) fn seen(&mut self, name: &str, standing: Standing, now: Instant) -> Option<Note> {
        if !self.is_active() {
            return None;
        }
        match standing {
            Standing::Ours | Standing::Off | Standing::Failed => None,
            Standing::Held => {
                self.filter = None;
                self.missing.clear();
                self.wait(name, Obstacle::Held, now)
            }
            Standing::Absent => {
                self.forget();
                self.key.as_ref().map(|_| {
                    Note::Notice(format!(
                        "application '{name}' was ended by ARI; it is created again"
                    ))
                })
            }
        }
    }

    pub(crate) fn lost(&mut self, source: &str) {
        self.sources.remove(source);
    }

    /// There is none, so nothing of it is either.
    fn forget(&mut self) {
        self.stage = Stage::Absent;
        self.filter = None;
        self.sources.clear();
        self.missing.clear();
        self.unset = None;
    }

    pub(crate) fn row(&self, name: &str) -> Row {
        let state = match self.stage {
            _ if self.key.is_none() => "ending",
            Stage::Absent => "to be created",
            Stage::Active => "active",
            Stage::Waiting(Obstacle::Held, _) => "held by another client",
            Stage::Waiting(Obstacle::Off, _) => "AMQP off",
            Stage::Waiting(Obstacle::Failed, _) => "not created",
        };
        let wish = self.key.as_ref().map(|key| key.wish.clone()).unwrap_or_default();
        let why = |missing: Option<&Missing>| missing.map(|missing| missing.why);
        let sources = wish.sources.into_iter().map(|source| {
            let why = why(self.missing.get(&source));
            (source, why)
        });
        Row {
            name: name.to_owned(),
            state,
            is_active: self.is_active(),
            filter: wish.filter.map(|filter| (filter, why(self.unset.as_ref()))),
            sources: sources.collect(),
        }
    }
}
