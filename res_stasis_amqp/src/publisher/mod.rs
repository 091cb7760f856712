// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The publisher: one worker for each `type=connection` section, each on one thread of its own.
//!
//! A [`Worker`] is the host's handle, usable on any thread. [`Worker::run`] is the work; it owns a
//! tokio runtime, the AMQP connection and everything on it, and when it returns nothing of that
//! runs any more. Between the two there are only mutexes, atomics and a socket pair.

mod bell;
mod desk;
mod dial;
mod exchange;
mod failure;
mod gate;
mod greeting;
mod host;
mod in_flight;
mod kit;
mod link;
mod login;
mod message;
mod orders;
mod pace;
mod resolve;
mod roots;
mod service;
mod session;
mod stream;
mod tempo;
mod test_send;
mod threads;
mod tls;
mod under_way;
mod worker;

use std::io;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

pub(crate) use bell::Bell;
pub(crate) use threads::Enrol;

use crate::answer::Waiting;
use crate::config::{ConnectionSettings, ExchangeType};
use crate::counters::Counters;
use crate::identity::Identity;
use crate::outbox::Outbox;
use crate::status::{ConnectionState, ConnectionStatus};
use link::Link;
use orders::{Orders, TestSend};
use threads::Leftover;
use worker::Crew;

/// How long threads that nobody can join are waited for at the end.
const LAST_WAIT: Duration = Duration::from_millis(700);

/// What to publish on a connection, and how.
#[derive(Clone)]
pub(crate) struct PublishSettings {
    /// The exchange; empty is the default exchange, which is neither declared nor checked.
    pub(crate) exchange: String,
    /// What it is declared as.
    pub(crate) exchange_type: ExchangeType,
    /// Declare it, durable; otherwise it must exist.
    pub(crate) declare_exchange: bool,
    /// Delivery mode 2.
    pub(crate) persistent: bool,
    /// Keep every event until the server has confirmed it.
    pub(crate) confirms: bool,
    /// Have the server return what no queue is bound for, to count it.
    pub(crate) mandatory: bool,
    /// Who publishes.
    pub(crate) identity: Identity,
    /// Where the events come from.
    pub(crate) outbox: Arc<Outbox>,
    /// Where they are counted.
    pub(crate) counters: Arc<Counters>,
}

impl PublishSettings {
    /// Whether nothing has to be done to publish as `other` says.
    fn is(&self, other: &Self) -> bool {
        self.exchange == other.exchange
            && self.exchange_type == other.exchange_type
            && self.declare_exchange == other.declare_exchange
            && self.persistent == other.persistent
            && self.confirms == other.confirms
            && self.mandatory == other.mandatory
            && self.identity == other.identity
            && Arc::ptr_eq(&self.outbox, &other.outbox)
            && Arc::ptr_eq(&self.counters, &other.counters)
    }
}

/// Is told when a connection changes state: once for each change, on the worker's thread.
pub(crate) trait Observer: Send + Sync {
    /// `connection` is the section's name.
    fn state(&self, connection: &str, state: &ConnectionState);

    /// The same of an event that the broker closed the channel for: once a minute at most.
    fn refused(&self, connection: &str, routing_key: &str, reason: &str);
}

struct Shared {
    name: String,
    eid: String,
    id: u64,
    observer: Box<dyn Observer>,
    enrol: Enrol,
    status: Arc<ConnectionStatus>,
    orders: Orders,
    bell: Bell,
    ear: UnixStream,
    finished: AtomicBool,
    /// Threads of its runs that could not be waited for.
    left: Mutex<Leftover>,
}

impl Shared {
    fn enter(&self, state: ConnectionState) {
        if self.status.enter(state.clone()) {
            self.observer.state(&self.name, &state);
        }
    }

    fn fail(&self, state: ConnectionState, next_attempt: Instant) {
        let is_new = self.status.enter(state.clone());
        // Before it is told of: whoever looks then sees when it is tried again.
        self.status.retry_at(next_attempt);
        if is_new {
            self.observer.state(&self.name, &state);
        }
    }

    fn refused(&self, key: &str, reason: &str) {
        if self.status.refused(key, reason, Instant::now()) {
            self.observer.refused(&self.name, key, reason);
        }
    }

    fn logged_in(&self, link: &Link) {
        let again = self.status.logged_in(link.server.as_deref().unwrap_or_default());
        if again && let Some(publish) = self.orders.wanted().and_then(|wanted| wanted.publish) {
            publish.counters.reconnects.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn connection_name(&self) -> String {
        format!("asterisk {} {}", self.eid, self.name)
    }
}

/// The handle on one connection's worker. Every method but [`run`](Self::run) may be called on any
/// thread, returns at once unless it says otherwise, and leaves nothing behind on that thread.
#[derive(Clone)]
pub(crate) struct Worker(Arc<Shared>);

impl Worker {
    /// A worker for section `name` on node `eid`. It does nothing until it is run. `enrol` is called
    /// on each thread that a library starts for it.
    ///
    /// # Errors
    ///
    /// When no socket pair can be made: the process is out of file descriptors.
    pub(crate) fn new(
        name: &str,
        eid: &str,
        observer: impl Observer + 'static,
        enrol: Enrol,
    ) -> io::Result<Self> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let (bell, ear) = bell::pair()?;
        Ok(Self(Arc::new(Shared {
            name: name.into(),
            eid: eid.into(),
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            observer: Box::new(observer),
            enrol,
            status: Arc::new(ConnectionStatus::default()),
            orders: Orders::default(),
            bell,
            ear,
            finished: AtomicBool::new(false),
            left: Mutex::default(),
        })))
    }

    /// The section's name.
    pub(crate) fn name(&self) -> &str {
        &self.0.name
    }

    /// What an outbox rings when its consumer sleeps.
    pub(crate) fn bell(&self) -> Bell {
        self.0.bell.clone()
    }

    /// The connection's state, to read at any time.
    pub(crate) fn status(&self) -> Arc<ConnectionStatus> {
        self.0.status.clone()
    }

    /// From now on, connect like this and publish that. Does the least: the same settings change
    /// nothing, other publishing opens another channel, another connection replaces the first.
    /// What is unconfirmed then goes back to its outbox. Without `publish` the connection is held
    /// but not used.
    pub(crate) fn configure(
        &self,
        connection: ConnectionSettings,
        publish: Option<PublishSettings>,
    ) {
        self.0.orders.configure(connection, publish);
        self.0.bell.ring();
    }

    /// Sends `message` to `queue` and waits, up to `timeout`, for the server's word on it.
    ///
    /// # Errors
    ///
    /// A sentence for the operator: not connected and why, no such queue, refused, no answer.
    pub(crate) fn test_send(
        &self,
        queue: &str,
        message: &str,
        timeout: Duration,
    ) -> Result<(), String> {
        if self.finished() {
            return Err("the connection has been ended".into());
        }
        let waiting = Waiting::default();
        self.0.orders.send(TestSend {
            queue: queue.into(),
            message: message.into(),
            deadline: Instant::now() + timeout,
            answer: waiting.answer("the connection ended before the server answered"),
        });
        self.0.bell.ring();
        waiting.wait(timeout)
    }

    /// Ends the worker: it publishes what its outbox holds, for as long as the connection is good
    /// and no longer than `drain`, and closes. The rest stays in the outbox.
    pub(crate) fn begin_stop(&self, drain: Duration) {
        self.0.orders.stop(Instant::now() + drain);
        self.0.bell.ring();
    }

    /// Whether it was told to end.
    pub(crate) fn is_stopping(&self) -> bool {
        self.0.orders.stopping().is_some()
    }

    /// Whether `run` has returned for good.
    pub(crate) fn finished(&self) -> bool {
        self.0.finished.load(Ordering::Acquire)
    }

    /// How many threads of it, beside the one that runs it, still run the module's code, which
    /// therefore must stay mapped. May be asked again.
    pub(crate) fn threads_left(&self) -> usize {
        self.0.left.lock().unwrap_or_else(PoisonError::into_inner).count()
    }

    /// The work, from now until it is stopped, on the thread that calls this and on no other but
    /// those it ends, or that are left. After a panic it may be run again: what was in flight is back
    /// in its outbox, the settings are as they were.
    ///
    /// # Errors
    ///
    /// When the runtime cannot be set up, for want of file descriptors. Run it again later.
    pub(crate) fn run(&self) -> io::Result<()> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let ear = {
            let _context = runtime.enter();
            bell::Ear::new(&self.0.ear)?
        };
        let mut crew = Crew::new(&self.0, ear);
        let worked = catch_unwind(AssertUnwindSafe(|| runtime.block_on(crew.work())));
        let Crew { roots, .. } = crew;
        let leftover = roots.end(runtime, Instant::now() + LAST_WAIT);
        // Also after a panic: the next run knows nothing of them.
        self.0.left.lock().unwrap_or_else(PoisonError::into_inner).extend(leftover);
        if let Err(panic) = worked {
            resume_unwind(panic);
        }
        self.0.finished.store(true, Ordering::Release);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use asterisk::config::{Entry, Section};

    static HELD: Mutex<()> = Mutex::new(());

    struct Panics;

    impl Observer for Panics {
        fn state(&self, _: &str, state: &ConnectionState) {
            assert!(state.failure().is_none(), "on purpose");
        }

        fn refused(&self, _: &str, _: &str, _: &str) {}
    }

    /// A look-up that hangs as long as the test holds this.
    fn hang(_: &str) -> Box<dyn Send> {
        drop(HELD.lock());
        Box::new(())
    }

    #[test]
    fn a_thread_that_a_panic_left_is_known_until_it_ends() {
        let options = [
            ("type", "connection"),
            ("url", "amqp://a@localhost/"),
            ("connection_timeout", "100ms"),
        ];
        let entry =
            |(name, value): (&str, &str)| Entry { name: name.into(), value: value.into(), line: 1 };
        let section = Section {
            name: "bunny".into(),
            file: "amqp.conf".into(),
            entries: options.map(entry).into(),
        };
        let (settings, _) = config::parse(&[section], &|path| panic!("{path} is read"));
        let worker = Worker::new("bunny", "e", Panics, hang).unwrap();
        worker.configure(settings.connections[0].clone(), None);
        let held = HELD.lock().unwrap();
        assert!(catch_unwind(AssertUnwindSafe(|| worker.run())).is_err());
        assert_eq!(worker.threads_left(), 1);
        worker.begin_stop(Duration::ZERO);
        worker.run().unwrap();
        assert_eq!(worker.threads_left(), 1);
        drop(held);
        let deadline = Instant::now() + Duration::from_secs(20);
        while worker.threads_left() > 0 {
            assert!(Instant::now() < deadline, "it is still known");
            std::thread::yield_now();
        }
    }
}
