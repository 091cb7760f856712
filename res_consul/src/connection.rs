// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What clients, watches and the pulse have in common: the settings that apply, the status, and
//! who must hear of a change.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use asterisk::consul::provide::State;
use asterisk::secret::Secret;

use crate::config::Settings;
use crate::http::{Cutter, Fault, Reply, Request, Resolver, Setup, Wire};
use crate::status::{Back, Consequence, Counters, Report, Status, Verdict};
use crate::threads::{Host, Level, Started};
use crate::watch::WatchReport;

/// What all that use the connection hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    /// Other settings apply, or none: what goes on ends, and begins again if it may.
    Settings,
    /// Consul is there again after it was not, or permits what it has refused.
    Back(Back),
    /// Consul is not there any more.
    Away,
}

/// What a user of the connection is.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// This module's own, or one that has ended.
    Own,
    /// Another module's client, by its name.
    Client(String),
    /// Another module's watch.
    Watch(WatchReport),
}

/// Whoever makes requests.
pub(crate) trait User: Send + Sync {
    fn hear(self: Arc<Self>, news: News);
    fn kind(&self) -> Kind;
    fn cutter(&self) -> &Arc<Cutter>;
}

/// The connection to Consul.
pub(crate) struct Connection {
    host: Arc<dyn Host>,
    resolver: Arc<Resolver>,
    current: Mutex<Current>,
    status: Mutex<Status>,
    users: Mutex<Vec<Weak<dyn User>>>,
    /// Threads of watches that were ended by their own callbacks.
    left: Mutex<Vec<Arc<dyn Started>>>,
}

struct Current {
    setup: Arc<Setup>,
    ending: bool,
    leaving: Option<Leaving>,
}

/// A reload has turned the connection off. Reloads come one module after the other, and those whose
/// turn is later still have to deregister what is theirs.
struct Leaving {
    setup: Arc<Setup>,
    until: Instant,
}

impl Leaving {
    fn begin(before: &Arc<Setup>, now: &Setup) -> Option<Self> {
        let is_left = before.settings().enabled && !now.settings().enabled;
        is_left.then(|| Self { setup: Arc::clone(before), until: Instant::now() + LEAVING })
    }

    fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

/// How long clients are still served after a reload has turned the connection off.
const LEAVING: Duration = Duration::from_secs(3);

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Connection {
    pub(crate) fn new(host: Arc<dyn Host>, settings: Settings) -> Arc<Self> {
        let status = Status::new(settings.consul.url(), settings.enabled);
        Arc::new(Self {
            resolver: Arc::new(Resolver::new(Arc::clone(&host))),
            host,
            current: Mutex::new(Current {
                setup: Arc::new(Setup::new(settings)),
                ending: false,
                leaving: None,
            }),
            status: Mutex::new(status),
            users: Mutex::default(),
            left: Mutex::default(),
        })
    }

    pub(crate) fn host(&self) -> &Arc<dyn Host> {
        &self.host
    }

    pub(crate) fn settings(&self) -> Settings {
        locked(&self.current).setup.settings().clone()
    }

    /// What requests are made with.
    ///
    /// # Errors
    ///
    /// That none are to be made.
    pub(crate) fn setup(&self) -> Result<Arc<Setup>, Fault> {
        let current = locked(&self.current);
        if current.ending {
            return Err(Fault::Ending);
        }
        match current.setup.settings().enabled {
            true => Ok(Arc::clone(&current.setup)),
            false => Err(Fault::Disabled),
        }
    }

    /// What a client's requests are made with; for a moment also when the connection is off.
    ///
    /// # Errors
    ///
    /// That none are to be made.
    pub(crate) fn setup_of_client(&self) -> Result<Arc<Setup>, Fault> {
        match self.setup() {
            Err(Fault::Disabled) => {
                let current = locked(&self.current);
                let leaving = current.leaving.as_ref().filter(|leaving| !leaving.left().is_zero());
                leaving.map(|leaving| Arc::clone(&leaving.setup)).ok_or(Fault::Disabled)
            }
            setup => setup,
        }
    }

    /// For how long clients are still served although the connection is off.
    pub(crate) fn leaves_in(&self) -> Option<Duration> {
        locked(&self.current).leaving.as_ref().map(Leaving::left).filter(|left| !left.is_zero())
    }

    /// # Errors
    ///
    /// That the module goes, so that nothing is to be made any more.
    pub(crate) fn check_not_ending(&self) -> Result<(), String> {
        match self.setup() {
            Err(Fault::Ending) => Err(Fault::Ending.to_string()),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Has `settings` apply. The same again disturb nothing.
    pub(crate) fn apply(&self, settings: Settings) {
        let mut current = locked(&self.current);
        if *current.setup.settings() == settings {
            return;
        }
        let mut status = locked(&self.status);
        status.begin_again(settings.consul.url(), settings.enabled);
        let before = std::mem::replace(&mut current.setup, Arc::new(Setup::new(settings)));
        status.counters().logins += u64::from(before.token() != current.setup.token());
        drop(status);
        current.leaving = Leaving::begin(&before, &current.setup);
        drop(current);
        self.tell(News::Settings, None);
    }

    /// Ends what goes on and has nothing begin, or lifts that again.
    pub(crate) fn set_ending(&self, ending: bool) {
        locked(&self.current).ending = ending;
        self.tell(News::Settings, None);
    }

    /// Adds a user, until it is dropped.
    pub(crate) fn add(&self, user: Weak<dyn User>) {
        let mut users = locked(&self.users);
        users.retain(|user| user.strong_count() > 0);
        users.push(user);
    }

    fn users(&self) -> Vec<Arc<dyn User>> {
        locked(&self.users).iter().filter_map(Weak::upgrade).collect()
    }

    /// All clients and watches of other modules.
    pub(crate) fn kinds(&self) -> Vec<Kind> {
        self.users().iter().map(|user| user.kind()).collect()
    }

    fn tell(&self, news: News, except: Option<&Arc<Cutter>>) {
        for user in self.users() {
            if !except.is_some_and(|cutter| Arc::ptr_eq(cutter, user.cutter())) {
                user.hear(news);
            }
        }
    }

    /// Takes over a thread that could not be joined where it was ended: on itself.
    pub(crate) fn leave(&self, thread: Arc<dyn Started>) {
        let mut left = locked(&self.left);
        left.retain(|thread| thread.is_current() || !thread.join_within(Duration::ZERO));
        left.push(thread);
    }

    /// Waits for look-ups and threads that were left.
    ///
    /// # Errors
    ///
    /// What has not ended within `limit`. It can be asked again.
    pub(crate) fn join(&self, limit: Duration) -> Result<(), String> {
        let deadline = Instant::now() + limit;
        let mut left = locked(&self.left);
        left.retain(|thread| {
            !thread.join_within(deadline.saturating_duration_since(Instant::now()))
        });
        if !left.is_empty() {
            return Err("the callback of a watch does not return".to_owned());
        }
        drop(left);
        self.resolver.end(deadline.saturating_duration_since(Instant::now()))
    }

    /// The wire in `slot`, another one if that is not good any more for what `setup` gives.
    ///
    /// # Errors
    ///
    /// That no requests are to be made.
    pub(crate) fn wire<'a>(
        &self,
        cutter: &Arc<Cutter>,
        slot: &'a mut Option<Wire>,
        setup: impl FnOnce(&Self) -> Result<Arc<Setup>, Fault>,
    ) -> Result<&'a Wire, Fault> {
        // In this order: settings that come later cut this turn.
        let turn = cutter.turn().ok_or(Fault::Interrupted)?;
        let setup = setup(self)?;
        *slot = slot.take().filter(|wire| wire.turn == turn && Arc::ptr_eq(&wire.setup, &setup));
        Ok(slot.get_or_insert_with(|| Wire::new(&setup, &self.resolver, cutter, turn)))
    }

    /// Makes a request, and notes how it went. `read` gets the answer of any status; its error is
    /// what is wrong with one that should be right.
    pub(crate) fn ask<T>(
        &self,
        cutter: &Arc<Cutter>,
        wire: &Wire,
        request: &Request,
        read: impl FnOnce(Reply) -> Result<T, Verdict>,
    ) -> Result<T, Fault> {
        let mut token = wire.setup.token();
        let mut answer = sent(cutter, wire, request, token.as_ref());
        let is_refused =
            |answer: &Result<Reply, Fault>| answer.as_ref().is_ok_and(|reply| reply.status == 403);
        if is_refused(&answer) && wire.setup.renew_token(token.as_ref()) {
            self.host.log(Level::Notice, "token_file was read again; it has another token now");
            self.count(|counters| counters.logins += 1);
            token = wire.setup.token();
            answer = sent(cutter, wire, request, token.as_ref());
        }
        let is_internal = matches!(&answer, Err(fault) if *fault == internal());
        if cutter.is_cut(wire.turn) && !is_internal {
            return Err(Fault::Interrupted);
        }
        let heard = answer.map(|reply| {
            let reply = without_token(reply, token.as_ref());
            let verdict = Verdict::of(request, &reply);
            let (verdict, result) = match read(reply) {
                Ok(value) => (verdict, Ok(value)),
                Err(read) if verdict == Verdict::Fine => (read, Err(())),
                Err(_) => (verdict, Err(())),
            };
            let verdict = verdict.map(|reason| masked(reason, token.as_ref()));
            let result = result.map_err(|()| Fault::Unusable(verdict.reason().to_owned()));
            (verdict, result)
        });
        let now = Instant::now();
        let mut status = self.status_of(&wire.setup).ok_or(Fault::Interrupted)?;
        let (consequence, result) = match heard {
            Err(fault) => (status.failed_with(request, &fault, now), Err(fault)),
            Ok((verdict, result)) => {
                (status.answered(request, &verdict, token.is_some(), now), result)
            }
        };
        drop(status);
        self.follow(consequence, Some(cutter));
        result
    }

    /// The status, unless it is that of other settings by now: settings apply a moment before
    /// whoever asks by the old ones is cut.
    fn status_of(&self, setup: &Arc<Setup>) -> Option<MutexGuard<'_, Status>> {
        let current = locked(&self.current);
        let leaving = current.leaving.as_ref().map(|leaving| &leaving.setup);
        let mut serving = std::iter::once(&current.setup).chain(leaving);
        serving.any(|serving| Arc::ptr_eq(serving, setup)).then(|| locked(&self.status))
    }

    /// Lets pass what is past.
    pub(crate) fn look(&self) {
        let consequence = locked(&self.status).look(Instant::now());
        self.follow(consequence, None);
    }

    fn follow(&self, consequence: Consequence, except: Option<&Arc<Cutter>>) {
        for (level, text) in &consequence.lines {
            self.host.log(*level, text);
        }
        if let Some(back) = consequence.came_back {
            self.tell(News::Back(back), except);
        } else if consequence.went_away {
            self.tell(News::Away, except);
        }
    }

    pub(crate) fn count(&self, count: impl FnOnce(&mut Counters)) {
        count(locked(&self.status).counters());
    }

    pub(crate) fn report(&self) -> Report {
        locked(&self.status).report()
    }

    /// The state, and when Consul last answered.
    pub(crate) fn state(&self) -> (State, Option<Instant>) {
        let status = locked(&self.status);
        (status.state(), status.heard())
    }
}

fn internal() -> Fault {
    Fault::Unusable("internal error".to_owned())
}

/// ureq is full of things that should never happen. If one does, its connection is given up.
fn sent(
    cutter: &Cutter,
    wire: &Wire,
    request: &Request,
    token: Option<&Secret>,
) -> Result<Reply, Fault> {
    let answer = catch_unwind(AssertUnwindSafe(|| wire.send(request, token)));
    answer.unwrap_or_else(|_| {
        cutter.cut();
        Err(internal())
    })
}

/// A server that says our token back must not have it logged.
fn masked(text: String, token: Option<&Secret>) -> String {
    match token {
        Some(token) if !token.is_empty() => text.replace(token.reveal(), "***"),
        _ => text,
    }
}

/// The same in what is no success: words, which whoever asked may show to people.
fn without_token(mut reply: Reply, token: Option<&Secret>) -> Reply {
    let Some(token) = token.filter(|token| !token.is_empty() && !reply.is_success()) else {
        return reply;
    };
    let secret = token.reveal().as_bytes();
    if reply.body.windows(secret.len()).any(|part| part == secret) {
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        reply.body = masked(text, Some(token)).into_bytes();
    }
    reply
}

#[cfg(test)]
mod tests;
