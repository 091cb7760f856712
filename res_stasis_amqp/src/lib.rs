// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! `res_stasis_amqp`: Stasis, channel and AMI events to RabbitMQ.
//!
//! This file is the module's life and wiring. The path of an event: `sources` and `apps` receive it
//! from Asterisk, `feed` makes its bytes, `outbox` keeps it, with `spool` on disk, `publisher` delivers
//! it.
//! `docs/architecture.md` has the whole picture.

#![forbid(unsafe_code)]

mod actions;
mod ami;
mod answer;
mod apps;
mod cli;
mod config;
mod counters;
#[cfg(test)]
mod dice;
mod direct;
mod endpoint;
mod event;
mod export;
mod feed;
mod filter;
mod identity;
mod labels;
mod limits;
mod loss;
mod outbox;
mod pattern;
mod plain;
mod publisher;
mod publishers;
mod resource;
mod routing;
mod short_text;
mod sources;
mod spool;
mod status;
mod times;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use asterisk::ari::Resource;
use asterisk::cli::Commands;
use asterisk::manager::Actions;
use asterisk::module::Module;
use serde_json::json;

use apps::Apps;
use config::{Settings, StasisSettings};
use counters::Counters;
use direct::Standing;
use feed::Feed;
use identity::Identity;
use limits::{Limits, Overflow};
use loss::Reason;
use outbox::Outbox;
use publishers::Publishers;
use sources::Sources;
use spool::Spool;
use times::{Summary, micros};

asterisk::module!(StasisAmqp);

/// What a stop may take to deliver what is left.
const DRAIN: Duration = Duration::from_secs(3);

/// What it may take to write to the spool what is left then.
const KEEP: Duration = Duration::from_secs(2);

/// What the end of a callback, a request or a handler may take.
const CALLBACKS: Duration = Duration::from_secs(5);

pub(crate) struct StasisAmqp {
    counters: Arc<Counters>,
    outbox: Arc<Outbox>,
    feed: Arc<Feed>,
    apps: Apps,
    publishers: Publishers,
    spool: Spool,
    /// For commands and actions too, so held for no longer than a look takes.
    settings: Mutex<Settings>,
    running: Mutex<Running>,
}

/// Locked for as long as a load, a reload or an unload takes, by these only: an unload waits for
/// commands, actions, requests and callbacks.
#[derive(Default)]
struct Running {
    sources: Sources,
    commands: Option<Commands>,
    actions: Option<Actions>,
    resource: Option<Resource>,
}

impl StasisAmqp {
    pub(crate) fn apps(&self) -> &Apps {
        &self.apps
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(crate) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// How long Asterisk's threads were held; none before the first event.
    pub(crate) fn times(&self) -> Option<Summary> {
        self.feed.times().summary()
    }

    /// Which events are written directly.
    pub(crate) fn standing(&self) -> Standing {
        self.feed.standing()
    }

    pub(crate) fn publishers(&self) -> &Publishers {
        &self.publishers
    }

    pub(crate) fn identity(&self) -> &Identity {
        self.publishers.identity()
    }

    pub(crate) fn spool(&self) -> &Spool {
        &self.spool
    }

    pub(crate) fn settings(&self) -> Settings {
        self.locked_settings().clone()
    }

    fn locked_settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `GET /amqp` answers.
    pub(crate) fn describe(&self) -> serde_json::Value {
        let connections: Vec<_> = self
            .publishers
            .statuses()
            .into_iter()
            .map(|(name, status)| {
                let state = status.report().state;
                json!({ "name": name, "state": state.word(), "detail": state.to_string() })
            })
            .collect();
        let depth = self.outbox.depth();
        let spool = self.spool.report();
        let texts = self.standing();
        let counters: serde_json::Map<_, _> = self
            .counters
            .values()
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
        json!({
            "applications": self.apps.names(),
            "connections": connections,
            "queue": {
                "events": depth.queued_events,
                "bytes": depth.queued_bytes,
                "unconfirmed_events": depth.in_flight_events,
                "unconfirmed_bytes": depth.in_flight_bytes,
                "unsaved_events": self.outbox.unsaved_events(),
            },
            "callback": self.times().map(|times| json!({
                "p50_us": micros(times.p50),
                "p99_us": micros(times.p99),
                "max_us": micros(times.max),
            })),
            "texts": {
                "channels_direct": texts.reads_snapshots,
                "differed": texts.off,
            },
            "spool": {
                "state": spool.state.word(),
                "detail": spool.to_string(),
                "dir": spool.dir,
                "events": spool.events,
                "bytes": spool.bytes,
                "max_bytes": spool.max_bytes,
            },
            "counters": counters,
        })
    }

    /// Brings everything in line with `settings`. Nothing that is queued is touched.
    fn apply(&self, running: &mut Running, settings: Settings) -> Result<(), String> {
        if let Some(stasis) = settings.publishing() {
            self.outbox.set_limits(stasis.limits);
            // Before the publishers: what is in the spool comes first. It stays as it is while
            // nothing is published.
            self.spool.apply(stasis)?;
        }
        self.feed.set_filter(settings.publishing().map(|stasis| &stasis.filter));
        running.sources.apply(settings.publishing(), &self.feed)?;
        if running.resource.is_none() {
            running.resource = add_resource();
        }
        self.publishers.apply(&settings, &self.outbox, &self.counters)?;
        *self.locked_settings() = settings;
        Ok(())
    }

    /// Counts what is in the outbox and will not be published any more.
    fn abandon(&self) {
        let left = self.outbox.abandon(Reason::Stopped);
        let kept = self.outbox.depth().spooled_events;
        if kept > 0 {
            asterisk::notice!("{kept} events are kept in the spool for the next start");
        }
        if left > 0 {
            asterisk::warning!(
                "{left} events could not be delivered before the end; they are lost"
            );
        }
    }
}

impl Module for StasisAmqp {
    fn load() -> Result<Self, String> {
        let settings = read_configuration()?;
        let counters = Arc::new(Counters::default());
        let identity = Identity { eid: asterisk::entity_id(), boot: boot() };
        let publishers = Publishers::new(identity.clone());
        let bells = publishers.bells();
        let limits = settings.publishing().map_or(NOTHING, |stasis| stasis.limits);
        let outbox =
            Outbox::new(&identity.boot, limits, Arc::clone(&counters), move || bells.ring());
        let outbox = Arc::new(outbox);
        let feed = Arc::new(Feed::new(Arc::clone(&outbox), Arc::clone(&counters)));
        Ok(Self {
            apps: Apps::new(Arc::clone(&feed)),
            counters,
            spool: Spool::new(Arc::clone(&outbox), identity),
            outbox,
            feed,
            publishers,
            settings: Mutex::new(settings),
            running: Mutex::default(),
        })
    }

    fn start(&self) -> Result<(), String> {
        let mut running = self.running();
        running.commands = Some(Commands::register(&cli::COMMANDS)?);
        running.actions = Some(Actions::register(&actions::ACTIONS)?);
        self.apply(&mut running, self.settings())
    }

    fn reload(&self) -> Result<(), String> {
        // An unload that was refused half-way has ended what no reload begins again.
        if self.outbox.is_closed() {
            return Err("it is being unloaded: unload it again".to_owned());
        }
        let settings = read_configuration()?;
        self.apply(&mut self.running(), settings)
    }

    fn unload(&self) -> Result<(), String> {
        let mut running = self.running();
        running.sources = Sources::default();
        if running.resource.as_ref().is_some_and(|resource| !resource.end(CALLBACKS)) {
            return Err("a request to ARI does not return".to_owned());
        }
        running.resource = None;
        if !self.apps.end(CALLBACKS) {
            return Err("the handler of an application does not return".to_owned());
        }
        // Nothing comes in any more, so consumers can be told of losses now or never.
        self.outbox.close();
        self.publishers.stop(DRAIN)?;
        self.spool.stop(KEEP)?;
        running.commands = None;
        running.actions = None;
        self.abandon();
        Ok(())
    }

    fn shutdown(&self) {
        if let Err(reason) = self.publishers.stop(DRAIN) {
            asterisk::warning!("{reason}");
        }
        if let Err(reason) = self.spool.stop(KEEP) {
            asterisk::warning!("{reason}");
        }
        self.abandon();
    }
}

/// Until there is a configuration that publishes, nothing is queued.
const NOTHING: Limits = Limits { events: 1, bytes: 1, overflow: Overflow::DropNewest };

/// Reads and checks the file; what is wrong with it is logged.
fn read_configuration() -> Result<Settings, String> {
    let sections = asterisk::config::load(config::FILE)?;
    let (settings, report) = config::parse(&sections, &|path| std::fs::read_to_string(path));
    for warning in &report.warnings {
        asterisk::warning!("{warning}");
    }
    for error in &report.errors {
        asterisk::error!("{error}");
    }
    match report.errors.len() {
        0 => Ok(settings),
        1 => Err(format!("an error in {}, see above", config::FILE)),
        count => Err(format!("{count} errors in {}, see above", config::FILE)),
    }
}

/// ARI may be off, or come later: then the next reload adds it.
fn add_resource() -> Option<Resource> {
    match resource::add() {
        Ok(resource) => Some(resource),
        Err(reason) => {
            asterisk::notice!("/ari/amqp is not served: {reason}");
            None
        }
    }
}

/// Tells the sequences of this load from those of any other: milliseconds since 1970, in order.
fn boot() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis().to_string()
}

impl Settings {
    /// What is to be published, if the module is on and anything is.
    pub(crate) fn publishing(&self) -> Option<&StasisSettings> {
        self.stasis.as_ref().filter(|_| self.enabled)
    }
}
