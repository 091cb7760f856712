// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The thread that looks after the node: at Asterisk several times a second, at Consul every few
//! seconds, and at once when something changes.

mod farewell;
mod replies;
mod shown;

use std::sync::Arc;
use std::time::{Duration, Instant};

use asterisk::backoff::{Backoff, Exponential};
use asterisk::log::Level;
use asterisk::{database, host, manager, on_one_line};

use crate::address::{self, NoAddress};
use crate::agent::{Agent, Failure};
use crate::desk::{Desk, Ticket, Wanted, Wish};
use crate::drain::Drain;
use crate::health::{Facts, Health};
use crate::keeper::{Keeper, Note};
use crate::line::Lines;
use crate::maintenance::Maintenance;
use crate::senses;
use crate::service::{About, Registration};

/// How often it looks at what costs next to nothing.
const LOOK: Duration = Duration::from_millis(200);

/// How often it asks what the health is judged by.
const SENSE: Duration = Duration::from_secs(1);

/// The longest between two looks at Consul.
const ASK: Duration = Duration::from_secs(5);

/// Of `asterisk::database`.
const MEMORY: &str = "maintenance";

pub(crate) struct Worker {
    desk: Arc<Desk>,
    lines: Arc<Lines>,
    entity_id: String,
    version: String,
    wanted: Wanted,
    keeper: Keeper,
    drain: Drain,
    /// What the database has of maintenance.
    memory: Option<String>,
    /// The registration as it was last wanted.
    registration: Option<Registration>,
    no_address: Option<NoAddress>,
    facts: Facts,
    sensed: Option<Instant>,
    is_stopping: bool,
    due: Instant,
    away: Backoff,
    refused: Backoff,
    /// Why the last look at Consul came to nothing.
    failure: Option<Failure>,
    /// What was logged since all was well: no more than there are requests and statuses.
    logged: Vec<Failure>,
    /// Commands that are carried out and not answered.
    open: Vec<(Ticket, Wish)>,
}

impl Worker {
    /// Touches the database: on the worker's own thread.
    pub(crate) fn new(desk: Arc<Desk>, lines: Arc<Lines>) -> Self {
        let memory = database::read(MEMORY);
        Self {
            wanted: desk.wanted(),
            desk,
            lines,
            entity_id: asterisk::entity_id(),
            version: host::version(),
            keeper: Keeper::new(Maintenance::remembered(memory.as_deref())),
            drain: Drain::Off,
            memory,
            registration: None,
            no_address: None,
            facts: Facts::default(),
            sensed: None,
            is_stopping: false,
            due: Instant::now(),
            away: backoff(4),
            refused: backoff(15),
            failure: None,
            logged: Vec::new(),
            open: Vec::new(),
        }
    }

    /// Until it is told to end: then the node is deregistered.
    pub(crate) fn run(mut self) {
        loop {
            let orders = self.desk.take();
            if orders.has_changed {
                self.wanted = self.desk.wanted();
                self.due = Instant::now();
            }
            // Also at the end: an operator's maintenance is remembered.
            for (ticket, wish) in orders.wishes {
                self.accept(ticket, wish);
            }
            if orders.is_ending {
                break;
            }
            let now = Instant::now();
            self.look(now);
            if now >= self.due {
                // The answers may take long.
                self.publish();
                self.ask_consul(now);
            }
            self.publish();
            self.desk.wait(self.due.saturating_duration_since(Instant::now()).min(LOOK));
        }
        self.farewell();
        self.lines.close();
    }

    /// Looks at Asterisk.
    fn look(&mut self, now: Instant) {
        let is_stopping = host::is_shutting_down() && self.wanted.settings.maintenance_on_shutdown;
        if is_stopping != self.is_stopping {
            self.is_stopping = is_stopping;
            self.keeper.maintenance_mut().set_stop(is_stopping);
            self.due = now;
        }
        if self.drain.counts_channels() {
            let drain = self.drain.look(host::active_channels(), now);
            self.set_drain(drain, now);
        }
        let was_sensed = self.sensed.is_some_and(|then| now - then < SENSE);
        if !was_sensed || !self.facts.is_booted {
            self.sensed = Some(now);
            let no_address = self.no_address.as_ref().map(NoAddress::to_string);
            let facts = Facts { no_address, ..senses::look(&self.version) };
            let is_news = Health::judge(&facts).is_news_after(&Health::judge(&self.facts));
            self.facts = facts;
            if is_news && self.failure.is_none() {
                self.due = now;
            }
        }
    }

    fn set_drain(&mut self, drain: Drain, now: Instant) {
        let before = std::mem::replace(&mut self.drain, drain);
        self.keeper.maintenance_mut().set_drain(drain.wants_maintenance());
        if before.wants_maintenance() != drain.wants_maintenance()
            || before.lets_register() != drain.lets_register()
        {
            self.due = now;
        }
        match (before, drain) {
            (Drain::Waiting { .. }, Drain::Leaving { .. }) => {
                asterisk::notice!("drain: no channel remains, and the node is deregistered");
            }
            (Drain::Leaving { .. }, Drain::Left { stop: true }) if !self.keeper.is_gone() => {
                asterisk::warning!(
                    "drain: Asterisk is stopped although the node could not be deregistered"
                );
            }
            (Drain::Left { .. }, Drain::Stopping) => {
                asterisk::notice!("drain: no channel remains, and Asterisk is stopped");
                host::stop_now();
            }
            _ => {}
        }
    }

    /// Brings Consul in line, and answers the commands.
    fn ask_consul(&mut self, now: Instant) {
        let result = self.bring_in_line(now);
        for note in self.keeper.take_notes() {
            tell(&note);
        }
        if self.drain.wants_maintenance() && !self.keeper.maintenance().is_draining() {
            self.drain = Drain::Off;
        }
        self.remember();
        let pause = match &result {
            Ok(()) => {
                self.away.reset();
                self.refused.reset();
                self.interval()
            }
            Err(failure) if failure.is_refusal() => self.refused.next_delay(),
            Err(_) => self.away.next_delay(),
        };
        // From the end of the requests, which may have taken long.
        self.due = Instant::now() + pause;
        self.note_failure(result.err());
        self.answer();
    }

    fn bring_in_line(&mut self, now: Instant) -> Result<(), Failure> {
        let lines = Arc::clone(&self.lines);
        let agent = Agent(&*lines);
        if !self.wanted.settings.enabled || !self.drain.lets_register() {
            self.keeper.leave(&agent)?;
            self.drain = self.drain.deregistered();
            self.keeper.maintenance_mut().set_drain(self.drain.wants_maintenance());
            return Ok(());
        }
        match address::now(&self.wanted.settings.ip) {
            Ok(address) => {
                self.set_no_address(None);
                let about = About {
                    entity_id: &self.entity_id,
                    version: &self.version,
                    ari: &self.wanted.ari,
                };
                let Wanted { settings, identity, .. } = &self.wanted;
                self.registration = Some(Registration::new(settings, identity, &address, &about));
            }
            Err(reason) => self.set_no_address(Some(reason)),
        }
        // Without an address it is told of under the last, and is critical.
        let known = self.registration.as_ref();
        let known = known.filter(|_| self.no_address.is_none() || !self.keeper.is_gone());
        let Some(registration) = known else {
            return Ok(());
        };
        self.keeper.hold(&agent, registration, &self.facts, now)
    }

    fn set_no_address(&mut self, reason: Option<NoAddress>) {
        if self.no_address != reason {
            match &reason {
                Some(reason) => asterisk::warning!("no address to register: {reason}"),
                None => asterisk::notice!("there is an address to register again"),
            }
        }
        self.facts.no_address = reason.as_ref().map(NoAddress::to_string);
        self.no_address = reason;
    }

    /// Between two looks at Consul: a ttl check is told three times within its interval.
    fn interval(&self) -> Duration {
        let check = self.registration.as_ref().and_then(|wanted| wanted.check.as_ref());
        let told = check.filter(|check| check.is_told());
        told.map_or(ASK, |check| (check.interval / 3).min(ASK))
    }

    /// Logs each kind once until all is well again. Of silence and of the token `res_consul` tells.
    fn note_failure(&mut self, failure: Option<Failure>) {
        match &failure {
            None => self.logged.clear(),
            Some(Failure::Silent(_) | Failure::Denied(_)) => {}
            Some(failure @ (Failure::Refused { .. } | Failure::Unreadable { .. })) => {
                if !self.logged.iter().any(|logged| logged.is_like(failure)) {
                    asterisk::warning!("the node is not in Consul as it is to be: {failure}");
                    self.logged.push(failure.clone());
                }
            }
        }
        self.failure = failure;
    }

    /// An operator's maintenance outlives a restart of Asterisk.
    fn remember(&mut self) {
        let memory = self.keeper.maintenance().memory();
        if memory == self.memory {
            return;
        }
        match &memory {
            Some(text) => {
                if !database::write(MEMORY, text) {
                    asterisk::warning!(
                        "Asterisk's database does not take that the node is in maintenance: that \
                         would be forgotten at a restart"
                    );
                }
            }
            None => database::remove(MEMORY),
        }
        self.memory = memory;
    }
}

fn backoff(cap: u64) -> Backoff {
    let policy = Exponential::new(Duration::from_millis(250), 2, Duration::from_secs(cap));
    Backoff::new(policy.unwrap_or(Exponential::CONNECT))
}

/// Reasons, names and addresses are what somebody has put into Consul.
fn tell(note: &Note) {
    match note {
        Note::Log(level, text) => {
            let text = on_one_line(text);
            match level {
                Level::Error => asterisk::error!("{text}"),
                Level::Warning => asterisk::warning!("{text}"),
                Level::Notice => asterisk::notice!("{text}"),
                Level::Debug => asterisk::debug!(1, "{text}"),
            }
        }
        Note::Event(name, fields) => {
            let fields: Vec<_> =
                fields.iter().map(|(key, value)| (*key, on_one_line(value))).collect();
            let fields: Vec<_> = fields.iter().map(|(key, value)| (*key, &**value)).collect();
            manager::emit(name, &fields);
        }
    }
}
