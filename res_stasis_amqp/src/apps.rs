// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The Stasis applications whose events are published.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use asterisk::json::Value;
use asterisk::stasis_amqp::Standing;
use asterisk::stasis_app::{self, App, Handler};

use crate::feed::Feed;
use crate::labels::Labels;

/// Why an application could not be created.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CreateError {
    #[error("an application needs a name")]
    Unnamed,
    #[error("nothing is published: amqp.conf is disabled or has no section of type stasis")]
    Off,
    #[error("the application '{0}' belongs to another client")]
    Held(String),
    #[error("{0}")]
    Refused(String),
}

/// There is no such application, or another client has it.
#[derive(Debug, thiserror::Error)]
#[error("there is no application '{0}' here")]
pub(crate) struct Unknown(String);

pub(crate) struct Apps {
    feed: Arc<Feed>,
    held: Mutex<HashMap<String, Held>>,
    /// Set when another client takes one over: there is something to forget.
    some_lost: Arc<AtomicBool>,
}

enum Held<A = App> {
    /// Being registered by another thread.
    Coming,
    Registered(Arc<A>),
}

/// Takes out `name`, unless it is still coming: then it is that thread's to put in.
fn take<A>(held: &mut HashMap<String, Held<A>>, name: &str) -> Option<Arc<A>> {
    match held.remove(name)? {
        Held::Registered(app) => Some(app),
        coming @ Held::Coming => {
            held.insert(name.to_owned(), coming);
            None
        }
    }
}

impl Held {
    fn is_lost(&self) -> bool {
        matches!(self, Self::Registered(app) if app.is_replaced())
    }
}

impl Apps {
    pub(crate) fn new(feed: Arc<Feed>) -> Self {
        Self { feed, held: Mutex::default(), some_lost: Arc::default() }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<String, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Creates `name`, unless it is there. Not to be called from a handler.
    pub(crate) fn create(&self, name: &str) -> Result<(), CreateError> {
        if name.is_empty() {
            return Err(CreateError::Unnamed);
        }
        if !self.feed.is_open() {
            return Err(CreateError::Off);
        }
        self.forget_lost();
        let lost = {
            let mut held = self.held();
            if held.get(name).is_some_and(|held| !held.is_lost()) {
                return Ok(());
            }
            held.insert(name.to_owned(), Held::Coming)
        };
        drop(lost); // waits for handlers, so not under the lock
        // Without the lock: registering may call a handler, which logs and no more, but the rule of
        // the host is to hold nothing.
        let registered = self.register(name);
        let mut held = self.held();
        match registered {
            Ok(app) => {
                held.insert(name.to_owned(), Held::Registered(Arc::new(app)));
                drop(held);
                asterisk::notice!("publishing the events of application '{name}'");
                Ok(())
            }
            Err(error) => {
                held.remove(name);
                Err(error)
            }
        }
    }

    /// The host gives any name to whoever asks last, so look first.
    fn register(&self, name: &str) -> Result<App, CreateError> {
        if stasis_app::exists(name) {
            return Err(CreateError::Held(name.to_owned()));
        }
        let events = Events {
            labels: OnceLock::new(),
            feed: Arc::clone(&self.feed),
            some_lost: Arc::clone(&self.some_lost),
        };
        App::register(name, events).map_err(CreateError::Refused)
    }

    /// Ends `name`. Not to be called from a handler.
    pub(crate) fn remove(&self, name: &str) -> Result<(), Unknown> {
        self.forget_lost();
        let app = take(&mut self.held(), name).ok_or_else(|| Unknown(name.to_owned()))?;
        drop(app); // waits for handlers, so not under the lock
        asterisk::notice!("application '{name}' ended");
        Ok(())
    }

    /// How `name` stands.
    pub(crate) fn standing(&self, name: &str) -> Standing {
        let ours = self.held().get(name).is_some_and(|held| !held.is_lost());
        match ours {
            true => Standing::Ours,
            false if stasis_app::exists(name) => Standing::Held,
            false => Standing::Absent,
        }
    }

    /// Names in alphabetical order.
    pub(crate) fn names(&self) -> Vec<String> {
        let held = self.held();
        let ours = held.iter().filter(|(_, held)| !held.is_lost());
        let mut names: Vec<String> = ours.map(|(name, _)| name.clone()).collect();
        drop(held);
        names.sort_unstable();
        names
    }

    /// Ends all applications within `limit` each. `false` if a handler still runs; it may be asked
    /// again.
    pub(crate) fn end(&self, limit: Duration) -> bool {
        let apps: Vec<(String, Arc<App>)> = self
            .held()
            .iter()
            .filter_map(|(name, held)| match held {
                Held::Coming => None,
                Held::Registered(app) => Some((name.clone(), Arc::clone(app))),
            })
            .collect();
        let mut all = true;
        for (name, app) in apps {
            if app.end(limit) {
                self.held().remove(&name);
            } else {
                all = false;
            }
        }
        all
    }

    /// Lets go of what another client has taken over; not done when it happens, which is inside a
    /// handler. Costs nothing where nothing was.
    fn forget_lost(&self) {
        if !self.some_lost.swap(false, Ordering::AcqRel) {
            return;
        }
        let mut held = self.held();
        let lost: Vec<String> =
            held.iter().filter(|(_, held)| held.is_lost()).map(|(name, _)| name.clone()).collect();
        let lost: Vec<Option<Held>> = lost.iter().map(|name| held.remove(name)).collect();
        drop(held);
        drop(lost); // waits for handlers, so not under the lock
    }
}

struct Events {
    /// Made with the first event, of the name that the host has then.
    labels: OnceLock<Labels>,
    feed: Arc<Feed>,
    some_lost: Arc<AtomicBool>,
}

impl Handler for Events {
    fn event(&self, app: &str, event: &Value) {
        self.feed.app_event(self.labels.get_or_init(|| Labels::of(app)), event);
    }

    fn replaced(&self, app: &str) {
        self.some_lost.store(true, Ordering::Release);
        asterisk::warning!(
            "another client has taken over the application '{app}', its events are no longer published"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_thread_registers_is_not_taken_from_it() {
        let registered = Held::Registered(Arc::new(7));
        let mut held =
            HashMap::from([("coming".to_owned(), Held::Coming), ("there".to_owned(), registered)]);
        assert_eq!(take(&mut held, "coming"), None);
        assert!(matches!(held.get("coming"), Some(Held::Coming)));
        assert_eq!(take(&mut held, "there").as_deref(), Some(&7));
        assert_eq!(take(&mut held, "there"), None);
        assert!(!held.contains_key("there"));
    }
}
