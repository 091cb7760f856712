// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Keeps the applications registered in Consul: threads that make the ledger's requests.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use asterisk::boundary::guard;
use asterisk::consul::{self, Client, Method, NoAnswer, Response};
use asterisk::thread::{Thread, spawn};

use crate::ledger::{Failure, Ledger, Listing, Next, Registration, Task};
use crate::note::Note;
use crate::service::{REGISTER, Services};

/// Requests at a time. An agent writes each registration to its disk, which takes milliseconds;
/// several at a time are nearly so many times as fast.
const LINES: usize = 4;

/// When the requests must have ended once they are interrupted. They take no longer than that on a
/// machine that has time for it; on one that has not, an unload that takes long is better than one
/// that is refused.
const INTERRUPTED: Duration = Duration::from_secs(5);

/// Between two lives of a line that panicked.
const RESTART: Duration = Duration::from_secs(1);

/// A line to Consul, and to the log.
trait Line {
    fn request(&self, method: Method, path: &str, body: Option<&str>)
    -> Result<Response, NoAnswer>;

    /// How often another token has come to apply.
    fn logins(&self) -> u64;

    fn log(&self, note: Note);
}

impl Line for Client {
    fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<&str>,
    ) -> Result<Response, NoAnswer> {
        Self::request(self, method, path, body)
    }

    fn logins(&self) -> u64 {
        consul::logins()
    }

    fn log(&self, note: Note) {
        note.log();
    }
}

/// The ledger and what it is written in for. May be used on any thread; nothing here waits.
pub(crate) struct Registrar {
    services: Services,
    ledger: Mutex<Ledger>,
    changed: Condvar,
}

impl Registrar {
    pub(crate) fn new(eid: &str) -> Self {
        Self {
            services: Services::of(eid),
            ledger: Mutex::new(Ledger::new()),
            changed: Condvar::new(),
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Ledger)) {
        change(&mut self.ledger());
        self.changed.notify_all();
    }

    /// Begins to keep Consul as the applications are.
    pub(crate) fn begin(&self) {
        self.change(|ledger| ledger.begin(Instant::now()));
    }

    /// The applications are all there.
    pub(crate) fn settle(&self) {
        if self.ledger().settle() {
            self.changed.notify_all();
        }
    }

    /// Deregisters all, and then asks nothing any more until [`Registrar::begin`].
    pub(crate) fn switch_off(&self) {
        self.change(Ledger::switch_off);
    }

    pub(crate) fn want(&self, name: &str) {
        self.change(|ledger| ledger.want(self.services.id(name), name));
    }

    pub(crate) fn unwant(&self, name: &str) {
        self.change(|ledger| ledger.unwant(self.services.id(name)));
    }

    /// How each of these applications stands with Consul.
    pub(crate) fn registrations<'a>(
        &self,
        names: impl Iterator<Item = &'a str>,
    ) -> Vec<Registration> {
        let ledger = self.ledger();
        names.map(|name| ledger.registration(&self.services.id(name))).collect()
    }

    /// Why Consul is not asked for the moment.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.ledger().trouble().map(str::to_owned)
    }

    /// Begins the end: deregisters all.
    pub(crate) fn finish(&self) {
        self.change(Ledger::finish);
    }

    /// How many services are left in Consul, as far as is known.
    pub(crate) fn left(&self) -> usize {
        self.ledger().left()
    }

    /// Makes requests until the end.
    fn serve(&self, line: &impl Line) {
        while let Some(task) = self.wait(line) {
            // Whatever comes of it, the others wait for that.
            let panicked = Err(Failure::Failing("internal error".to_owned()));
            let result = guard(panicked, || self.ask(line, &task));
            let mut ledger = self.ledger();
            // Before: the request itself may have shown that the token was revoked.
            ledger.set_logins(line.logins());
            let note = ledger.done(task, result, Instant::now());
            drop(ledger);
            self.changed.notify_all();
            if let Some(note) = note {
                line.log(note);
            }
        }
    }

    /// Waits for a change, for a moment at most.
    fn rest(&self) {
        drop(self.changed.wait_timeout(self.ledger(), RESTART));
    }

    fn wait(&self, line: &impl Line) -> Option<Task> {
        let mut ledger = self.ledger();
        loop {
            let now = Instant::now();
            ledger.set_logins(line.logins());
            ledger = match ledger.next(now) {
                Next::Do(task) => return Some(task),
                Next::End => return None,
                Next::Wait(None) => {
                    self.changed.wait(ledger).unwrap_or_else(PoisonError::into_inner)
                }
                Next::Wait(Some(until)) => {
                    let limit = until.saturating_duration_since(now);
                    let woken = self.changed.wait_timeout(ledger, limit);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    fn ask(&self, line: &impl Line, task: &Task) -> Result<Listing, Failure> {
        match task {
            Task::List => {
                let response = line.request(Method::Get, &self.services.list(), None);
                let body = success(response)?.body;
                let unreadable = |error| Failure::Failing(format!("its list of services: {error}"));
                self.services.listed(&body).map_err(unreadable)
            }
            Task::Register { id, name } => {
                let body = self.services.registration(id, name);
                success(line.request(Method::Put, REGISTER, Some(&body)))?;
                Ok(Listing::new())
            }
            Task::Deregister { id } => {
                let path = Services::deregister(id);
                match line.request(Method::Put, &path, None) {
                    // There was none, which is what was wanted.
                    Ok(response) if response.status == 404 => {}
                    response => drop(success(response)?),
                }
                Ok(Listing::new())
            }
        }
    }
}

fn success(response: Result<Response, NoAnswer>) -> Result<Response, Failure> {
    let response = response?;
    if response.is_success() { Ok(response) } else { Err(Failure::of(&response)) }
}

/// The threads that make the requests.
pub(crate) struct Lines {
    registrar: Arc<Registrar>,
    lines: Vec<(Arc<Client>, Thread)>,
}

impl Lines {
    pub(crate) fn start(registrar: &Arc<Registrar>) -> Result<Self, String> {
        let mut all = Self { registrar: Arc::clone(registrar), lines: Vec::with_capacity(LINES) };
        for number in 1..=LINES {
            let started = all.add(number);
            if let Err(reason) = started {
                all.end(Duration::ZERO)?;
                return Err(reason);
            }
        }
        Ok(all)
    }

    fn add(&mut self, number: usize) -> Result<(), String> {
        let client = Arc::new(Client::new("stasis_app")?);
        let (registrar, its) = (Arc::clone(&self.registrar), Arc::clone(&client));
        let rest = {
            let registrar = Arc::clone(&registrar);
            move || {
                asterisk::error!("a line to Consul starts again");
                registrar.rest();
            }
        };
        let work = move || asterisk::restarting(|| registrar.serve(&*its), rest);
        let thread = spawn(&format!("consul-reg-{number}"), work)
            .map_err(|error| format!("no thread for Consul: {error}"))?;
        self.lines.push((client, thread));
        Ok(())
    }

    /// Deregisters what can be within `limit`, and ends the threads. May be asked again.
    pub(crate) fn end(&self, limit: Duration) -> Result<(), String> {
        let deadline = Instant::now() + limit;
        self.registrar.finish();
        let left = |until: Instant| until.saturating_duration_since(Instant::now());
        if self.lines.iter().all(|(_, thread)| thread.join_within(left(deadline))) {
            return Ok(());
        }
        self.registrar.change(Ledger::give_up);
        for (client, _) in &self.lines {
            client.interrupt();
        }
        let deadline = Instant::now() + INTERRUPTED;
        match self.lines.iter().all(|(_, thread)| thread.join_within(left(deadline))) {
            true => Ok(()),
            false => Err("a request to Consul does not end".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::thread;

    use super::*;

    /// An agent that has nothing and takes all, but for the first request, which panics.
    #[derive(Default)]
    struct Agent {
        has_panicked: Cell<bool>,
        registered: RefCell<Vec<String>>,
        notes: RefCell<Vec<Note>>,
    }

    impl Line for Agent {
        fn request(&self, _: Method, path: &str, body: Option<&str>) -> Result<Response, NoAnswer> {
            assert!(self.has_panicked.replace(true), "injected");
            if path == REGISTER {
                self.registered.borrow_mut().extend(body.map(str::to_owned));
            }
            Ok(Response { status: 200, index: 0, body: "{}".to_owned() })
        }

        fn logins(&self) -> u64 {
            0
        }

        fn log(&self, note: Note) {
            self.notes.borrow_mut().push(note);
        }
    }

    #[test]
    fn a_request_that_panics_is_made_again_and_keeps_no_line_waiting() {
        let registrar = Registrar::new("eid");
        registrar.begin();
        registrar.settle();
        registrar.want("demo");
        thread::scope(|scope| {
            let line = || {
                let agent = Agent::default();
                registrar.serve(&agent);
                (agent.registered.into_inner(), agent.notes.into_inner())
            };
            // Each of them panics, in the listing or in the registration.
            let lines = [scope.spawn(line), scope.spawn(line)];
            let deadline = Instant::now() + Duration::from_secs(10);
            let is_open =
                || registrar.registrations(["demo"].into_iter()) != [Registration::Registered];
            while is_open() && Instant::now() < deadline {
                thread::yield_now();
            }
            registrar.change(Ledger::give_up);
            let (registered, notes): (Vec<_>, Vec<_>) =
                lines.into_iter().map(|line| line.join().unwrap()).unzip();
            let wanted = registrar.services.registration("stasis/eid/demo", "demo");
            assert!(registered.concat().contains(&wanted), "{registered:?}");
            let told = notes.concat();
            assert!(
                matches!(&told[..], [Note::Warning(text), ..] if text.ends_with("internal error")),
                "{told:?}"
            );
        });
    }
}
