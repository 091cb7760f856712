// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::{Failure, LEFTOVERS, LISTING, Ledger, Listing, Next, Registration, Task};
use crate::note::Note;

const SECOND: Duration = Duration::from_secs(1);

/// An agent, and what it was asked.
#[derive(Default)]
struct Agent {
    services: BTreeMap<String, Option<String>>,
    failure: Option<Failure>,
    refuses: BTreeSet<String>,
    /// It lists, and fails at all else.
    is_full: bool,
    asked: Vec<String>,
    notes: Vec<Note>,
}

impl Agent {
    fn answer(&mut self, task: &Task) -> Result<Listing, Failure> {
        let (said, id) = match task {
            Task::List => ("list".to_owned(), None),
            Task::Register { id, .. } => (format!("+{id}"), Some(id)),
            Task::Deregister { id } => (format!("-{id}"), Some(id)),
        };
        self.asked.push(said);
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        if id.is_some_and(|id| self.refuses.contains(id)) {
            return Err(Failure::Forbidden("403 Permission denied".to_owned()));
        }
        if self.is_full && *task != Task::List {
            return Err(Failure::Failing("500 no space left on device".to_owned()));
        }
        match task {
            Task::List => return Ok(self.services.clone()),
            Task::Register { id, name } => {
                self.services.insert(id.clone(), Some(name.clone()));
            }
            Task::Deregister { id } => {
                self.services.remove(id);
            }
        }
        Ok(Listing::new())
    }

    /// Does all there is to do, and tells what that was and what comes next.
    fn serve(&mut self, ledger: &mut Ledger, now: Instant) -> (Vec<String>, Next) {
        loop {
            match ledger.next(now) {
                Next::Do(task) => {
                    let result = self.answer(&task);
                    self.notes.extend(ledger.done(task, result, now));
                    assert!(self.asked.len() < 100, "{:?}", self.asked);
                }
                next => return (std::mem::take(&mut self.asked), next),
            }
        }
    }

    fn asked(&mut self, ledger: &mut Ledger, now: Instant) -> Vec<String> {
        self.serve(ledger, now).0
    }

    fn has(&self) -> Vec<&str> {
        self.services.keys().map(String::as_str).collect()
    }

    fn notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }
}

fn begun(agent: &mut Agent, now: Instant) -> Ledger {
    let mut ledger = Ledger::new();
    ledger.begin(now);
    agent.serve(&mut ledger, now);
    ledger.settle();
    agent.serve(&mut ledger, now);
    ledger
}

fn want(ledger: &mut Ledger, ids: &[&str]) {
    for id in ids {
        ledger.want((*id).to_owned(), &id.to_uppercase());
    }
}

fn named(id: &str) -> (String, Option<String>) {
    (id.to_owned(), Some(id.to_uppercase()))
}

#[test]
fn what_is_wanted_is_registered_and_what_is_not_is_deregistered() {
    let (mut agent, now) = (Agent::default(), Instant::now());
    let mut ledger = begun(&mut agent, now);
    want(&mut ledger, &["a", "b"]);
    assert_eq!(ledger.registration("a"), Registration::Missing(None));
    assert_eq!(
        agent.serve(&mut ledger, now),
        (vec!["+a".to_owned(), "+b".to_owned()], Next::Wait(Some(now + LISTING)))
    );
    assert_eq!(ledger.registration("a"), Registration::Registered);
    ledger.unwant("a".to_owned());
    assert_eq!(agent.asked(&mut ledger, now), ["-a"]);
    assert_eq!(agent.services, BTreeMap::from([named("b")]));
}

#[test]
fn what_others_changed_is_put_right_by_the_next_listing() {
    let (mut agent, mut now) = (Agent::default(), Instant::now());
    let mut ledger = begun(&mut agent, now);
    want(&mut ledger, &["a", "b", "c"]);
    agent.serve(&mut ledger, now);
    agent.services.remove("a");
    agent.services.insert("b".to_owned(), Some("other".to_owned()));
    agent.services.insert("c".to_owned(), None);
    agent.services.insert("stray".to_owned(), None);
    assert_eq!(agent.asked(&mut ledger, now), [""; 0]);
    now += LISTING;
    assert_eq!(agent.asked(&mut ledger, now), ["list", "+a", "+b", "+c", "-stray"]);
    assert_eq!(agent.services, BTreeMap::from(["a", "b", "c"].map(named)));
    let text = "1 applications are not registered in Consul any more; they are registered again";
    assert_eq!(agent.notes(), [Note::Notice(text.to_owned())]);
}

#[test]
fn what_a_former_life_left_goes_when_the_keys_are_known() {
    let (mut agent, now) = (Agent::default(), Instant::now());
    agent.services = BTreeMap::from(["a", "old"].map(named));
    let mut ledger = Ledger::new();
    ledger.begin(now);
    assert_eq!(agent.asked(&mut ledger, now), ["list"]);
    want(&mut ledger, &["a", "b"]);
    assert_eq!(agent.asked(&mut ledger, now), ["+b"]);
    ledger.settle();
    assert_eq!(agent.asked(&mut ledger, now), ["-old"]);
    assert_eq!(agent.has(), ["a", "b"]);
}

#[test]
fn what_a_former_life_left_does_not_stay_for_want_of_keys() {
    let (mut agent, mut now) = (Agent::default(), Instant::now());
    agent.services = BTreeMap::from([named("old")]);
    let mut ledger = Ledger::new();
    ledger.begin(now);
    assert_eq!(agent.asked(&mut ledger, now), ["list"]);
    now += LEFTOVERS - SECOND;
    assert_eq!(agent.asked(&mut ledger, now), ["list"]);
    now += SECOND;
    assert_eq!(agent.asked(&mut ledger, now), ["-old"]);
}

#[test]
fn while_consul_is_away_it_is_asked_at_growing_intervals_and_listed_when_back() {
    let (mut agent, mut now) = (Agent::default(), Instant::now());
    let mut ledger = begun(&mut agent, now);
    want(&mut ledger, &["a"]);
    agent.serve(&mut ledger, now);
    want(&mut ledger, &["b", "c"]);
    agent.failure = Some(Failure::NoAnswer("connection refused".to_owned()));
    let mut requests = 0;
    let start = now;
    while now < start + SECOND * 60 {
        let (asked, next) = agent.serve(&mut ledger, now);
        requests += asked.len();
        let Next::Wait(Some(until)) = next else { panic!("{next:?}") };
        assert!(until <= now + SECOND * 4);
        now = until.max(now + Duration::from_millis(1));
    }
    assert!((15..60).contains(&requests), "{requests}");
    assert_eq!(agent.notes(), []);
    assert_eq!(ledger.trouble(), Some("connection refused"));
    let why = Registration::Missing(Some("connection refused".to_owned()));
    assert_eq!(ledger.registration("b"), why);
    // It comes back without what it had.
    agent.failure = None;
    agent.services.clear();
    now += SECOND * 4;
    assert_eq!(agent.asked(&mut ledger, now), ["list", "+a", "+b", "+c"]);
    assert_eq!(ledger.trouble(), None);
}

#[test]
fn several_lines_that_fail_at_once_are_one_failure() {
    let (mut agent, now) = (Agent::default(), Instant::now());
    let mut ledger = begun(&mut agent, now);
    want(&mut ledger, &["a", "b", "c"]);
    let tasks: Vec<_> = (0..3).map(|_| ledger.next(now)).collect();
    let mut until = Vec::new();
    for task in tasks {
        let Next::Do(task) = task else { panic!("{task:?}") };
        ledger.done(task, Err(Failure::NoAnswer("reset".to_owned())), now);
        until.push(ledger.next(now));
    }
    assert!(matches!(until[0], Next::Wait(Some(_)) | Next::Do(_)), "{until:?}");
    assert_eq!(until[0], until[1]);
    assert_eq!(until[0], until[2]);
}

#[test]
fn a_listing_is_made_alone() {
    let (mut agent, mut now) = (Agent::default(), Instant::now());
    let mut ledger = begun(&mut agent, now);
    want(&mut ledger, &["a", "b"]);
    let Next::Do(first) = ledger.next(now) else { panic!("no task") };
    now += LISTING;
    assert_eq!(ledger.next(now), Next::Wait(None));
    ledger.done(first, Ok(Listing::new()), now);
    assert_eq!(ledger.next(now), Next::Do(Task::List));
    assert_eq!(ledger.next(now), Next::Wait(None));
    ledger.done(Task::List, Ok(BTreeMap::from([named("a")])), now);
    let task = Task::Register { id: "b".to_owned(), name: "B".to_owned() };
    assert_eq!(ledger.next(now), Next::Do(task));
}

#[test]
fn one_that_is_refused_keeps_no_other_back_and_is_said_once() {
    let (mut agent, mut now) = (Agent::default(), Instant::now());
    let mut ledger = begun(&mut agent, now);
    agent.refuses = ["a", "b"].map(str::to_owned).into();
    want(&mut ledger, &["a", "b", "c"]);
    assert_eq!(agent.asked(&mut ledger, now), ["+a", "+b", "+c"]);
    let text = "application 'A' is not registered in Consul: 403 Permission denied";
    assert_eq!(agent.notes(), [Note::Warning(text.to_owned())]);
    let why = Registration::Missing(Some("403 Permission denied".to_owned()));
    assert_eq!(ledger.registration("b"), why);
    let start = now;
    let mut tries = 0;
    while now < start + SECOND * 60 {
        now += SECOND;
        let asked = agent.asked(&mut ledger, now);
        tries += asked.iter().filter(|said| *said == "+a").count();
    }
    assert_eq!(tries, 4);
    assert_eq!(agent.notes(), []);
    agent.refuses.clear();
    now += SECOND * 15;
    agent.serve(&mut ledger, now);
    assert_eq!(agent.has(), ["a", "b", "c"]);
    let text = "all applications are registered in Consul";
    assert_eq!(agent.notes(), [Note::Notice(text.to_owned())]);
}

#[test]
fn a_token_that_does_not_even_allow_the_listing_is_tried_rarely() {
    let (mut agent, mut now) = (Agent::default(), Instant::now());
    let mut ledger = begun(&mut agent, now);
    want(&mut ledger, &["a"]);
    agent.serve(&mut ledger, now);
    agent.failure = Some(Failure::Forbidden("403 ACL not found".to_owned()));
    let start = now;
    let mut requests = 0;
    while now < start + SECOND * 120 {
        now += Duration::from_millis(50);
        requests += agent.asked(&mut ledger, now).len();
    }
    assert!((10..40).contains(&requests), "{requests}");
    assert_eq!(agent.notes().len(), 1);
}

#[test]
fn one_that_consul_fails_at_keeps_no_other_back_for_long() {
    let (mut agent, mut now) = (Agent::default(), Instant::now());
    let mut ledger = begun(&mut agent, now);
    want(&mut ledger, &["a", "b"]);
    let Next::Do(task) = ledger.next(now) else { panic!("no task") };
    ledger.done(task, Err(Failure::Failing("500 disk full".to_owned())), now);
    now += SECOND;
    assert_eq!(agent.asked(&mut ledger, now), ["list", "+b"]);
    now += SECOND * 4;
    assert!(agent.asked(&mut ledger, now).contains(&"+a".to_owned()));
}

#[test]
fn an_agent_that_lists_and_fails_at_all_else_is_asked_at_growing_intervals() {
    let (mut agent, mut now) = (Agent::default(), Instant::now());
    let mut ledger = begun(&mut agent, now);
    let ids: Vec<String> = (0..40).map(|number| format!("{number:02}")).collect();
    want(&mut ledger, &ids.iter().map(String::as_str).collect::<Vec<_>>());
    agent.is_full = true;
    let (start, mut requests) = (now, 0);
    while now < start + SECOND * 60 {
        now += Duration::from_millis(10);
        requests += agent.asked(&mut ledger, now).len();
    }
    // A listing and a registration at a time.
    assert!((20..120).contains(&requests), "{requests}");
    agent.is_full = false;
    now += SECOND * 4;
    agent.serve(&mut ledger, now);
    assert_eq!(agent.has(), ids);
}

#[test]
fn a_wish_that_changes_while_its_request_is_under_way_is_done_after_it() {
    let (mut agent, now) = (Agent::default(), Instant::now());
    let mut ledger = begun(&mut agent, now);
    want(&mut ledger, &["a"]);
    let Next::Do(task) = ledger.next(now) else { panic!("no task") };
    ledger.unwant("a".to_owned());
    assert!(matches!(ledger.next(now), Next::Wait(_)));
    let result = agent.answer(&task);
    ledger.done(task, result, now);
    agent.asked.clear();
    assert_eq!(agent.asked(&mut ledger, now), ["-a"]);
}

#[test]
fn switched_off_it_removes_what_there_is_and_asks_no_more() {
    let (mut agent, mut now) = (Agent::default(), Instant::now());
    let mut ledger = Ledger::new();
    assert_eq!(ledger.next(now), Next::Wait(None));
    ledger.switch_off();
    assert_eq!(ledger.next(now), Next::Wait(None));
    ledger.begin(now);
    ledger.settle();
    want(&mut ledger, &["a", "b"]);
    agent.serve(&mut ledger, now);
    ledger.switch_off();
    agent.failure = Some(Failure::NoAnswer("away".to_owned()));
    agent.serve(&mut ledger, now);
    assert_eq!(agent.has(), ["a", "b"]);
    agent.failure = None;
    now += SECOND;
    assert_eq!(
        agent.serve(&mut ledger, now),
        (vec!["-a".to_owned(), "-b".to_owned()], Next::Wait(None))
    );
    now += SECOND * 60;
    assert_eq!(agent.asked(&mut ledger, now), [""; 0]);
    ledger.begin(now);
    assert_eq!(agent.asked(&mut ledger, now), ["list"]);
}

#[test]
fn the_end_removes_all_and_tries_nothing_twice() {
    let (mut agent, now) = (Agent::default(), Instant::now());
    let mut ledger = begun(&mut agent, now);
    want(&mut ledger, &["a", "b", "c"]);
    agent.serve(&mut ledger, now);
    agent.refuses.insert("b".to_owned());
    ledger.finish();
    want(&mut ledger, &["late"]);
    assert_eq!(
        agent.serve(&mut ledger, now),
        (vec!["-a".to_owned(), "-b".to_owned(), "-c".to_owned()], Next::End)
    );
    assert_eq!(ledger.left(), 1);
    ledger.finish();
    assert_eq!(agent.serve(&mut ledger, now).1, Next::End);
}

#[test]
fn the_end_does_not_wait_for_a_consul_that_is_away() {
    let (mut agent, now) = (Agent::default(), Instant::now());
    let mut ledger = begun(&mut agent, now);
    want(&mut ledger, &["a", "b"]);
    agent.serve(&mut ledger, now);
    agent.failure = Some(Failure::NoAnswer("away".to_owned()));
    ledger.finish();
    assert_eq!(agent.serve(&mut ledger, now), (vec!["-a".to_owned()], Next::End));
    assert_eq!(ledger.left(), 2);
    let mut ledger = begun(&mut Agent::default(), now);
    ledger.finish();
    assert_eq!(ledger.next(now), Next::End);
}

#[test]
fn another_token_has_all_registered_again() {
    let (mut agent, mut now) = (Agent::default(), Instant::now());
    let mut ledger = begun(&mut agent, now);
    want(&mut ledger, &["a", "b"]);
    ledger.set_logins(1);
    agent.serve(&mut ledger, now);
    ledger.set_logins(2);
    assert_eq!(agent.asked(&mut ledger, now), ["+a", "+b"]);
    ledger.set_logins(2);
    assert_eq!(agent.asked(&mut ledger, now), [""; 0]);
    // A listing between does not make up for it.
    ledger.set_logins(3);
    now += LISTING;
    assert_eq!(agent.asked(&mut ledger, now), ["list", "+a", "+b"]);
    // Nor does a request that was made with the token before.
    ledger.want("c".to_owned(), "C");
    let Next::Do(task) = ledger.next(now) else { panic!("no task") };
    ledger.set_logins(4);
    let result = agent.answer(&task);
    ledger.done(task, result, now);
    assert_eq!(agent.asked(&mut ledger, now), ["+c", "+a", "+b", "+c"]);
    assert_eq!(agent.asked(&mut ledger, now), [""; 0]);
}

#[test]
fn what_goes_is_first_registered_with_the_token_that_applies() {
    let (mut agent, now) = (Agent::default(), Instant::now());
    let mut ledger = begun(&mut agent, now);
    want(&mut ledger, &["a", "b", "c"]);
    agent.serve(&mut ledger, now);
    ledger.set_logins(1);
    ledger.unwant("a".to_owned());
    assert_eq!(agent.asked(&mut ledger, now), ["+a", "-a", "+b", "+c"]);
    // The token changes by the very request that has it go.
    ledger.unwant("b".to_owned());
    let Next::Do(task) = ledger.next(now) else { panic!("no task") };
    assert_eq!(task, Task::Deregister { id: "b".to_owned() });
    let result = agent.answer(&task);
    ledger.set_logins(2);
    ledger.done(task, result, now);
    assert_eq!(agent.asked(&mut ledger, now), ["-b", "+b", "-b", "+c"]);
    // Also at the end, but for what is somebody else's by now.
    ledger.set_logins(3);
    ledger.present.insert("altered".to_owned(), None);
    ledger.set_logins(4);
    ledger.finish();
    let asked = (["-altered", "+c", "-c"].map(str::to_owned).to_vec(), Next::End);
    assert_eq!(agent.serve(&mut ledger, now), asked);
    assert_eq!((agent.has(), ledger.left()), (vec![], 0));
}
