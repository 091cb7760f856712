// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The thread that keeps the applications as Consul's keys are. It never waits for Consul.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use asterisk::consul::Watch;
use asterisk::json::Json;
use asterisk::stasis_amqp;
use asterisk::stasis_app::{self, Registration};

use crate::config::Settings;
use crate::orders::{End, Order, Orders};
use crate::plan::{Outcome, Pair, Plan, Row, Step};
use crate::registrar::Registrar;

/// How often it is looked whether the applications are still ours, and what failed is tried again.
const LOOK: Duration = Duration::from_secs(1);

/// Between two lives of a worker that panicked.
const RESTART: Duration = Duration::from_secs(1);

/// What the worker shares with load, reload, unload and the CLI.
pub(crate) struct Worker {
    pub(crate) orders: Arc<Orders>,
    registrar: Arc<Registrar>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    plan: Plan,
    /// Whether the watch has told the keys.
    is_known: bool,
}

/// What only the worker's thread has.
struct Hands {
    settings: Settings,
    watch: Option<Watch>,
    /// Said that there is no watch.
    said: bool,
    /// Each application that we have subscribed.
    subscribed: HashMap<String, Subscribed>,
    /// The end has begun: what is under way is the last.
    is_ending: bool,
}

/// An application that we have subscribed.
struct Subscribed {
    /// The host's own of it.
    registration: Registration,
    /// What the host lists it as subscribed to, of what we have.
    listed: BTreeSet<String>,
}

impl Worker {
    pub(crate) fn new(registrar: &Arc<Registrar>) -> Self {
        Self { orders: Arc::default(), registrar: Arc::clone(registrar), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The applications in alphabetical order; none where the keys are not known yet.
    pub(crate) fn rows(&self) -> Option<Vec<Row>> {
        let state = self.state();
        let rows = state.plan.rows();
        (state.is_known || !rows.is_empty()).then_some(rows)
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.state().plan.names()
    }

    /// The thread's work, until it is told to end, also after a panic.
    pub(crate) fn run(&self) {
        let mut hands = Hands {
            settings: off(),
            watch: None,
            said: false,
            subscribed: HashMap::new(),
            is_ending: false,
        };
        let rest = || {
            asterisk::error!("the worker starts again");
            self.orders.rest(RESTART);
        };
        asterisk::restarting(|| self.live(&mut hands), rest);
    }

    fn live(&self, hands: &mut Hands) {
        if hands.is_ending {
            // In the middle of that there was a panic, and there would be another.
            return;
        }
        // Another watch tells the keys again that were under way.
        let settings = std::mem::replace(&mut hands.settings, off());
        self.configure(hands, settings);
        let mut look_at = Instant::now();
        loop {
            match self.orders.wait(look_at) {
                Order::End(how) => {
                    if how == End::Unload {
                        hands.is_ending = true;
                        self.state().plan.clear();
                        self.carry_out(hands);
                    }
                    return;
                }
                Order::Settings(settings) => self.configure(hands, settings),
                Order::Keys(keys) => self.follow(hands, keys),
                Order::Look => {
                    look_at = Instant::now() + LOOK;
                    self.watch(hands);
                    self.look();
                    self.look_at_subscriptions(hands);
                    self.go_on(hands);
                }
            }
        }
    }

    fn configure(&self, hands: &mut Hands, settings: Settings) {
        if settings == hands.settings {
            return;
        }
        // Returns when its callback does not run any more; what that has left is of the old prefix.
        hands.watch = None;
        self.orders.forget_keys();
        hands.settings = settings;
        if hands.settings.enabled {
            self.registrar.begin();
            self.watch(hands);
            return;
        }
        self.registrar.switch_off();
        let mut state = self.state();
        state.plan.clear();
        state.is_known = false;
        drop(state);
        self.carry_out(hands);
    }

    fn watch(&self, hands: &mut Hands) {
        if hands.watch.is_some() || !hands.settings.enabled {
            return;
        }
        let orders = Arc::clone(&self.orders);
        let watch = Watch::new(&hands.settings.prefix, move |pairs| {
            let copy =
                |pair: &asterisk::consul::Pair<'_>| (pair.key.to_owned(), pair.value.to_vec());
            orders.keys(pairs.iter().map(copy).collect());
        });
        match watch {
            Ok(watch) => {
                hands.watch = Some(watch);
                hands.said = false;
            }
            Err(reason) => {
                if !std::mem::replace(&mut hands.said, true) {
                    let prefix = &hands.settings.prefix;
                    asterisk::warning!("keys below '{prefix}' are not watched yet: {reason}");
                }
            }
        }
    }

    fn follow(&self, hands: &mut Hands, keys: Vec<Pair>) {
        let mut state = self.state();
        let notes = state.plan.set_keys(&hands.settings.prefix, keys);
        state.is_known = true;
        drop(state);
        for note in notes {
            note.log();
        }
        self.go_on(hands);
    }

    /// Does what there is to do. Once that is all, services of no application may go.
    fn go_on(&self, hands: &mut Hands) {
        if self.carry_out(hands) && self.state().is_known {
            self.registrar.settle();
        }
    }

    /// Another ARI client takes a name over without a word to us.
    fn look(&self) {
        let active = self.state().plan.active();
        for name in active {
            let standing = stasis_amqp::standing(&name);
            let mut state = self.state();
            let note = state.plan.seen(&name, standing, Instant::now());
            let is_lost = !state.plan.is_active(&name);
            drop(state);
            if is_lost {
                self.registrar.unwant(&name);
            }
            if let Some(note) = note {
                note.log();
            }
        }
    }

    /// A subscription ends with its source, of which another may come under the same name.
    fn look_at_subscriptions(&self, hands: &mut Hands) {
        for (name, subscribed) in &mut hands.subscribed {
            let ours = Registration::find(name).as_ref() == Some(&subscribed.registration);
            if !ours || subscribed.listed.is_empty() {
                continue;
            }
            let now = stasis_app::subscriptions(name);
            let lost: Vec<String> =
                subscribed.listed.iter().filter(|source| !now.contains(source)).cloned().collect();
            for source in lost {
                subscribed.listed.remove(&source);
                self.state().plan.lost(name, &source);
            }
        }
    }

    /// Does what there is to do now, and tells whether that was all: what is new goes before, for
    /// the host takes its time over many applications, and a key may be back before its end. The
    /// plan is not locked meanwhile: a handler of the host may wait for whoever shows it.
    fn carry_out(&self, hands: &mut Hands) -> bool {
        let names = self.state().plan.names();
        for name in names {
            if self.orders.has_news() && !hands.is_ending {
                return false;
            }
            loop {
                let step = self.state().plan.next(&name, Instant::now());
                let Some(step) = step else {
                    break;
                };
                let outcome = self.take(hands, &name, &step);
                let note = self.state().plan.done(&name, &step, outcome, Instant::now());
                if let Some(note) = note {
                    note.log();
                }
            }
            if !self.state().plan.is_subscribed(&name) {
                hands.subscribed.remove(&name);
            }
        }
        true
    }

    fn take(&self, hands: &mut Hands, name: &str, step: &Step) -> Outcome {
        match step {
            Step::Create => {
                let standing = stasis_amqp::create(name);
                if standing == stasis_amqp::Standing::Ours {
                    self.registrar.want(name);
                }
                Outcome::Stands(standing)
            }
            Step::End => {
                self.registrar.unwant(name);
                // One that another client has taken over just now is not ours to end.
                stasis_amqp::end(name);
                Outcome::Done
            }
            Step::SetFilter(filter) => outcome(match Json::parse(&filter.to_json()) {
                Some(filter) => stasis_app::set_event_filter(name, &filter),
                None => Err("no memory"),
            }),
            Step::Subscribe(source) => outcome(subscribe(hands, name, source)),
            Step::Unsubscribe(source) => {
                // Only from what we have subscribed: the name may be another's by now.
                let subscribed = hands.subscribed.get_mut(name);
                match subscribed {
                    Some(subscribed)
                        if Registration::find(name).as_ref() == Some(&subscribed.registration) =>
                    {
                        subscribed.listed.remove(source);
                        outcome(stasis_app::unsubscribe(name, source))
                    }
                    _ => Outcome::Done,
                }
            }
        }
    }
}

/// What applies before anything else does.
fn off() -> Settings {
    Settings { enabled: false, prefix: String::new() }
}

fn subscribe(hands: &mut Hands, name: &str, source: &str) -> Result<(), &'static str> {
    stasis_app::subscribe(name, source)?;
    if let Some(registration) = Registration::find(name) {
        let known = hands.subscribed.remove(name);
        let known = known.filter(|known| known.registration == registration);
        let mut listed = known.map_or_else(BTreeSet::new, |known| known.listed);
        if stasis_app::subscriptions(name).iter().any(|listed| listed == source) {
            listed.insert(source.to_owned());
        }
        hands.subscribed.insert(name.to_owned(), Subscribed { registration, listed });
    }
    Ok(())
}

fn outcome(result: Result<(), &'static str>) -> Outcome {
    result.map_or_else(Outcome::Failed, |()| Outcome::Done)
}
