// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Name look-ups, each on a thread of its own that is known until it has ended.
//!
//! `getaddrinfo` cannot be interrupted; whoever waits for one can. An address needs no look-up and
//! no thread.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Fault;
use crate::threads::{Host, Started};

/// Look-ups that may hang at one time; one for each name, so this bounds the names.
const MOST_RUNNING: usize = 8;

/// How often whoever waits looks whether it is still to wait.
const LOOK: Duration = Duration::from_millis(50);

type Found = Result<Vec<SocketAddr>, String>;

/// What a look-up has found, or will.
#[derive(Default)]
struct Answer {
    found: Mutex<Option<Found>>,
    told: Condvar,
}

struct LookUp {
    host: String,
    port: u16,
    answer: Arc<Answer>,
    thread: Arc<dyn Started>,
}

/// How a name is looked up, as the system does.
type Ask = fn(&str, u16) -> Found;

/// The look-ups of the whole module.
pub(crate) struct Resolver {
    host: Arc<dyn Host>,
    ask: Ask,
    running: Mutex<Vec<LookUp>>,
}

impl Resolver {
    pub(crate) fn new(host: Arc<dyn Host>) -> Self {
        Self::asking(host, |name, port| {
            let found = (name, port).to_socket_addrs();
            found.map(Iterator::collect).map_err(|error| error.to_string())
        })
    }

    fn asking(host: Arc<dyn Host>, ask: Ask) -> Self {
        Self { host, ask, running: Mutex::default() }
    }

    fn running(&self) -> MutexGuard<'_, Vec<LookUp>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The addresses of `name`. A look-up that took too long is taken up again by the next call.
    pub(super) fn resolve(
        &self,
        name: &str,
        port: u16,
        limit: Duration,
        is_cut: &dyn Fn() -> bool,
    ) -> Result<Vec<SocketAddr>, Fault> {
        if let Ok(address) = name.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let answer = self.look_up(name, port).map_err(Fault::Unreachable)?;
        let found = answer.wait(Instant::now() + limit, is_cut);
        self.running().retain(|look_up| !look_up.thread.join_within(Duration::ZERO));
        match found {
            _ if is_cut() => Err(Fault::Interrupted),
            Some(Ok(addresses)) if addresses.is_empty() => {
                Err(Fault::Unreachable(format!("host {name} has no address")))
            }
            Some(Ok(addresses)) => Ok(addresses),
            Some(Err(reason)) => {
                Err(Fault::Unreachable(format!("cannot resolve host {name}: {reason}")))
            }
            None => Err(Fault::Unreachable(format!("no answer from the resolver for host {name}"))),
        }
    }

    fn look_up(&self, name: &str, port: u16) -> Result<Arc<Answer>, String> {
        let mut running = self.running();
        running.retain(|look_up| !look_up.thread.join_within(Duration::ZERO));
        let same = |look_up: &&LookUp| look_up.host == name && look_up.port == port;
        if let Some(look_up) = running.iter().find(same) {
            return Ok(Arc::clone(&look_up.answer));
        }
        if running.len() >= MOST_RUNNING {
            return Err(format!("host {name} must wait: too many look-ups hang"));
        }
        let answer = Arc::new(Answer::default());
        let (asked, told, ask) = (name.to_owned(), Arc::clone(&answer), self.ask);
        let work = move || told.give(ask(&asked, port));
        let thread = self
            .host
            .spawn("consul-resolver", Box::new(work))
            .map_err(|error| format!("cannot start a look-up of host {name}: {error}"))?;
        let host = name.to_owned();
        running.push(LookUp { host, port, answer: Arc::clone(&answer), thread });
        Ok(answer)
    }

    /// Waits for the look-ups that run.
    ///
    /// # Errors
    ///
    /// The name of one that has not ended within `limit`. It can be asked again.
    pub(crate) fn end(&self, limit: Duration) -> Result<(), String> {
        let deadline = Instant::now() + limit;
        let mut running = self.running();
        running.retain(|look_up| {
            !look_up.thread.join_within(deadline.saturating_duration_since(Instant::now()))
        });
        match running.first() {
            None => Ok(()),
            Some(look_up) => Err(format!("the look-up of host {} does not return", look_up.host)),
        }
    }
}

impl Answer {
    fn give(&self, found: Found) {
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
        self.told.notify_all();
    }

    fn wait(&self, deadline: Instant, is_cut: &dyn Fn() -> bool) -> Option<Found> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if found.is_some() || left.is_zero() || is_cut() {
                return found.clone();
            }
            let waited = self.told.wait_timeout(found, left.min(LOOK));
            found = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::tests::TestHost;

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn an_address_of_either_family_starts_no_thread() {
        let resolver = Resolver::new(Arc::new(TestHost::default()));
        for host in ["127.0.0.1", "::1"] {
            let found = resolver.resolve(host, 8500, LONG, &|| false).unwrap();
            assert_eq!(found, [SocketAddr::new(host.parse().unwrap(), 8500)]);
        }
        assert!(resolver.running().is_empty());
    }

    #[test]
    fn a_name_is_resolved_and_its_thread_ends() {
        let resolver = Resolver::new(Arc::new(TestHost::default()));
        let found = resolver.resolve("localhost", 8500, LONG, &|| false).unwrap();
        assert!(found.iter().all(|address| address.ip().is_loopback()));
        assert_eq!(resolver.end(LONG), Ok(()));
    }

    #[test]
    fn a_failure_names_the_host() {
        let ask = |_: &str, _| Err("no such name".to_owned());
        let resolver = Resolver::asking(Arc::new(TestHost::default()), ask);
        let fault = resolver.resolve("consul.example", 8500, LONG, &|| false).unwrap_err();
        let reason = "cannot resolve host consul.example: no such name";
        assert_eq!(fault, Fault::Unreachable(reason.to_owned()));
    }

    #[test]
    fn one_that_hangs_is_left_by_who_waits_and_named_at_the_end() {
        static HANGS: AtomicBool = AtomicBool::new(true);
        let ask = |_: &str, _| {
            while HANGS.load(Ordering::Acquire) {
                std::thread::sleep(Duration::from_millis(1));
            }
            Ok(vec![])
        };
        let resolver = Resolver::asking(Arc::new(TestHost::default()), ask);
        let short = Duration::from_millis(20);
        let fault = resolver.resolve("hangs", 1, short, &|| false).unwrap_err();
        assert!(fault.reason().contains("no answer from the resolver"), "{fault}");
        // The same look-up again, not another thread; this time whoever waits is cut.
        assert_eq!(resolver.resolve("hangs", 1, LONG, &|| true), Err(Fault::Interrupted));
        assert_eq!(resolver.running().len(), 1);
        let refusal = resolver.end(short).unwrap_err();
        assert_eq!(refusal, "the look-up of host hangs does not return");
        HANGS.store(false, Ordering::Release);
        assert_eq!(resolver.end(LONG), Ok(()));
    }
}
