// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What is to be done so that the applications are those of Consul's keys: desired, actual, and
//! the steps between them. Pure: it is told what came of each step, and what there is to log comes
//! back as a [`Note`].

mod app;

use std::collections::BTreeMap;
use std::time::Instant;

use asterisk::stasis_amqp::Standing;

pub(crate) use app::{App, Outcome, Row, Step};

use crate::note::Note;
use crate::value;

/// A key and its value.
pub(crate) type Pair = (String, Vec<u8>);

/// All applications that a key names, and those that are still to be ended.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    apps: BTreeMap<String, App>,
    /// Said once for all: `res_stasis_amqp` is off.
    said_off: bool,
}

impl Plan {
    /// From now on the applications are to be those of `pairs`, which are all keys below `prefix`.
    pub(crate) fn set_keys(&mut self, prefix: &str, pairs: Vec<Pair>) -> Vec<Note> {
        let mut notes = Vec::new();
        let mut gone: BTreeMap<String, App> = std::mem::take(&mut self.apps);
        for (key, value) in pairs {
            let Some(name) = name_of(&key, prefix) else {
                continue;
            };
            let mut app = gone.remove(name).unwrap_or_default();
            if !app.has_value(&value) {
                let read = value::read(&value);
                if let Some(error) = read.error {
                    notes.push(Note::Error(format!(
                        "key '{key}': {error}; the application is without filter and subscriptions"
                    )));
                }
                let ignored = |warning| Note::Warning(format!("key '{key}': {warning}, ignored"));
                notes.extend(read.warnings.into_iter().map(ignored));
                app.set_wish(value, read.wish);
            }
            self.apps.insert(name.to_owned(), app);
        }
        for (name, mut app) in gone {
            app.unset_wish();
            self.keep(name, app);
        }
        notes
    }

    /// From now on there are to be no applications.
    pub(crate) fn clear(&mut self) {
        for (name, mut app) in std::mem::take(&mut self.apps) {
            app.unset_wish();
            self.keep(name, app);
        }
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.apps.keys().cloned().collect()
    }

    /// The applications that are there and ours.
    pub(crate) fn active(&self) -> Vec<String> {
        let active = self.apps.iter().filter(|(_, app)| app.is_active());
        active.map(|(name, _)| name.clone()).collect()
    }

    pub(crate) fn is_active(&self, name: &str) -> bool {
        self.apps.get(name).is_some_and(App::is_active)
    }

    /// Whether we have subscribed it to anything.
    pub(crate) fn is_subscribed(&self, name: &str) -> bool {
        self.apps.get(name).is_some_and(App::is_subscribed)
    }

    pub(crate) fn rows(&self) -> Vec<Row> {
        self.apps.iter().map(|(name, app)| app.row(name)).collect()
    }

    /// What is to be done for `name` now.
    pub(crate) fn next(&self, name: &str, now: Instant) -> Option<Step> {
        self.apps.get(name)?.next(now)
    }

    /// Tells what came of a step of [`Plan::next`].
    pub(crate) fn done(
        &mut self,
        name: &str,
        step: &Step,
        outcome: Outcome,
        now: Instant,
    ) -> Option<Note> {
        let mut app = self.apps.remove(name)?;
        let note = match outcome {
            Outcome::Stands(Standing::Off) if !self.said_off => {
                self.said_off = true;
                Some(Note::Warning(format!(
                    "application '{name}' and all others are not created: amqp.conf says to \
                     publish nothing"
                )))
            }
            Outcome::Stands(Standing::Ours) => {
                self.said_off = false;
                None
            }
            _ => None,
        };
        let note = app.done(name, step, outcome, now).or(note);
        self.keep(name.to_owned(), app);
        note
    }

    /// Tells how an application that was active stands.
    pub(crate) fn seen(&mut self, name: &str, standing: Standing, now: Instant) -> Option<Note> {
        let mut app = self.apps.remove(name)?;
        let note = app.seen(name, standing, now);
        self.keep(name.to_owned(), app);
        note
    }

    /// Tells that an application is not subscribed any more to what we have subscribed it to: the
    /// source has ended, or ARI took the subscription back.
    pub(crate) fn lost(&mut self, name: &str, source: &str) {
        if let Some(app) = self.apps.get_mut(name) {
            app.lost(source);
        }
    }

    fn keep(&mut self, name: String, app: App) {
        if !app.is_over() {
            self.apps.insert(name, app);
        }
    }
}

/// The application that a key names; a folder names none.
fn name_of<'a>(key: &'a str, prefix: &str) -> Option<&'a str> {
    key.strip_prefix(prefix).filter(|name| !name.is_empty() && !name.ends_with('/'))
}

#[cfg(test)]
mod tests;
