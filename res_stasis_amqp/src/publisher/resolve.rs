// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Name look-ups, each on a thread of its own that is known until it has ended.
//!
//! `getaddrinfo` cannot be interrupted, and tokio's pool would leave its thread running when the
//! runtime goes. An address needs no look-up and no thread.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::threads::{Enrol, Leftover, Trace};

/// Look-ups that may hang at one time; one for each name, so this bounds the names.
const MOST_RUNNING: usize = 8;

type Answer = Arc<Mutex<Option<io::Result<Vec<SocketAddr>>>>>;

struct Lookup {
    host: String,
    port: u16,
    answer: Answer,
    thread: Trace,
}

pub(super) struct Resolver {
    enrol: Enrol,
    running: Vec<Lookup>,
}

impl Resolver {
    pub(super) fn new(enrol: Enrol) -> Self {
        Self { enrol, running: Vec::new() }
    }

    /// The addresses of `host`. A look-up that took too long is taken up again by the next call.
    pub(super) async fn resolve(
        &mut self,
        host: &str,
        port: u16,
        timeout: Duration,
    ) -> Result<Vec<SocketAddr>, String> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let (answer, thread) = self.look_up(host, port)?;
        if tokio::time::timeout(timeout, thread.over()).await.is_err() {
            return Err(format!("no answer from the resolver for host {host}"));
        }
        self.running.retain(|lookup| !Arc::ptr_eq(&lookup.answer, &answer) || !thread.gone());
        let answer = answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        match answer {
            Some(Ok(addresses)) if addresses.is_empty() => {
                Err(format!("host {host} has no address"))
            }
            Some(Ok(addresses)) => Ok(addresses),
            Some(Err(error)) => Err(format!("cannot resolve host {host}: {error}")),
            None => Err(format!("the look-up of host {host} ended without an answer")),
        }
    }

    fn look_up(&mut self, host: &str, port: u16) -> Result<(Answer, Trace), String> {
        self.running.retain(|lookup| !lookup.thread.gone());
        let same = |lookup: &&Lookup| {
            lookup.host == host
                && lookup.port == port
                && (!lookup.thread.is_over() || lookup.answered())
        };
        if let Some(lookup) = self.running.iter().find(same) {
            return Ok((lookup.answer.clone(), lookup.thread.clone()));
        }
        if self.running.len() >= MOST_RUNNING {
            return Err(format!("host {host} must wait: too many look-ups hang"));
        }
        let (answer, thread) = (Answer::default(), Trace::default());
        let (lifeline, trace) = (thread.lifeline(), thread.clone());
        let (name, sink, enrol) = (host.to_owned(), answer.clone(), self.enrol);
        std::thread::Builder::new()
            .name("amqp-resolver".into())
            .spawn(move || {
                trace.this_thread("amqp-resolver", enrol);
                let found = (name.as_str(), port).to_socket_addrs().map(Iterator::collect);
                *sink.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
                drop(lifeline);
            })
            .map_err(|error| format!("cannot start a look-up of host {host}: {error}"))?;
        let lookup =
            Lookup { host: host.to_owned(), port, answer: answer.clone(), thread: thread.clone() };
        self.running.push(lookup);
        Ok((answer, thread))
    }

    pub(super) fn leave(&mut self, leftover: &mut Leftover) {
        self.running.drain(..).for_each(|lookup| leftover.push(lookup.thread));
    }
}

impl Lookup {
    fn answered(&self) -> bool {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn resolve(resolver: &mut Resolver, host: &str) -> Result<Vec<SocketAddr>, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(resolver.resolve(host, 5672, Duration::from_secs(30)))
    }

    #[test]
    fn an_address_of_either_family_starts_no_thread() {
        let mut resolver = Resolver::new(|_| Box::new(()));
        for host in ["127.0.0.1", "::1"] {
            let found = resolve(&mut resolver, host).unwrap();
            assert_eq!(found, [SocketAddr::new(host.parse().unwrap(), 5672)]);
        }
        assert!(resolver.running.is_empty());
    }

    #[test]
    fn a_name_is_resolved_and_its_thread_leaves() {
        let mut resolver = Resolver::new(|_| Box::new(()));
        let found = resolve(&mut resolver, "localhost").unwrap();
        assert!(found.iter().all(|address| address.ip().is_loopback()));
        let mut leftover = Leftover::default();
        resolver.leave(&mut leftover);
        assert_eq!(leftover.wait(Instant::now() + Duration::from_secs(5)), 0);
    }
}
