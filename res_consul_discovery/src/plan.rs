// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What is to be done in Consul, from what it has and what it is to have.

use crate::found::Found;
use crate::health::Status;
use crate::maintenance::{Change, Maintenance};
use crate::service::{Registration, is_told_by_notes};

/// Why the service is to be registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// We have not done it yet. What the agent does not tell of a check may be wrong.
    Start,
    /// It is not there.
    Missing,
    /// It is to be another than what we registered.
    Changed,
    /// It is not what we registered.
    Altered,
    /// Its check does not take what we tell.
    CheckLost,
    /// Another token applies, and the agent still uses the one it was registered with.
    Login,
}

/// One request to Consul.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Takes the service's own check away.
    DropCheck,
    /// Registers it, with this status of its check.
    Register(Why, Status),
    /// Sets or lifts maintenance.
    Maintain(Change),
    /// Tells the check how the node is.
    Tell,
}

/// What is known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known<'a> {
    /// What is to be there.
    pub wanted: &'a Registration,
    /// What the agent has.
    pub found: Option<&'a Found>,
    /// What we registered last.
    pub registered: Option<&'a Registration>,
    /// The check was not there when it was told.
    pub check_is_lost: bool,
    /// It was registered with another token.
    pub token_is_old: bool,
}

impl Known<'_> {
    /// Why it is to be registered; none if all is as it is to be.
    pub(crate) fn why(&self) -> Option<Why> {
        let Some(registered) = self.registered else {
            return Some(Why::Start);
        };
        if self.found.is_none() {
            return Some(Why::Missing);
        }
        if registered != self.wanted {
            return Some(Why::Changed);
        }
        if self.check_is_lost {
            return Some(Why::CheckLost);
        }
        if self.token_is_old {
            return Some(Why::Login);
        }
        let is_right = self.found.is_some_and(|found| found.is(self.wanted));
        (!is_right).then_some(Why::Altered)
    }

    /// What is to be done, in order. `health` is how the node is, and `maintenance` has looked at
    /// what was found.
    pub(crate) fn steps(&self, health: Status, maintenance: &Maintenance) -> Vec<Step> {
        let mut steps = Vec::new();
        if let Some(why) = self.why() {
            if self.check_must_go() {
                steps.push(Step::DropCheck);
            }
            steps.push(Step::Register(why, self.first_status(health, maintenance)));
        }
        steps.extend(maintenance.next().map(Step::Maintain));
        if self.wanted.check.as_ref().is_some_and(|check| check.is_told()) {
            steps.push(Step::Tell);
        }
        steps
    }

    /// Registering does not take away a check that is wanted no more, and one that becomes of
    /// another kind keeps its old clock running (Consul 1.8): a ttl check that is an HTTP check by
    /// now turns critical by and by.
    fn check_must_go(&self) -> bool {
        let Some(found) = self.found.and_then(Found::check) else {
            return false;
        };
        let is_told = self.wanted.check.as_ref().map(|check| check.is_told());
        self.check_is_lost || is_told.is_none() || is_told_by_notes(&found.notes) != is_told
    }

    /// A node that goes into maintenance must not be seen as passing first. What Consul's own
    /// questions have found stays.
    fn first_status(&self, health: Status, maintenance: &Maintenance) -> Status {
        let is_told = self.wanted.check.as_ref().is_some_and(|check| check.is_told());
        if maintenance.wanted().is_some() && !maintenance.is_on() {
            return Status::Critical;
        }
        let asked = self.found.and_then(Found::check).filter(|_| !is_told);
        let asked = asked.filter(|check| is_told_by_notes(&check.notes) == Some(false));
        asked.and_then(|check| check.status()).unwrap_or(health)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{CheckSettings, CheckWay, Settings};
    use crate::found::tests::found;
    use crate::health::Status::{Critical, Passing, Warning};
    use crate::service::tests::registration;

    fn ttl() -> Registration {
        registration(&Settings::default(), "10.0.0.1")
    }

    fn http() -> Registration {
        let timeout = Duration::from_secs(5);
        let check = CheckSettings {
            way: CheckWay::Http { port: 8088, timeout },
            interval: Duration::from_secs(15),
            deregister_after: None,
        };
        registration(&Settings { check: Some(check), ..Settings::default() }, "10.0.0.1")
    }

    fn unchecked() -> Registration {
        Registration { check: None, ..ttl() }
    }

    /// What is done about `found` where `registered` was done before, with passing health.
    fn steps(
        wanted: &Registration,
        found: Option<&Found>,
        registered: Option<&Registration>,
    ) -> Vec<Step> {
        let known = Known { wanted, found, registered, check_is_lost: false, token_is_old: false };
        known.steps(Passing, &Maintenance::default())
    }

    #[test]
    fn what_is_right_is_told_and_no_more() {
        let there = found(&ttl(), Passing, None);
        assert_eq!(steps(&ttl(), Some(&there), Some(&ttl())), [Step::Tell]);
        let there = found(&http(), Warning, None);
        assert_eq!(steps(&http(), Some(&there), Some(&http())), []);
        let there = found(&unchecked(), Passing, None);
        assert_eq!(steps(&unchecked(), Some(&there), Some(&unchecked())), []);
    }

    #[test]
    fn what_is_missing_changed_or_altered_is_registered() {
        let register = |why| vec![Step::Register(why, Passing), Step::Tell];
        let there = found(&ttl(), Passing, None);
        assert_eq!(steps(&ttl(), Some(&there), None), register(Why::Start));
        assert_eq!(steps(&ttl(), None, None), register(Why::Start));
        assert_eq!(steps(&ttl(), None, Some(&ttl())), register(Why::Missing));
        let before = Registration { port: 5061, ..ttl() };
        assert_eq!(steps(&ttl(), Some(&there), Some(&before)), register(Why::Changed));
        let altered = found(&before, Passing, None);
        assert_eq!(steps(&ttl(), Some(&altered), Some(&ttl())), register(Why::Altered));
    }

    #[test]
    fn a_check_of_another_kind_goes_first() {
        let wanted = [(http(), ttl(), true), (ttl(), http(), true), (ttl(), unchecked(), true)];
        let same = [(ttl(), ttl(), false), (http(), http(), false), (unchecked(), ttl(), false)];
        for (there, wanted, goes) in wanted.into_iter().chain(same) {
            let there = found(&there, Passing, None);
            let steps = steps(&wanted, Some(&there), None);
            assert_eq!(steps.first() == Some(&Step::DropCheck), goes, "{wanted:?}");
        }
    }

    #[test]
    fn what_consul_has_found_by_asking_stays() {
        let there = found(&http(), Critical, None);
        let done = steps(&http(), Some(&there), None);
        assert_eq!(done, [Step::Register(Why::Start, Critical)]);
        assert_eq!(steps(&http(), None, None), [Step::Register(Why::Start, Passing)]);
        // A ttl check that ran out is no such thing.
        let there = found(&ttl(), Critical, None);
        let done = steps(&http(), Some(&there), None);
        assert_eq!(done, [Step::DropCheck, Step::Register(Why::Start, Passing)]);
    }

    #[test]
    fn a_node_in_maintenance_is_not_passing_for_a_moment() {
        let mut maintenance = Maintenance::default();
        maintenance.set_drain(true);
        let known = Known {
            wanted: &ttl(),
            found: None,
            registered: None,
            check_is_lost: false,
            token_is_old: false,
        };
        let steps = known.steps(Passing, &maintenance);
        let [Step::Register(Why::Start, Critical), Step::Maintain(Change::On(_)), Step::Tell] =
            steps.as_slice()
        else {
            panic!("{steps:?}");
        };
        // Where it is set already, the status is the node's own.
        let there = found(&ttl(), Passing, maintenance.wanted());
        maintenance.look(there.maintenance());
        let known = Known { found: Some(&there), ..known };
        let steps = known.steps(Warning, &maintenance);
        assert_eq!(steps, [Step::Register(Why::Start, Warning), Step::Tell]);
    }

    #[test]
    fn a_check_that_was_lost_is_made_anew() {
        let there = found(&ttl(), Passing, None);
        let known = Known {
            wanted: &ttl(),
            found: Some(&there),
            registered: Some(&ttl()),
            check_is_lost: true,
            token_is_old: false,
        };
        let steps = known.steps(Warning, &Maintenance::default());
        let register = Step::Register(Why::CheckLost, Warning);
        assert_eq!(steps, [Step::DropCheck, register, Step::Tell]);
    }
}
