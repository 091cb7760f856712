// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The sockets, by their applications.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::Event;
use super::share::{Calls, SocketId, Target};
use crate::apps::Uses;
use crate::ari::Refusal;
use crate::config;

#[derive(Debug, Clone)]
struct Socket {
    id: SocketId,
    events: mpsc::Sender<Utf8Bytes>,
    /// It takes its events too slowly.
    slow: Arc<Notify>,
}

#[derive(Debug, Default)]
struct App {
    sockets: Vec<Socket>,
    calls: Calls,
    is_told_all: bool,
}

/// What came of an event.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Passed {
    pub sockets: u64,
    /// Those that were too slow for it.
    pub slow: u64,
}

/// All sockets.
#[derive(Debug)]
pub(crate) struct Hub {
    settings: config::Events,
    apps: Mutex<HashMap<String, App>>,
    next: AtomicU64,
    places: Arc<Semaphore>,
    uses: watch::Sender<Uses>,
    wanted: watch::Sender<Arc<BTreeSet<String>>>,
}

/// A socket's side: it leaves when this is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    hub: Arc<Hub>,
    id: SocketId,
    apps: Vec<String>,
    pub events: mpsc::Receiver<Utf8Bytes>,
    pub slow: Arc<Notify>,
    _place: OwnedSemaphorePermit,
}

impl Hub {
    pub(crate) fn new(settings: config::Events) -> Arc<Self> {
        Arc::new(Self {
            places: Arc::new(Semaphore::new(settings.sockets)),
            settings,
            apps: Mutex::default(),
            next: AtomicU64::new(1),
            uses: watch::Sender::default(),
            wanted: watch::Sender::default(),
        })
    }

    pub(crate) fn uses(&self) -> watch::Receiver<Uses> {
        self.uses.subscribe()
    }

    /// The applications whose events are wanted.
    pub(crate) fn wanted(&self) -> watch::Receiver<Arc<BTreeSet<String>>> {
        self.wanted.subscribe()
    }

    /// Until all sockets have ended.
    pub(crate) async fn empty(&self) {
        let all = u32::try_from(self.settings.sockets).unwrap_or(u32::MAX);
        // It is closed by nobody.
        let _ = self.places.acquire_many(all).await;
    }

    /// Takes a new socket of these applications.
    pub(super) fn join(
        self: &Arc<Self>,
        names: Vec<String>,
        is_told_all: bool,
    ) -> Result<Seat, Refusal> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| Refusal::unavailable("too many event websockets"))?;
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, events) = mpsc::channel(self.settings.waiting);
        let slow = Arc::new(Notify::new());
        let mut apps = self.apps();
        for name in &names {
            let app = apps.entry(name.clone()).or_default();
            app.is_told_all |= is_told_all;
            let socket = Socket { id, events: sender.clone(), slow: Arc::clone(&slow) };
            app.sockets.push(socket);
        }
        self.tell(&apps);
        let hub = Arc::clone(self);
        Ok(Seat { hub, id, apps: names, events, slow, _place: place })
    }

    /// Passes an event on to who is to have it.
    pub(super) fn dispatch(&self, event: &Event<'_>) -> Passed {
        let mut apps = self.apps();
        let Some(app) = apps.get_mut(event.app) else { return Passed::default() };
        let text = Utf8Bytes::from(event.text);
        let target = if self.settings.is_shared(event.app) {
            let ids: Vec<SocketId> = app.sockets.iter().map(|socket| socket.id).collect();
            app.calls.route(event, &text, &ids)
        } else {
            Target::All
        };
        let mut passed = Passed::default();
        for socket in &app.sockets {
            if target == Target::All || target == Target::One(socket.id) {
                socket.take(&text, &mut passed);
            }
        }
        passed
    }

    fn leave(&self, id: SocketId, names: &[String]) {
        let mut apps = self.apps();
        for name in names {
            let Some(app) = apps.get_mut(name) else { continue };
            app.sockets.retain(|socket| socket.id != id);
            let others: Vec<SocketId> = app.sockets.iter().map(|socket| socket.id).collect();
            for (other, start) in app.calls.lost(id, &others) {
                if let Some(socket) = app.sockets.iter().find(|socket| socket.id == other) {
                    socket.take(&start, &mut Passed::default());
                }
            }
            if app.sockets.is_empty() {
                apps.remove(name);
            }
        }
        self.tell(&apps);
    }

    fn tell(&self, apps: &HashMap<String, App>) {
        let uses: BTreeMap<String, bool> =
            apps.iter().map(|(name, app)| (name.clone(), app.is_told_all)).collect();
        let wanted: BTreeSet<String> = apps.keys().cloned().collect();
        self.wanted.send_if_modified(|before| {
            let has_changed = **before != wanted;
            *before = Arc::new(wanted);
            has_changed
        });
        self.uses.send_if_modified(|before| {
            let has_changed = **before != uses;
            *before = Arc::new(uses);
            has_changed
        });
    }

    fn apps(&self) -> MutexGuard<'_, HashMap<String, App>> {
        self.apps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Socket {
    fn take(&self, text: &Utf8Bytes, passed: &mut Passed) {
        match self.events.try_send(text.clone()) {
            Ok(()) => passed.sockets += 1,
            Err(TrySendError::Full(_)) => {
                passed.slow += 1;
                self.slow.notify_one();
            }
            // It is about to leave.
            Err(TrySendError::Closed(_)) => {}
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.hub.leave(self.id, &self.apps);
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::tests::incoming;
    use super::*;

    fn hub(share: &[&str]) -> Arc<Hub> {
        let mut settings = config::tests::small_config().events;
        settings.waiting = 2;
        settings.sockets = 3;
        settings.share = share.iter().map(|name| (*name).to_owned()).collect();
        Hub::new(settings)
    }

    fn dispatch(hub: &Hub, app: &str, channel: &str) -> Passed {
        let data = format!(r#"{{"channel":{{"id":"{channel}"}}}}"#);
        hub.dispatch(&Event::read(&incoming("StasisStart", app, &data)).unwrap())
    }

    fn join(hub: &Arc<Hub>, names: &[&str]) -> Seat {
        hub.join(names.iter().map(|name| (*name).to_owned()).collect(), false).unwrap()
    }

    #[test]
    fn every_socket_of_an_application_gets_its_events() {
        let hub = hub(&[]);
        let (mut one, mut two) = (join(&hub, &["a"]), join(&hub, &["a", "B"]));
        assert_eq!(dispatch(&hub, "a", "c"), Passed { sockets: 2, slow: 0 });
        assert_eq!(dispatch(&hub, "B", "c"), Passed { sockets: 1, slow: 0 });
        assert_eq!(dispatch(&hub, "b", "c"), Passed::default());
        assert!(one.events.try_recv().is_ok() && one.events.try_recv().is_err());
        assert!(two.events.try_recv().is_ok() && two.events.try_recv().is_ok());
        let uses = hub.uses();
        assert_eq!(uses.borrow().keys().collect::<Vec<_>>(), ["B", "a"]);
        drop(two);
        assert_eq!(uses.borrow().keys().collect::<Vec<_>>(), ["a"]);
        assert_eq!(hub.places.available_permits(), 2);
    }

    #[test]
    fn who_is_too_slow_is_told_and_others_are_not_held_up() {
        let hub = hub(&[]);
        let (slow, mut quick) = (join(&hub, &["a"]), join(&hub, &["a"]));
        for _ in 0..2 {
            dispatch(&hub, "a", "c");
            quick.events.try_recv().unwrap();
        }
        assert_eq!(dispatch(&hub, "a", "c"), Passed { sockets: 1, slow: 1 });
        assert!(futures_util::FutureExt::now_or_never(slow.slow.notified()).is_some());
    }

    #[test]
    fn shared_calls_go_to_one_and_over_when_it_goes() {
        let hub = hub(&["a*"]);
        let (mut one, mut two) = (join(&hub, &["ab"]), join(&hub, &["ab"]));
        assert_eq!(dispatch(&hub, "ab", "c").sockets, 1);
        assert!(one.events.try_recv().is_ok() && two.events.try_recv().is_err());
        drop(one);
        assert!(two.events.try_recv().unwrap().contains("\"id\":\"c\""));
    }

    #[test]
    fn sockets_are_bounded() {
        let hub = hub(&[]);
        let _held: Vec<Seat> = (0..3).map(|_| join(&hub, &["a"])).collect();
        assert_eq!(hub.join(vec!["a".into()], false).unwrap_err().status, 503);
    }
}
