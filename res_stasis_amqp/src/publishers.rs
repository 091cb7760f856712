// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The workers: one thread for each connection of the configuration.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use asterisk::boundary::guard;
use asterisk::thread::{self, Thread};

use crate::config::Settings;
use crate::counters::Counters;
use crate::identity::Identity;
use crate::outbox::Outbox;
use crate::publisher::{Bell, Observer, PublishSettings, Worker};
use crate::status::{ConnectionState, ConnectionStatus};

/// What a worker may take to close its connection and end its threads, after the drain.
const CLOSING: Duration = Duration::from_millis(1500);

/// Between two lives of a worker that panicked.
const RESTART: Duration = Duration::from_secs(1);

/// How often, meanwhile, it looks whether it is to stop.
const RESTART_LOOK: Duration = Duration::from_millis(20);

/// Rings every worker; what the outbox calls from Asterisk's threads.
#[derive(Clone, Default)]
pub(crate) struct Bells(Arc<Mutex<Vec<Bell>>>);

impl Bells {
    pub(crate) fn ring(&self) {
        for bell in &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            bell.ring();
        }
    }

    fn set(&self, bells: Vec<Bell>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = bells;
    }
}

pub(crate) struct Publishers {
    identity: Identity,
    bells: Bells,
    running: Mutex<Vec<Arc<Running>>>,
    /// Told to stop by a reload, which does not wait for them.
    retired: Mutex<Vec<Arc<Running>>>,
}

struct Running {
    worker: Worker,
    thread: Thread,
}

impl Running {
    fn start(name: &str, eid: &str) -> Result<Self, String> {
        let worker = Worker::new(name, eid, Log, enrol)
            .map_err(|error| format!("connection '{name}' cannot be started: {error}"))?;
        let working = worker.clone();
        let thread = thread::spawn(&format!("amqp {name}"), move || work(&working))
            .map_err(|error| format!("connection '{name}' has no thread: {error}"))?;
        Ok(Self { worker, thread })
    }

    /// Joins it within `limit`. `false` if code of it still runs.
    fn join_within(&self, limit: Duration) -> bool {
        self.thread.join_within(limit) && self.worker.threads_left() == 0
    }
}

/// Runs a worker until it is stopped, again after a panic.
fn work(worker: &Worker) {
    loop {
        match guard(None, || Some(worker.run())) {
            Some(Ok(())) => return,
            Some(Err(error)) => {
                asterisk::error!("connection '{}' cannot be served: {error}", worker.name());
            }
            None => {
                asterisk::error!("the worker of connection '{}' starts again", worker.name());
            }
        }
        let again = Instant::now() + RESTART;
        while Instant::now() < again {
            if worker.is_stopping() {
                return;
            }
            std::thread::sleep(RESTART_LOOK);
        }
    }
}

impl Publishers {
    pub(crate) fn new(identity: Identity) -> Self {
        Self {
            identity,
            bells: Bells::default(),
            running: Mutex::default(),
            retired: Mutex::default(),
        }
    }

    /// Who publishes.
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    pub(crate) fn bells(&self) -> Bells {
        self.bells.clone()
    }

    fn running(&self) -> MutexGuard<'_, Vec<Arc<Running>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn retired(&self) -> MutexGuard<'_, Vec<Arc<Running>>> {
        self.retired.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells each worker what its section says now, starts those that are new, and stops those
    /// whose section is gone. Waits for nothing.
    pub(crate) fn apply(
        &self,
        settings: &Settings,
        outbox: &Arc<Outbox>,
        counters: &Arc<Counters>,
    ) -> Result<(), String> {
        let connections: &[_] = if settings.enabled { &settings.connections } else { &[] };
        let mut running = self.running();

        let (kept, gone) = std::mem::take(&mut *running)
            .into_iter()
            .partition::<Vec<_>, _>(|one| connections.iter().any(|c| c.name == one.worker.name()));
        *running = kept;
        for one in &gone {
            one.worker.begin_stop(Duration::ZERO);
        }
        let mut retired = self.retired();
        retired.retain(|one| !one.join_within(Duration::ZERO));
        retired.extend(gone);
        drop(retired);

        for connection in connections {
            if !running.iter().any(|one| one.worker.name() == connection.name) {
                running.push(Arc::new(Running::start(&connection.name, &self.identity.eid)?));
            }
        }
        self.bells.set(running.iter().map(|one| one.worker.bell()).collect());

        let publish = settings.publishing().map(|stasis| {
            let publish = PublishSettings {
                exchange: stasis.exchange.clone(),
                exchange_type: stasis.exchange_type,
                declare_exchange: stasis.declare_exchange,
                persistent: stasis.persistent,
                confirms: stasis.confirms,
                mandatory: stasis.mandatory,
                identity: self.identity.clone(),
                outbox: Arc::clone(outbox),
                counters: Arc::clone(counters),
            };
            (stasis.connection.as_str(), publish)
        });
        // The one that publishes no more gives back first, so that the other finds all in order.
        let mut order: Vec<_> = connections.iter().collect();
        order.sort_by_key(|c| publish.as_ref().is_some_and(|(name, _)| *name == c.name));
        for connection in order {
            let publish = publish.as_ref().filter(|(name, _)| *name == connection.name);
            for one in running.iter().filter(|one| one.worker.name() == connection.name) {
                one.worker
                    .configure(connection.clone(), publish.map(|(_, publish)| publish.clone()));
            }
        }
        Ok(())
    }

    /// The status of each connection, in the order of the file.
    pub(crate) fn statuses(&self) -> Vec<(String, Arc<ConnectionStatus>)> {
        let running = self.running();
        running.iter().map(|one| (one.worker.name().to_owned(), one.worker.status())).collect()
    }

    /// The worker of connection `name`.
    pub(crate) fn worker(&self, name: &str) -> Option<Worker> {
        self.running().iter().find(|one| one.worker.name() == name).map(|one| one.worker.clone())
    }

    /// Stops all workers: they deliver what they can within `drain`, then end. All are asked at
    /// once, so the whole takes no longer than one.
    ///
    /// # Errors
    ///
    /// The connection whose threads do not end; it may be asked again.
    pub(crate) fn stop(&self, drain: Duration) -> Result<(), String> {
        let mut all = self.running().clone();
        all.extend(self.retired().iter().cloned());
        for one in &all {
            one.worker.begin_stop(drain);
        }
        // Not under the locks: who asks for the status meanwhile is told it.
        let (ended, left): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|one| one.join_within(drain + CLOSING));
        for list in [&self.running, &self.retired] {
            let mut list = list.lock().unwrap_or_else(PoisonError::into_inner);
            list.retain(|one| !ended.iter().any(|ended| Arc::ptr_eq(ended, one)));
        }
        match left.first() {
            None => Ok(()),
            Some(one) => {
                Err(format!("the threads of connection '{}' do not end", one.worker.name()))
            }
        }
    }
}

impl Drop for Publishers {
    /// If an unload never came to it: the threads must be gone before the module is.
    fn drop(&mut self) {
        while let Err(reason) = self.stop(Duration::ZERO) {
            asterisk::warning!("{reason}");
        }
    }
}

/// Shows a thread in `core show threads`.
fn enrol(name: &str) -> Box<dyn Send> {
    Box::new(thread::register_current(name))
}

/// One line in Asterisk's log for each change of a connection's state.
struct Log;

impl Observer for Log {
    fn state(&self, connection: &str, state: &ConnectionState) {
        match state {
            ConnectionState::Connected { .. } => {
                asterisk::notice!("connection '{connection}': {state}");
            }
            ConnectionState::Blocked { .. } => {
                asterisk::warning!("connection '{connection}': {state}");
            }
            _ if state.failure().is_some() => {
                asterisk::warning!("connection '{connection}': {state}");
            }
            _ => asterisk::debug!(1, "connection '{connection}': {state}"),
        }
    }

    fn refused(&self, connection: &str, routing_key: &str, reason: &str) {
        asterisk::warning!(
            "connection '{connection}': the broker refuses an event with the routing key \
             '{routing_key}' ({reason}); such events are dropped and counted as dropped_refused"
        );
    }
}
