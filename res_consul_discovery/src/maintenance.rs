// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Maintenance: who wants it, and what is to be done in Consul for that.
//!
//! An operator's is never taken back by the module, however it was set; a drain's and a graceful
//! stop's end with them. In Consul all are one: a check with a reason, and the reason of the first
//! stays (Consul keeps it when maintenance is set again).

/// What the reasons begin with that are of a drain or a stop: known as such after a crash.
const OURS: &str = "Asterisk: ";

const DRAIN: &str = "Asterisk: draining, running calls live on";
const STOP: &str = "Asterisk: stopping when the last call has ended";

/// What is to be done in Consul.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    On(String),
    Off,
}

/// What was done in Consul by others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing.
    AsKnown,
    /// An operator has set it, with this reason.
    Set(String),
    /// An operator has lifted it. Whether that ends a drain.
    Lifted { drain: bool },
}

/// Who wants maintenance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Maintenance {
    /// An operator, for this reason.
    operator: Option<String>,
    /// A drain.
    drain: bool,
    /// A graceful stop.
    stop: bool,
    /// An operator has lifted what the stop that goes on had set.
    stop_is_overruled: bool,
    /// An operator wants none any more, whoever has set it in Consul.
    lift: bool,
    /// Consul has it, as far as we know.
    is_on: bool,
    /// What Consul was not asked about since.
    fresh: Fresh,
}

/// Who has come to want it since Consul was last looked at. What an operator has lifted there
/// meanwhile was not this.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Fresh {
    operator: bool,
    drain: bool,
    stop: bool,
}

impl Maintenance {
    /// As it was before Asterisk's restart: what [`Maintenance::memory`] gave.
    pub(crate) fn remembered(memory: Option<&str>) -> Self {
        let (state, reason) = memory.and_then(|text| text.split_once(' ')).unzip();
        Self {
            operator: reason.filter(|reason| !reason.is_empty()).map(str::to_owned),
            is_on: state == Some("set"),
            ..Self::default()
        }
    }

    /// What must outlive a restart of Asterisk: an operator's wish, and whether Consul had it. For
    /// if it had, and then has it no more, an operator has lifted it meanwhile.
    pub(crate) fn memory(&self) -> Option<String> {
        let state = if self.is_on { "set" } else { "wanted" };
        self.operator.as_ref().map(|reason| format!("{state} {reason}"))
    }

    /// An operator's command.
    pub(crate) fn set_operator(&mut self, reason: Option<String>) {
        self.lift = reason.is_none();
        self.fresh.operator = reason.is_some();
        self.operator = reason;
    }

    pub(crate) fn set_drain(&mut self, drain: bool) {
        self.fresh.drain = drain && (self.fresh.drain || !self.drain);
        self.drain = drain;
    }

    pub(crate) fn set_stop(&mut self, stop: bool) {
        self.fresh.stop = stop && (self.fresh.stop || !self.stop);
        self.stop = stop;
        self.stop_is_overruled &= stop;
    }

    /// The reason, if anybody wants it.
    pub(crate) fn wanted(&self) -> Option<&str> {
        if let Some(reason) = &self.operator {
            Some(reason)
        } else if self.drain {
            Some(DRAIN)
        } else {
            self.stop_wants().then_some(STOP)
        }
    }

    /// Who wants it, for people.
    pub(crate) fn by(&self) -> Vec<&'static str> {
        let who = [
            (self.operator.is_some(), "an operator"),
            (self.drain, "the drain"),
            (self.stop_wants(), "the graceful stop"),
        ];
        who.into_iter().filter_map(|(wants, who)| wants.then_some(who)).collect()
    }

    fn stop_wants(&self) -> bool {
        self.stop && !self.stop_is_overruled
    }

    /// Whether a drain wants it.
    pub(crate) fn is_draining(&self) -> bool {
        self.drain
    }

    /// Whether Consul has it, as far as is known.
    pub(crate) fn is_on(&self) -> bool {
        self.is_on
    }

    /// Consul was asked about the service, which is there; `reason` is that of its maintenance.
    pub(crate) fn look(&mut self, reason: Option<&str>) -> Found {
        let was_on = std::mem::replace(&mut self.is_on, reason.is_some());
        let fresh = std::mem::take(&mut self.fresh);
        match reason {
            Some(reason) => {
                let is_known = self.operator.as_deref() == Some(reason);
                if is_known || self.lift || reason.starts_with(OURS) {
                    return Found::AsKnown;
                }
                self.operator = Some(reason.to_owned());
                Found::Set(reason.to_owned())
            }
            None => {
                self.lift = false;
                let operator = self.operator.is_some() && !fresh.operator;
                let drain = self.drain && !fresh.drain;
                let stop = self.stop_wants() && !fresh.stop;
                if !was_on || !(operator || drain || stop) {
                    return Found::AsKnown;
                }
                if operator {
                    self.operator = None;
                }
                self.drain &= !drain;
                self.stop_is_overruled |= stop;
                Found::Lifted { drain }
            }
        }
    }

    /// The service is not there, and so is no maintenance of it.
    pub(crate) fn registration_lost(&mut self) {
        self.lift = false;
        self.is_on = false;
        self.fresh = Fresh::default();
    }

    /// What is to be done, with the service there.
    pub(crate) fn next(&self) -> Option<Change> {
        match (self.wanted(), self.is_on) {
            (Some(reason), false) => Some(Change::On(reason.to_owned())),
            (None, true) => Some(Change::Off),
            (Some(_), true) | (None, false) => None,
        }
    }

    /// It is done.
    pub(crate) fn done(&mut self, change: &Change) {
        self.is_on = matches!(change, Change::On(_));
        if !self.is_on {
            self.lift = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(reason: &str) -> Option<Change> {
        Some(Change::On(reason.to_owned()))
    }

    /// Looks, and does what is to be done, as the worker does.
    fn settle(maintenance: &mut Maintenance, in_consul: &mut Option<String>) -> Found {
        let found = maintenance.look(in_consul.as_deref());
        if let Some(change) = maintenance.next() {
            maintenance.done(&change);
            *in_consul = match change {
                Change::On(reason) => Some(reason),
                Change::Off => None,
            };
        }
        found
    }

    #[test]
    fn an_operators_command_is_carried_out_and_taken_back() {
        let (mut maintenance, mut consul) = (Maintenance::default(), None);
        maintenance.set_operator(Some("new disk".to_owned()));
        assert_eq!(maintenance.memory().as_deref(), Some("wanted new disk"));
        assert_eq!(settle(&mut maintenance, &mut consul), Found::AsKnown);
        assert_eq!(consul.as_deref(), Some("new disk"));
        assert_eq!(maintenance.memory().as_deref(), Some("set new disk"));
        assert_eq!(settle(&mut maintenance, &mut consul), Found::AsKnown);
        maintenance.set_operator(None);
        settle(&mut maintenance, &mut consul);
        assert_eq!((consul, maintenance.memory()), (None, None));
        assert_eq!(maintenance, Maintenance::default());
    }

    #[test]
    fn what_was_set_in_consul_is_the_operators() {
        let (mut maintenance, mut consul) = (Maintenance::default(), Some("by hand".to_owned()));
        let found = settle(&mut maintenance, &mut consul);
        assert_eq!(found, Found::Set("by hand".to_owned()));
        assert_eq!(settle(&mut maintenance, &mut consul), Found::AsKnown);
        // A drain or a stop that comes and goes does not take it back.
        for set in [Maintenance::set_drain, Maintenance::set_stop] {
            set(&mut maintenance, true);
            settle(&mut maintenance, &mut consul);
            set(&mut maintenance, false);
            settle(&mut maintenance, &mut consul);
            assert_eq!(consul.as_deref(), Some("by hand"));
        }
        // The agent lost it: it is set again.
        maintenance.registration_lost();
        assert_eq!(maintenance.next(), on("by hand"));
        // An operator's own command does.
        maintenance.set_operator(None);
        consul = Some("by hand".to_owned());
        settle(&mut maintenance, &mut consul);
        assert_eq!(consul, None);
    }

    #[test]
    fn what_was_lifted_in_consul_is_forgotten() {
        let (mut maintenance, mut consul) = (Maintenance::default(), None);
        maintenance.set_operator(Some("x".to_owned()));
        settle(&mut maintenance, &mut consul);
        consul = None;
        let lifted = Found::Lifted { drain: false };
        assert_eq!(settle(&mut maintenance, &mut consul), lifted);
        assert_eq!((consul.as_ref(), maintenance.memory()), (None, None));

        maintenance.set_drain(true);
        settle(&mut maintenance, &mut consul);
        consul = None;
        let lifted = Found::Lifted { drain: true };
        assert_eq!(settle(&mut maintenance, &mut consul), lifted);
        assert_eq!(consul, None);

        // A stop goes on, and does not fight for it; the next one has its own.
        maintenance.set_stop(true);
        settle(&mut maintenance, &mut consul);
        consul = None;
        settle(&mut maintenance, &mut consul);
        maintenance.set_stop(true);
        settle(&mut maintenance, &mut consul);
        assert_eq!(consul, None);
        maintenance.set_stop(false);
        maintenance.set_stop(true);
        settle(&mut maintenance, &mut consul);
        assert_eq!(consul.as_deref(), Some(STOP));
    }

    #[test]
    fn what_is_wanted_after_the_lifting_is_not_what_was_lifted() {
        type Want = fn(&mut Maintenance);
        let wants: [(Want, &str); 3] = [
            (|maintenance| maintenance.set_operator(Some("y".to_owned())), "y"),
            (|maintenance| maintenance.set_drain(true), DRAIN),
            (|maintenance| maintenance.set_stop(true), STOP),
        ];
        for (want, reason) in wants {
            let (mut maintenance, mut consul) = (Maintenance::default(), Some("x".to_owned()));
            settle(&mut maintenance, &mut consul);
            // Lifted, and before that is noticed it is wanted anew.
            consul = None;
            want(&mut maintenance);
            settle(&mut maintenance, &mut consul);
            assert_eq!(consul.as_deref(), Some(reason));
            // That can be lifted as well, also without a look in between.
            consul = None;
            assert!(matches!(settle(&mut maintenance, &mut consul), Found::Lifted { .. }));
            assert_eq!((consul, maintenance.wanted()), (None, None));
        }
    }

    #[test]
    fn a_stop_that_is_aborted_takes_its_own_back() {
        let (mut maintenance, mut consul) = (Maintenance::default(), None);
        maintenance.set_stop(true);
        settle(&mut maintenance, &mut consul);
        assert_eq!(consul.as_deref(), Some(STOP));
        assert_eq!(maintenance.memory(), None);
        maintenance.set_stop(false);
        settle(&mut maintenance, &mut consul);
        assert_eq!(consul, None);
    }

    #[test]
    fn what_a_crash_left_of_a_drain_or_a_stop_is_taken_back() {
        for reason in [DRAIN, STOP] {
            let (mut maintenance, mut consul) = (Maintenance::default(), Some(reason.to_owned()));
            assert_eq!(settle(&mut maintenance, &mut consul), Found::AsKnown);
            assert_eq!(consul, None);
        }
        // Not if an operator wanted it as well.
        let mut maintenance = Maintenance::remembered(Some("set x"));
        let mut consul = Some(DRAIN.to_owned());
        settle(&mut maintenance, &mut consul);
        assert_eq!(consul.as_deref(), Some(DRAIN));
    }

    #[test]
    fn an_operators_outlives_a_restart() {
        // It was set, and the node deregistered at the end.
        let mut maintenance = Maintenance::remembered(Some("set new disk"));
        maintenance.registration_lost();
        assert_eq!(maintenance.next(), on("new disk"));
        // It was set, Asterisk crashed, and an operator lifted it meanwhile.
        let mut maintenance = Maintenance::remembered(Some("set new disk"));
        assert_eq!(maintenance.look(None), Found::Lifted { drain: false });
        assert_eq!(maintenance.next(), None);
        // Consul was away when it was wanted.
        let mut maintenance = Maintenance::remembered(Some("wanted new disk"));
        assert_eq!(maintenance.look(None), Found::AsKnown);
        assert_eq!(maintenance.next(), on("new disk"));
        for nothing in [None, Some(""), Some("set"), Some("wanted ")] {
            assert_eq!(Maintenance::remembered(nothing).wanted(), None);
        }
    }

    #[test]
    fn the_operators_reason_goes_first_and_the_drains_stays_after_it() {
        let (mut maintenance, mut consul) = (Maintenance::default(), None);
        maintenance.set_drain(true);
        maintenance.set_stop(true);
        maintenance.set_operator(Some("x".to_owned()));
        assert_eq!(maintenance.by(), ["an operator", "the drain", "the graceful stop"]);
        settle(&mut maintenance, &mut consul);
        assert_eq!(consul.as_deref(), Some("x"));
        maintenance.set_operator(None);
        settle(&mut maintenance, &mut consul);
        assert!(consul.is_some());
        maintenance.set_drain(false);
        maintenance.set_stop(false);
        settle(&mut maintenance, &mut consul);
        assert_eq!(consul, None);
    }
}
