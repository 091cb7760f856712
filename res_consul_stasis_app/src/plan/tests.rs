// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

use std::time::{Duration, Instant};

use asterisk::stasis_amqp::Standing;
use asterisk::stasis_app::NO_SOURCE;

use super::{Outcome, Plan, Step};
use crate::note::Note;
use crate::value::Filter;

const PREFIX: &str = "applications/";
const LATER: Duration = Duration::from_secs(2);

/// A host that does everything at once, but for what it is told not to.
#[derive(Default)]
struct Host {
    standing: Option<Standing>,
    missing: Vec<&'static str>,
    steps: Vec<(String, Step)>,
    notes: Vec<Note>,
}

impl Host {
    fn run(&mut self, plan: &mut Plan, now: Instant) -> Vec<(String, Step)> {
        for name in plan.names() {
            while let Some(step) = plan.next(&name, now) {
                let outcome = match &step {
                    Step::Create => Outcome::Stands(self.standing.unwrap_or(Standing::Ours)),
                    Step::Subscribe(source) if self.missing.contains(&source.as_str()) => {
                        Outcome::Failed(NO_SOURCE)
                    }
                    _ => Outcome::Done,
                };
                self.notes.extend(plan.done(&name, &step, outcome, now));
                self.steps.push((name.clone(), step));
                assert!(self.steps.len() < 100, "{:?}", self.steps);
            }
        }
        std::mem::take(&mut self.steps)
    }

    fn notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }
}

fn keys(plan: &mut Plan, pairs: &[(&str, &str)]) -> Vec<Note> {
    let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec()));
    plan.set_keys(PREFIX, pairs.collect())
}

fn step(name: &str, step: Step) -> (String, Step) {
    (name.to_owned(), step)
}

fn subscribe(source: &str) -> Step {
    Step::Subscribe(source.to_owned())
}

fn unsubscribe(source: &str) -> Step {
    Step::Unsubscribe(source.to_owned())
}

fn allowing(name: &str) -> Step {
    Step::SetFilter(Filter { allowed: vec![name.to_owned()], disallowed: Vec::new() })
}

#[test]
fn keys_become_applications_and_folders_do_not() {
    let (mut plan, mut host, now) = (Plan::default(), Host::default(), Instant::now());
    let long = format!("{PREFIX}{}", "x".repeat(300));
    let notes = keys(
        &mut plan,
        &[
            (PREFIX, ""),
            ("applications/demo", "7"),
            ("applications/a b/ü", ""),
            ("applications/folder/", ""),
            ("applications//", ""),
            ("elsewhere/demo", ""),
            (&long, ""),
        ],
    );
    assert_eq!(notes, []);
    let created: Vec<_> = ["a b/ü", "demo", &long[PREFIX.len()..]]
        .into_iter()
        .map(|name| step(name, Step::Create))
        .collect();
    assert_eq!(host.run(&mut plan, now), created);
    assert_eq!(plan.active().len(), 3);
    keys(&mut plan, &[("applications/demo", "8")]);
    let ended = [step("a b/ü", Step::End), step(&long[PREFIX.len()..], Step::End)];
    assert_eq!(host.run(&mut plan, now), ended);
    assert_eq!(plan.names(), ["demo"]);
    plan.clear();
    assert_eq!(host.run(&mut plan, now), [step("demo", Step::End)]);
    assert!(plan.names().is_empty());
}

#[test]
fn a_changed_value_changes_filter_and_subscriptions_and_nothing_else() {
    let (mut plan, mut host, now) = (Plan::default(), Host::default(), Instant::now());
    let first = r#"{"events":{"allowed":["A"]},"subscriptions":["channel:","bridge:"]}"#;
    keys(&mut plan, &[("applications/demo", first)]);
    let wanted = [Step::Create, allowing("A"), subscribe("bridge:"), subscribe("channel:")];
    assert_eq!(host.run(&mut plan, now), wanted.map(|wanted| step("demo", wanted)));
    keys(&mut plan, &[("applications/demo", first)]);
    assert_eq!(host.run(&mut plan, now), []);
    let second = r#"{"events":{"allowed":["B"]},"subscriptions":["endpoint:","bridge:"]}"#;
    keys(&mut plan, &[("applications/demo", second)]);
    let wanted = [allowing("B"), unsubscribe("channel:"), subscribe("endpoint:")];
    assert_eq!(host.run(&mut plan, now), wanted.map(|wanted| step("demo", wanted)));
    keys(&mut plan, &[("applications/demo", "3")]);
    let empty = Step::SetFilter(Filter::default());
    let wanted = [empty, unsubscribe("bridge:"), unsubscribe("endpoint:")];
    assert_eq!(host.run(&mut plan, now), wanted.map(|wanted| step("demo", wanted)));
    assert_eq!(host.notes(), []);
}

#[test]
fn a_value_that_cannot_be_read_is_said_once_and_the_application_is_there() {
    let (mut plan, mut host, now) = (Plan::default(), Host::default(), Instant::now());
    let bad = [("applications/demo", r#"{"subscriptions":["sip:bob"]}"#)];
    let notes = keys(&mut plan, &bad);
    let wanted = "key 'applications/demo': subscriptions[0] = 'sip:bob' must begin with one of \
                  channel: bridge: endpoint: deviceState:; the application is without filter and \
                  subscriptions";
    assert_eq!(notes, [Note::Error(wanted.to_owned())]);
    assert_eq!(keys(&mut plan, &bad), []);
    assert_eq!(host.run(&mut plan, now), [step("demo", Step::Create)]);
    let notes = keys(&mut plan, &[("applications/demo", r#"{"event":{}}"#)]);
    let wanted = "key 'applications/demo': unknown member 'event', ignored";
    assert_eq!(notes, [Note::Warning(wanted.to_owned())]);
    assert_eq!(host.run(&mut plan, now), []);
}

#[test]
fn a_name_that_is_held_is_left_alone_and_taken_when_it_is_free() {
    let (mut plan, mut host, now) = (Plan::default(), Host::default(), Instant::now());
    host.standing = Some(Standing::Held);
    keys(&mut plan, &[("applications/demo", "")]);
    assert_eq!(host.run(&mut plan, now), [step("demo", Step::Create)]);
    assert!(matches!(&host.notes()[..], [Note::Notice(text)] if text.contains("another ARI")));
    assert_eq!(plan.rows()[0].state, "held by another client");
    assert!(plan.active().is_empty());
    assert_eq!(host.run(&mut plan, now), []);
    assert_eq!(host.run(&mut plan, now + LATER), [step("demo", Step::Create)]);
    assert_eq!(host.notes(), []);
    host.standing = None;
    assert_eq!(host.run(&mut plan, now + LATER * 2), [step("demo", Step::Create)]);
    assert_eq!(plan.active(), ["demo"]);
    // One that is held is not ours to end.
    host.standing = Some(Standing::Held);
    keys(&mut plan, &[("applications/other", "")]);
    host.run(&mut plan, now);
    keys(&mut plan, &[]);
    assert_eq!(host.run(&mut plan, now), []);
    assert!(plan.names().is_empty());
}

#[test]
fn one_that_is_taken_over_gives_back_its_subscriptions_and_waits() {
    let (mut plan, mut host, now) = (Plan::default(), Host::default(), Instant::now());
    let value = r#"{"events":{"allowed":["A"]},"subscriptions":["channel:","bridge:"]}"#;
    keys(&mut plan, &[("applications/demo", value)]);
    host.run(&mut plan, now);
    assert_eq!(plan.seen("demo", Standing::Ours, now), None);
    let note = plan.seen("demo", Standing::Held, now);
    assert!(matches!(note, Some(Note::Notice(text)) if text.contains("another ARI client")));
    assert!(plan.active().is_empty());
    let wanted = [unsubscribe("bridge:"), unsubscribe("channel:")];
    assert_eq!(host.run(&mut plan, now), wanted.map(|wanted| step("demo", wanted)));
    let wanted = [Step::Create, allowing("A"), subscribe("bridge:"), subscribe("channel:")];
    assert_eq!(host.run(&mut plan, now + LATER), wanted.map(|wanted| step("demo", wanted)));
    // Taken over, and then its key goes.
    plan.seen("demo", Standing::Held, now);
    keys(&mut plan, &[]);
    let wanted = [unsubscribe("bridge:"), unsubscribe("channel:")];
    assert_eq!(host.run(&mut plan, now), wanted.map(|wanted| step("demo", wanted)));
    assert!(plan.names().is_empty());
}

#[test]
fn one_that_ari_has_ended_is_created_again_as_it_was() {
    let (mut plan, mut host, now) = (Plan::default(), Host::default(), Instant::now());
    keys(&mut plan, &[("applications/demo", r#"{"subscriptions":["channel:"]}"#)]);
    host.run(&mut plan, now);
    assert!(matches!(plan.seen("demo", Standing::Absent, now), Some(Note::Notice(_))));
    let wanted = [Step::Create, subscribe("channel:")];
    assert_eq!(host.run(&mut plan, now), wanted.map(|wanted| step("demo", wanted)));
}

#[test]
fn a_source_that_is_missing_is_said_once_and_tried_again() {
    let (mut plan, mut host, now) = (Plan::default(), Host::default(), Instant::now());
    let value = r#"{"subscriptions":["endpoint:PJSIP/a","channel:","endpoint:PJSIP/b"]}"#;
    keys(&mut plan, &[("applications/demo", value)]);
    host.missing = vec!["endpoint:PJSIP/a", "endpoint:PJSIP/b"];
    let wanted = [
        Step::Create,
        subscribe("channel:"),
        subscribe("endpoint:PJSIP/a"),
        subscribe("endpoint:PJSIP/b"),
    ];
    assert_eq!(host.run(&mut plan, now), wanted.map(|wanted| step("demo", wanted)));
    assert_eq!(host.notes().len(), 2);
    let why = Some(NO_SOURCE);
    let shown = [("channel:", None), ("endpoint:PJSIP/a", why), ("endpoint:PJSIP/b", why)];
    assert_eq!(plan.rows()[0].sources, shown.map(|(source, why)| (source.to_owned(), why)));
    assert_eq!(host.run(&mut plan, now), []);
    host.missing.pop();
    let wanted = [subscribe("endpoint:PJSIP/a"), subscribe("endpoint:PJSIP/b")];
    assert_eq!(host.run(&mut plan, now + LATER), wanted.map(|wanted| step("demo", wanted)));
    assert_eq!(host.notes(), []);
    assert_eq!(host.run(&mut plan, now + LATER), []);
    keys(&mut plan, &[("applications/demo", "")]);
    let wanted = [unsubscribe("channel:"), unsubscribe("endpoint:PJSIP/b")];
    assert_eq!(host.run(&mut plan, now + LATER * 2), wanted.map(|wanted| step("demo", wanted)));
}

#[test]
fn what_the_host_would_log_each_time_is_tried_rarely() {
    let (mut plan, now) = (Plan::default(), Instant::now());
    keys(&mut plan, &[("applications/demo", r#"{"subscriptions":["deviceState:a"]}"#)]);
    plan.done("demo", &Step::Create, Outcome::Stands(Standing::Ours), now);
    let step = plan.next("demo", now).unwrap();
    let failed = Outcome::Failed("such sources are not known");
    assert!(matches!(plan.done("demo", &step, failed, now), Some(Note::Notice(_))));
    assert_eq!(plan.next("demo", now + LATER * 10), None);
    assert_eq!(plan.next("demo", now + LATER * 30), Some(step));
}

#[test]
fn a_filter_that_cannot_be_set_is_said_once_and_tried_again() {
    let (mut plan, now) = (Plan::default(), Instant::now());
    keys(&mut plan, &[("applications/demo", r#"{"events":{"allowed":["A"]}}"#)]);
    plan.done("demo", &Step::Create, Outcome::Stands(Standing::Ours), now);
    let failed = Outcome::Failed("the host does not take this filter");
    assert_eq!(plan.next("demo", now), Some(allowing("A")));
    assert!(matches!(plan.done("demo", &allowing("A"), failed, now), Some(Note::Warning(_))));
    assert_eq!(plan.next("demo", now), None);
    assert_eq!(plan.next("demo", now + LATER), Some(allowing("A")));
    assert_eq!(plan.done("demo", &allowing("A"), failed, now + LATER), None);
    plan.done("demo", &allowing("A"), Outcome::Done, now + LATER * 2);
    assert_eq!(plan.next("demo", now + LATER * 4), None);
}

#[test]
fn that_nothing_is_published_is_said_once_for_all() {
    let (mut plan, mut host, now) = (Plan::default(), Host::default(), Instant::now());
    host.standing = Some(Standing::Off);
    keys(&mut plan, &[("applications/a", ""), ("applications/b", "")]);
    host.run(&mut plan, now);
    assert!(matches!(&host.notes()[..], [Note::Warning(text)] if text.contains("amqp.conf")));
    assert_eq!(plan.rows()[1].state, "AMQP off");
    assert_eq!(host.run(&mut plan, now + LATER).len(), 2);
    assert_eq!(host.notes(), []);
    host.standing = None;
    host.run(&mut plan, now + LATER * 2);
    assert_eq!(plan.active(), ["a", "b"]);
    plan.clear();
    host.run(&mut plan, now);
    host.standing = Some(Standing::Off);
    keys(&mut plan, &[("applications/a", "")]);
    host.run(&mut plan, now);
    assert_eq!(host.notes().len(), 1);
}

#[test]
fn another_prefix_keeps_what_is_in_both() {
    let (mut plan, mut host, now) = (Plan::default(), Host::default(), Instant::now());
    keys(&mut plan, &[("applications/both", ""), ("applications/old", "")]);
    host.run(&mut plan, now);
    let pairs = ["site/both", "site/new"].map(|key| (key.to_owned(), Vec::new()));
    plan.set_keys("site/", pairs.to_vec());
    let wanted = [step("new", Step::Create), step("old", Step::End)];
    assert_eq!(host.run(&mut plan, now), wanted);
}

#[test]
fn a_subscription_that_has_ended_is_made_again() {
    let (mut plan, mut host, now) = (Plan::default(), Host::default(), Instant::now());
    keys(&mut plan, &[("applications/demo", r#"{"subscriptions":["bridge:a","bridge:b"]}"#)]);
    let wanted = [Step::Create, subscribe("bridge:a"), subscribe("bridge:b")];
    assert_eq!(host.run(&mut plan, now), wanted.map(|wanted| step("demo", wanted)));
    plan.lost("demo", "bridge:a");
    plan.lost("nobody", "bridge:a");
    host.missing = vec!["bridge:a"];
    assert_eq!(host.run(&mut plan, now), [step("demo", subscribe("bridge:a"))]);
    assert_eq!(host.notes().len(), 1, "it is said that it is away");
    host.missing.clear();
    assert_eq!(host.run(&mut plan, now), []);
    assert_eq!(host.run(&mut plan, now + LATER), [step("demo", subscribe("bridge:a"))]);
    assert_eq!(host.notes(), []);
}
