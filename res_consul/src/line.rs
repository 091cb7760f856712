// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A client: requests in turn, on a thread of its own.
//!
//! Who asks may be any thread, and only waits on a condition; ureq lives on the client's thread.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use asterisk::consul::provide::{Answer, Line};

use crate::berth::Berth;
use crate::connection::{Connection, Kind, News, User};
use crate::http::{self, Cutter, Fault, Method, Request, Wire};

/// Requests that may wait for their turn.
const MOST_WAITING: usize = 64;

/// The most bytes of an answer.
const MOST_BYTES: usize = 8 << 20;

type Result<T> = std::result::Result<T, String>;

/// A client.
pub(crate) struct Client(Arc<Shared>);

struct Shared {
    name: String,
    is_own: bool,
    connection: Arc<Connection>,
    cutter: Arc<Cutter>,
    queue: Mutex<Queue>,
    told: Condvar,
    berth: Berth,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// Who waits for the request in flight.
    current: Option<Arc<Promise>>,
}

struct Job {
    request: Request,
    promise: Arc<Promise>,
}

/// Where an answer will be.
#[derive(Default)]
struct Promise {
    answer: Mutex<Option<Result<Answer>>>,
    told: Condvar,
}

impl Promise {
    /// The first answer counts.
    fn keep(&self, answer: Result<Answer>) {
        let mut kept = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get_or_insert(answer);
        self.told.notify_all();
    }

    fn wait(&self) -> Result<Answer> {
        let mut answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match answer.take() {
                Some(answer) => return answer,
                None => answer = self.told.wait(answer).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

/// Nobody waits for a request that is not there any more.
impl Drop for Job {
    fn drop(&mut self) {
        self.promise.keep(Err(failure(&self.request, &Fault::Interrupted)));
    }
}

fn failure(request: &Request, fault: &Fault) -> String {
    format!("{}: {fault}", request.named())
}

impl Client {
    /// A client of another module.
    pub(crate) fn new(connection: &Arc<Connection>, name: &str) -> Self {
        Self::with(connection, name, false)
    }

    /// The one of the functions that name none.
    pub(crate) fn shared(connection: &Arc<Connection>) -> Self {
        Self::with(connection, "shared", true)
    }

    fn with(connection: &Arc<Connection>, name: &str, is_own: bool) -> Self {
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            is_own,
            connection: Arc::clone(connection),
            cutter: Arc::default(),
            queue: Mutex::default(),
            told: Condvar::new(),
            berth: Berth::default(),
        });
        let user: Weak<Shared> = Arc::downgrade(&shared);
        connection.add(user);
        Self(shared)
    }

    /// Makes a request and waits for its answer.
    ///
    /// # Errors
    ///
    /// Why there was none; begins with method and path.
    pub(crate) fn ask(&self, method: Method, path: &str, body: Option<&[u8]>) -> Result<Answer> {
        let request = Request {
            method,
            path: path.to_owned(),
            body: body.map(<[u8]>::to_vec),
            wait: Duration::ZERO,
            limit: MOST_BYTES,
        };
        let shared = &self.0;
        shared.connection.setup_of_client().map_err(|fault| failure(&request, &fault))?;
        let promise = Arc::new(Promise::default());
        let mut queue = shared.queue();
        // Under the lock: an interrupt finds either the job or this client ended.
        if shared.cutter.has_ended() {
            return Err(failure(&request, &Fault::Interrupted));
        }
        if queue.jobs.len() >= MOST_WAITING {
            return Err(format!("{}: {MOST_WAITING} requests wait already", request.named()));
        }
        queue.jobs.push_back(Job { request, promise: Arc::clone(&promise) });
        shared.told.notify_all();
        drop(queue);
        self.start()?;
        promise.wait()
    }

    fn start(&self) -> Result<()> {
        let shared = &self.0;
        let name = format!("consul-{}", shared.name);
        let spawn = || {
            let working = Arc::clone(shared);
            shared.connection.host().spawn(&name, Box::new(move || working.run()))
        };
        shared.berth.start(spawn).map_err(|error| {
            shared.fail(&Fault::Interrupted);
            format!("client '{}' has no thread: {error}", shared.name)
        })
    }

    /// Waits up to `limit` for the thread to end, once the connection is ending; `false` if it
    /// still runs.
    pub(crate) fn join_within(&self, limit: Duration) -> bool {
        self.0.berth.join_within(limit)
    }
}

impl Line for Client {
    fn request(&self, method: &str, path: &str, body: Option<&[u8]>) -> Result<Answer> {
        let named = |reason: String| format!("{method} {}: {reason}", http::named(path));
        let known = Method::parse(method)
            .ok_or_else(|| named("the method must be GET, PUT, POST or DELETE".to_owned()))?;
        http::check(path).map_err(named)?;
        self.ask(known, path, body)
    }

    fn interrupt(&self) {
        self.0.cutter.end();
        self.0.fail(&Fault::Interrupted);
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.interrupt();
        drop(self.0.berth.close()); // waits for the thread, which has been cut
    }
}

impl User for Shared {
    fn hear(self: Arc<Self>, news: News) {
        if news == News::Settings {
            self.cutter.cut();
            // Under the lock: the thread looks and waits under it.
            let _queue = self.queue();
            self.told.notify_all();
        }
    }

    fn kind(&self) -> Kind {
        match self.is_own {
            true => Kind::Own,
            false => Kind::Client(self.name.clone()),
        }
    }

    fn cutter(&self) -> &Arc<Cutter> {
        &self.cutter
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails all requests there are.
    fn fail(&self, fault: &Fault) {
        let mut queue = self.queue();
        for job in queue.jobs.drain(..) {
            job.promise.keep(Err(failure(&job.request, fault)));
        }
        if let Some(current) = queue.current.take() {
            current.keep(Err(fault.to_string()));
        }
        self.told.notify_all();
    }

    /// Why no requests are to be made, if so.
    fn end(&self) -> Option<Fault> {
        match self.cutter.has_ended() {
            true => Some(Fault::Interrupted),
            false => self.connection.setup_of_client().err(),
        }
    }

    fn run(&self) {
        if catch_unwind(AssertUnwindSafe(|| self.work())).is_err() {
            // The panic is in the log. The next request starts another thread.
            self.berth.leave_if(|| true);
            self.fail(&Fault::Interrupted);
        }
    }

    fn work(&self) {
        let mut slot = None;
        loop {
            if self.berth.leave_if(|| self.end().is_some()) {
                self.fail(&self.end().unwrap_or(Fault::Interrupted));
                return;
            }
            let mut queue = self.queue();
            let Some(job) = queue.jobs.pop_front() else {
                if self.end().is_none() {
                    match self.connection.leaves_in() {
                        Some(left) => drop(self.told.wait_timeout(queue, left)),
                        None => drop(self.told.wait(queue)),
                    }
                }
                continue;
            };
            queue.current = Some(Arc::clone(&job.promise));
            drop(queue);
            let answer = self.serve(&mut slot, &job.request);
            job.promise.keep(answer.map_err(|fault| failure(&job.request, &fault)));
            self.queue().current = None;
        }
    }

    fn serve(
        &self,
        slot: &mut Option<Wire>,
        request: &Request,
    ) -> std::result::Result<Answer, Fault> {
        loop {
            let wire = self.connection.wire(&self.cutter, slot, Connection::setup_of_client)?;
            match self.connection.ask(&self.cutter, wire, request, Ok) {
                // Other settings apply: what is asked for is asked of them. Only a POST may not be
                // done twice.
                Err(Fault::Interrupted)
                    if !self.cutter.has_ended() && request.method != Method::Post => {}
                Err(fault) => return Err(fault),
                Ok(reply) => {
                    let index = reply.index.and_then(|index| index.parse().ok()).unwrap_or(0);
                    return Ok(Answer { status: reply.status, index, body: reply.body });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
