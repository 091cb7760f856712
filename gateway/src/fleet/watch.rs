// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Follows Consul for as long as the process lives. What was seen last stays while it is silent.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::listed;
use super::view::{Change, Fleet, View};
use crate::config::Consul;
use crate::consul::{Agent, Answer, Cursor, Fault, Retry, encoded};

/// Consul's documentation asks for a limit on how often one asks, however often things change.
const PACE: Duration = Duration::from_millis(100);
/// How often it is looked whether nodes are to be forgotten.
const LOOK: Duration = Duration::from_millis(500);

/// How it stands with Consul.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ConsulState {
    /// It has not answered yet.
    Unknown,
    Answers,
    Fails(Fault),
}

/// What others see of the watch.
#[derive(Debug, Clone)]
pub(crate) struct Watch {
    pub fleet: watch::Receiver<Arc<Fleet>>,
    pub consul: watch::Receiver<ConsulState>,
}

impl Watch {
    /// Starts it.
    pub(crate) fn start(settings: Consul) -> Result<Self, String> {
        let (fleet, seen) = watch::channel(Arc::default());
        let (state, consul) = watch::channel(ConsulState::Unknown);
        let agent = Agent::new(settings.clone())?;
        tokio::spawn(follow(settings, agent, fleet, state));
        Ok(Self { fleet: seen, consul })
    }
}

async fn follow(
    settings: Consul,
    agent: Agent,
    fleet: watch::Sender<Arc<Fleet>>,
    state: watch::Sender<ConsulState>,
) {
    let (mut cursor, mut retry, mut view) = (Cursor::default(), Retry::default(), View::default());
    let path = format!("/v1/health/service/{}", encoded(&settings.service));
    while !fleet.is_closed() {
        let since = Instant::now();
        let answer = {
            let mut asking = std::pin::pin!(agent.follow(&path, &mut cursor));
            loop {
                let look = if view.has_gone() { LOOK } else { Duration::from_secs(3600) };
                match timeout(look, &mut asking).await {
                    Ok(answer) => break answer,
                    Err(_) => forget(&mut view, &settings, &fleet),
                }
            }
        };
        let listing = answer.and_then(Answer::ok).and_then(|body| {
            listed::read(&body).map_err(|error| Fault::Unreadable(error.to_string()))
        });
        let pause = match listing {
            Ok(listing) => {
                retry.reset();
                let changes = view.take(listing, Instant::now());
                // Who sees that Consul answers sees what it has answered.
                publish(&fleet, &view);
                turn(&state, ConsulState::Answers);
                tell(&changes);
                PACE.saturating_sub(since.elapsed())
            }
            Err(fault) => {
                cursor = Cursor::default();
                let pause = retry.after_failure(fault == Fault::Refused);
                turn(&state, ConsulState::Fails(fault));
                pause
            }
        };
        forget(&mut view, &settings, &fleet);
        sleep(pause + Duration::from_millis(rand::random_range(0..20))).await;
    }
}

fn forget(view: &mut View, settings: &Consul, fleet: &watch::Sender<Arc<Fleet>>) {
    let changes = view.forget(settings.forget_after, Instant::now());
    if !changes.is_empty() {
        tell(&changes);
        publish(fleet, view);
    }
}

fn publish(fleet: &watch::Sender<Arc<Fleet>>, view: &View) {
    let now = view.fleet();
    fleet.send_if_modified(|before| {
        let has_changed = before.nodes != now.nodes;
        if has_changed {
            *before = Arc::new(now);
        }
        has_changed
    });
}

fn turn(state: &watch::Sender<ConsulState>, now: ConsulState) {
    state.send_if_modified(|before| {
        if *before == now {
            return false;
        }
        match &now {
            ConsulState::Fails(fault) => {
                tracing::warn!("Consul: {fault}; the fleet stays as it was seen last");
            }
            _ => tracing::info!("Consul answers"),
        }
        *before = now;
        true
    });
}

fn tell(changes: &[Change]) {
    for change in changes {
        match change {
            Change::Came(eid, state) => {
                tracing::info!(node = eid, "node {eid} is there: {}", state.word());
            }
            Change::Turned(eid, state) if state.is_up() => {
                tracing::info!(node = eid, "node {eid} is {}", state.word());
            }
            Change::Turned(eid, state) => {
                tracing::warn!(node = eid, "node {eid} is {}", state.word());
            }
            Change::Moved(eid) => tracing::info!(node = eid, "node {eid} has another address"),
            Change::Forgotten(eid) => tracing::info!(node = eid, "node {eid} is forgotten"),
            Change::Duplicate { eid, refused, kept } => tracing::error!(
                node = eid,
                "two services have the entity id {eid}: {refused:?} is refused, {kept:?} stays \
                 (set entityid in asterisk.conf)"
            ),
            Change::Unusable(reason) => tracing::error!("not a node to be used: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicU64, Ordering};

    use serde_json::{Value, json};

    use super::super::State;
    use super::super::listed::tests::service;
    use super::*;
    use crate::net::scripted::{Answer, Scripted};

    fn settings(port: u16, more: &str) -> Consul {
        let text = format!(
            "[consul]\naddress = \"127.0.0.1:{port}\"\nwait = \"1s\"\ntimeout = \"300ms\"\n{more}\n\
             [nodes]\nuser = \"u\"\npassword = \"p\"\n\
             [[user]]\nname = \"n\"\ntoken_hash = \"sha256:{}\"\n",
            "0".repeat(64)
        );
        crate::config::read("t", &text, BTreeMap::new()).unwrap().consul
    }

    fn listing(index: u64, services: &[Value]) -> Answer {
        Answer::json(200, &format!("X-Consul-Index: {index}\r\n"), &json!(services).to_string())
    }

    async fn until<T: Clone>(
        seen: &mut watch::Receiver<T>,
        what: &str,
        fits: impl FnMut(&T) -> bool,
    ) -> T {
        let found = timeout(Duration::from_secs(20), seen.wait_for(fits)).await;
        found.unwrap_or_else(|_| panic!("no {what}")).unwrap().clone()
    }

    fn state_of(fleet: &Fleet, eid: &str) -> Option<State> {
        fleet.by_eid(eid).map(|node| node.state)
    }

    #[tokio::test]
    async fn changes_are_followed_by_their_index() {
        let consul = Scripted::start(|number, _| match number {
            0 => listing(5, &[service("a", 1, &[("c", "passing")])]),
            1 => listing(8, &[service("a", 1, &[("c", "warning")])]),
            2 => listing(9, &[]),
            _ => Answer::Silence,
        })
        .await;
        let mut watch = Watch::start(settings(consul.port, "token = \"t0k\"")).unwrap();
        until(&mut watch.fleet, "gone", |fleet| state_of(fleet, "a") == Some(State::Gone)).await;
        let asked = consul.requests();
        assert!(asked[0].starts_with("GET /v1/health/service/asterisk HTTP/1.1"), "{asked:?}");
        assert!(asked[0].to_lowercase().contains("x-consul-token: t0k"), "{asked:?}");
        assert!(asked[1].contains("?index=5&wait=1000ms"), "{asked:?}");
        assert!(asked[2].contains("?index=8&"), "{asked:?}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn when_consul_answers_what_it_said_is_there() {
        let many: Vec<Value> = (0..200).map(|eid| service(&format!("e{eid}"), 1, &[])).collect();
        // Also when it is asked again: a machine that is busy may take long for the first.
        let consul = Scripted::start(move |_, _| listing(5, &many)).await;
        let mut watch = Watch::start(settings(consul.port, "")).unwrap();
        until(&mut watch.consul, "answer", |state| *state == ConsulState::Answers).await;
        assert_eq!(watch.fleet.borrow().nodes.len(), 200);
    }

    #[tokio::test]
    async fn an_index_that_goes_backwards_begins_anew() {
        let consul = Scripted::start(|number, _| match number {
            0 => listing(50, &[]),
            1 => listing(7, &[]),
            2 => listing(7, &[service("a", 1, &[])]),
            _ => Answer::Silence,
        })
        .await;
        let mut watch = Watch::start(settings(consul.port, "")).unwrap();
        until(&mut watch.fleet, "a", |fleet| state_of(fleet, "a").is_some()).await;
        let asked = consul.requests();
        assert!(asked[1].contains("index=50") && !asked[2].contains("index="), "{asked:?}");
    }

    #[tokio::test]
    async fn whatever_consul_does_the_view_stays_and_it_is_found_again() {
        let consul = Scripted::start(|number, _| match number {
            0 => listing(5, &[service("a", 1, &[("c", "passing")])]),
            1 => Answer::Close,
            2 => Answer::json(500, "", "No cluster leader"),
            3 => Answer::json(403, "", "Permission denied"),
            4 => Answer::json(200, "X-Consul-Index: 6\r\n", "{\"no\": \"list\"}"),
            5 => Answer::Text("nonsense\r\n\r\n".into()),
            6 => Answer::Silence,
            _ => listing(9, &[service("b", 1, &[("c", "passing")])]),
        })
        .await;
        let mut watch = Watch::start(settings(consul.port, "")).unwrap();
        let mut fleet = watch.fleet.clone();
        let states = tokio::spawn(async move {
            let mut states = Vec::new();
            while states.len() < 8 {
                states.push(watch.consul.borrow_and_update().clone());
                if matches!(states.as_slice(), [.., ConsulState::Fails(_), ConsulState::Answers]) {
                    break;
                }
                watch.consul.changed().await.unwrap();
            }
            states
        });
        until(&mut fleet, "a", |fleet| state_of(fleet, "a") == Some(State::Passing)).await;
        // Nothing of the failures shows in the fleet: the next thing seen is b.
        let next = until(&mut fleet, "b", |fleet| state_of(fleet, "b").is_some()).await;
        assert_eq!(state_of(&next, "a"), Some(State::Gone));
        let states = timeout(Duration::from_secs(10), states).await.unwrap().unwrap();
        assert!(states.iter().any(|state| matches!(state, ConsulState::Fails(_))), "{states:?}");
        // After each failure the question is not a waiting one.
        let asked = consul.requests();
        assert!(asked[2..8].iter().all(|request| !request.contains("index=")), "{asked:?}");
    }

    #[tokio::test]
    async fn it_does_not_spin_whatever_the_answers_are() {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let consul = Scripted::start(|_, _| {
            // A new index each time, at once.
            listing(COUNT.fetch_add(1, Ordering::SeqCst) + 1, &[])
        })
        .await;
        let watch = Watch::start(settings(consul.port, "")).unwrap();
        sleep(Duration::from_secs(1)).await;
        let asked = consul.requests().len();
        assert!((1..=12).contains(&asked), "{asked} questions in a second");
        drop(watch);
    }

    #[tokio::test]
    async fn what_is_gone_is_forgotten_in_time() {
        let consul = Scripted::start(|number, _| match number {
            0 => listing(5, &[service("a", 1, &[])]),
            1 => listing(6, &[]),
            _ => Answer::Silence,
        })
        .await;
        let more = "forget_after = \"200ms\"";
        let mut watch = Watch::start(settings(consul.port, more)).unwrap();
        until(&mut watch.fleet, "a", |fleet| !fleet.nodes.is_empty()).await;
        until(&mut watch.fleet, "its end", |fleet| fleet.nodes.is_empty()).await;
    }
}
