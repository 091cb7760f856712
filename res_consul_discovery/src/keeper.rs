// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Keeps the node in Consul as it is to be. Nothing here knows of Asterisk: what is to be logged or
//! told is left in notes.

mod notes;

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant, SystemTime};

use crate::agent::{Agent, Failure};
use crate::duplicate::{self, Claim};
use crate::found::Found;
use crate::health::{Facts, Health, Status};
use crate::maintenance::{self, Change, Maintenance};
use crate::plan::{Known, Step};
use crate::service::{CONFLICT, Registration, Way};
pub(crate) use notes::Note;
use notes::Notes;

/// How often it is looked whether another still has our id, or has it at all when Consul could not
/// say.
const LOOK_AGAIN: Duration = Duration::from_secs(15);

/// How many addresses of ours are remembered: the catalog may lag behind.
const OURS: usize = 8;

#[derive(Default)]
pub(crate) struct Keeper {
    maintenance: Maintenance,
    claim: Claim,
    /// When it was last looked who has our id, and whether Consul's servers could say.
    looked: Option<(Instant, bool)>,
    /// What we registered, and since when it has been there.
    registered: Option<(Registration, SystemTime)>,
    has_registered: bool,
    /// The id wanted.
    id: Option<String>,
    /// Where we are and were.
    ours: VecDeque<(String, u16)>,
    /// The ids that may be in Consul because of us.
    placed: BTreeSet<String>,
    /// What an earlier life left aside is taken away.
    is_swept: bool,
    check_is_lost: bool,
    /// How often the token had changed when it was registered.
    logins: u64,
    /// What the check was told last.
    told: Option<Health>,
    /// Consul's question was answered 404.
    is_not_served: bool,
    notes: Notes,
}

impl Keeper {
    pub(crate) fn new(maintenance: Maintenance) -> Self {
        Self { maintenance, ..Self::default() }
    }

    pub(crate) fn maintenance(&self) -> &Maintenance {
        &self.maintenance
    }

    pub(crate) fn maintenance_mut(&mut self) -> &mut Maintenance {
        &mut self.maintenance
    }

    /// What is registered, and since when.
    pub(crate) fn registered(&self) -> Option<&(Registration, SystemTime)> {
        self.registered.as_ref()
    }

    /// Whether nothing of ours can be in Consul.
    pub(crate) fn is_gone(&self) -> bool {
        self.placed.is_empty()
    }

    /// Who else has our id.
    pub(crate) fn duplicate(&self) -> Option<String> {
        let (holder, id) = (self.claim.holder()?, self.id.as_ref()?);
        Some(format!("'{id}' is also at {holder}"))
    }

    /// What is to be logged and told since this was last asked.
    pub(crate) fn take_notes(&mut self) -> Vec<Note> {
        self.notes.take()
    }

    /// Has Consul have `wanted`, with its check as `facts` say.
    pub(crate) fn hold(
        &mut self,
        agent: &Agent<'_>,
        wanted: &Registration,
        facts: &Facts,
        now: Instant,
    ) -> Result<(), Failure> {
        if self.id.as_ref().is_some_and(|before| *before != wanted.id) {
            self.leave(agent)?;
            self.is_swept = false;
        }
        self.id = Some(wanted.id.clone());
        self.add_ours(wanted.endpoint());

        let (service, found) = self.claimed(agent, wanted, now)?;
        self.look_at_maintenance(found.as_ref());

        let facts = Facts { duplicate: self.duplicate(), ..facts.clone() };
        let health = Health::judge(&facts);
        let known = self.known(agent, &service, found.as_ref());
        let steps = known.steps(health.status(), &self.maintenance);
        for step in steps {
            self.carry_out(agent, &service, found.as_ref(), &health, step)?;
        }
        self.leave_except(agent, Some(&service.id))?;
        self.sweep(agent, wanted)?;
        self.look_at_answer(&service, found.as_ref());
        Ok(())
    }

    /// Takes the node out of Consul.
    pub(crate) fn leave(&mut self, agent: &Agent<'_>) -> Result<(), Failure> {
        self.leave_except(agent, None)?;
        self.registered = None;
        self.maintenance.registration_lost();
        self.claim = Claim::Ours;
        self.told = None;
        Ok(())
    }

    fn add_ours(&mut self, endpoint: (String, u16)) {
        if !self.ours.contains(&endpoint) {
            self.ours.push_back(endpoint);
            if self.ours.len() > OURS {
                self.ours.pop_front();
            }
        }
    }

    fn known<'a>(
        &'a self,
        agent: &Agent<'_>,
        wanted: &'a Registration,
        found: Option<&'a Found>,
    ) -> Known<'a> {
        let registered = self.registered.as_ref().map(|(registered, _)| registered);
        Known {
            wanted,
            found,
            registered: registered.filter(|registered| registered.id == wanted.id),
            check_is_lost: self.check_is_lost,
            token_is_old: self.logins != agent.logins(),
        }
    }

    /// The registration that others' rights leave us, and what the agent has of it.
    fn claimed(
        &mut self,
        agent: &Agent<'_>,
        wanted: &Registration,
        now: Instant,
    ) -> Result<(Registration, Option<Found>), Failure> {
        let service = self.claim.of(wanted);
        let found = agent.service(&service.id)?;
        let is_due = match self.looked {
            Some((then, has_told)) => {
                let is_open = self.claim != Claim::Ours || !has_told;
                is_open && now.saturating_duration_since(then) >= LOOK_AGAIN
            }
            None => true,
        };
        if !is_due && self.known(agent, &service, found.as_ref()).why().is_none() {
            return Ok((service, found));
        }
        let local = match service.id == wanted.id {
            true => found.clone(),
            false => agent.service(&wanted.id)?,
        };
        self.look_for_others(agent, wanted, local.as_ref(), now)?;
        let claimed = self.claim.of(wanted);
        let found = match claimed.id.as_str() {
            id if id == service.id => found,
            id if id == wanted.id => local,
            id => agent.service(id)?,
        };
        Ok((claimed, found))
    }

    fn look_for_others(
        &mut self,
        agent: &Agent<'_>,
        wanted: &Registration,
        local: Option<&Found>,
        now: Instant,
    ) -> Result<(), Failure> {
        let catalog = match agent.everywhere(&wanted.name, &wanted.id) {
            Err(Failure::Silent(reason)) => return Err(Failure::Silent(reason)),
            // The agent can do its part without a leader, or without the right to read all: then
            // what is known of other agents stays.
            answer => answer.ok(),
        };
        self.looked = Some((now, catalog.is_some()));
        let claim = duplicate::decide(&duplicate::Known {
            id: &wanted.id,
            ours: self.ours.make_contiguous(),
            local,
            catalog: catalog.as_deref().unwrap_or_default(),
            is_start: !self.has_registered,
        });
        if claim == Claim::Ours && catalog.is_none() && matches!(self.claim, Claim::Shared(_)) {
            return Ok(());
        }
        if claim == self.claim {
            return Ok(());
        }
        if matches!(claim, Claim::Aside(_)) {
            // What is there under our id is the other's.
            self.placed.remove(&wanted.id);
        }
        self.claim = claim;
        let registered = self.claim.of(wanted);
        self.notes.claim(&wanted.id, &registered.id, self.claim.holder());
        Ok(())
    }

    fn look_at_maintenance(&mut self, found: Option<&Found>) {
        let Some(found) = found else {
            self.maintenance.registration_lost();
            return;
        };
        let id = &found.service.id;
        match self.maintenance.look(found.maintenance()) {
            maintenance::Found::AsKnown => {}
            maintenance::Found::Set(reason) => self.notes.maintenance_set(id, &reason),
            maintenance::Found::Lifted { drain } => self.notes.maintenance_lifted(id, drain),
        }
    }

    fn carry_out(
        &mut self,
        agent: &Agent<'_>,
        service: &Registration,
        found: Option<&Found>,
        health: &Health,
        step: Step,
    ) -> Result<(), Failure> {
        match step {
            Step::DropCheck => agent.drop_check(&service.check_id())?,
            Step::Register(why, status) => {
                // Before: the request itself may have shown that the token was revoked.
                let logins = agent.logins();
                // An answer that is lost does not say that it was not done.
                let is_new = self.placed.insert(service.id.clone());
                if let Err(failure) = agent.register(service, status) {
                    if is_new && failure.is_refusal() {
                        self.placed.remove(&service.id);
                    }
                    return Err(failure);
                }
                self.registered = Some((service.clone(), SystemTime::now()));
                self.has_registered = true;
                self.check_is_lost = false;
                self.logins = logins;
                self.notes.registered(service, why);
            }
            Step::Maintain(change) => {
                let reason = found.and_then(Found::maintenance);
                if let (Change::Off, Some(reason)) = (&change, reason) {
                    match agent.own_maintenance(&service.id, reason) {
                        Ok(()) => {}
                        Err(failure @ Failure::Silent(_)) => return Err(failure),
                        // It is lifted all the same: nearly always that is all it takes.
                        Err(failure) => self.notes.maintenance_not_owned(&service.id, &failure),
                    }
                }
                agent.maintain(&service.id, &change)?;
                self.maintenance.done(&change);
                self.notes.maintained(&service.id, &change);
            }
            Step::Tell => {
                let output = health.output();
                self.check_is_lost = !agent.tell(&service.check_id(), health.status(), &output)?;
                self.notes.told(self.told.replace(health.clone()).as_ref(), health);
            }
        }
        Ok(())
    }

    /// Deregisters what of ours there may be, except under one id. What another has put there in
    /// place of ours stays.
    fn leave_except(&mut self, agent: &Agent<'_>, kept: Option<&str>) -> Result<(), Failure> {
        let others: Vec<String> =
            self.placed.iter().filter(|id| Some(id.as_str()) != kept).cloned().collect();
        for id in others {
            let found = agent.service(&id)?;
            if let Some(found) = found.filter(|found| self.ours.contains(&found.endpoint())) {
                if kept.is_none() {
                    // Of what an operator has set since, this is the last chance to hear.
                    self.look_at_maintenance(Some(&found));
                }
                self.register_to_leave(agent, &id)?;
                agent.deregister(&id)?;
                self.notes.deregistered(&found);
            }
            self.placed.remove(&id);
        }
        Ok(())
    }

    /// The agent takes a service out of the catalog with the token it was registered with. With one
    /// that is revoked by now it would stay there for ever, so it is registered once more.
    fn register_to_leave(&self, agent: &Agent<'_>, id: &str) -> Result<(), Failure> {
        let registered = self.registered.as_ref().map(|(registered, _)| registered);
        match registered.filter(|registered| registered.id == id) {
            Some(registered) if self.logins != agent.logins() => {
                agent.register(registered, Status::Critical)
            }
            _ => Ok(()),
        }
    }

    /// What stands aside under our address from before a crash.
    fn sweep(&mut self, agent: &Agent<'_>, wanted: &Registration) -> Result<(), Failure> {
        if self.is_swept || matches!(self.claim, Claim::Aside(_)) {
            return Ok(());
        }
        let left = agent.service(&wanted.aside_id())?;
        if let Some(left) = left.filter(|left| left.service.meta.get(CONFLICT) == Some(&wanted.id))
        {
            agent.deregister(&left.service.id)?;
            self.notes.deregistered(&left);
        }
        self.is_swept = true;
        Ok(())
    }

    /// Asterisk answers `/httpstatus` with 404 unless it is told to serve it.
    fn look_at_answer(&mut self, service: &Registration, found: Option<&Found>) {
        let check = service.check.as_ref().map(|check| &check.way);
        let Some(Way::Http { url, .. }) = check else {
            self.is_not_served = false;
            return;
        };
        let output = found.and_then(Found::check).map_or("", |check| check.output.as_str());
        let is_not_served = output.contains(": 404 ");
        if is_not_served && !self.is_not_served {
            self.notes.not_served(url);
        }
        self.is_not_served = is_not_served;
    }
}

#[cfg(test)]
mod tests;
