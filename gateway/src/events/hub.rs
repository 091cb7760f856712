// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The sockets, by their applications.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::Event;
use super::share::{
    Announcement, Announcements, Counts, Position, Sharing, SocketId, Takeover, Target,
};
use crate::apps::Uses;
use crate::ari::Refusal;
use crate::config;
use crate::index::Kind;

/// What is put into a socket's queue at once.
#[derive(Debug)]
pub(super) enum Parcel {
    Event(Utf8Bytes),
    /// Of calls taken over, however many: they do not make a client a slow one.
    Events(Vec<Utf8Bytes>),
}

#[derive(Debug, Clone)]
struct Socket {
    id: SocketId,
    /// It has all of a shared application's calls, or some.
    has_all: bool,
    events: mpsc::Sender<Parcel>,
    /// It takes its events too slowly.
    slow: Arc<Notify>,
}

#[derive(Debug, Default)]
struct App {
    sockets: Vec<Socket>,
    is_told_all: bool,
}

#[derive(Debug)]
struct State {
    apps: HashMap<String, App>,
    sharing: Sharing,
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
    state: Mutex<State>,
    next: AtomicU64,
    places: Arc<Semaphore>,
    uses: watch::Sender<Uses>,
    wanted: watch::Sender<Arc<BTreeSet<String>>>,
    /// Sockets that share calls have come or gone.
    share_changes: watch::Sender<()>,
    /// The gateways have been seen; told of each time.
    seen: watch::Sender<bool>,
}

/// What a client asks for.
#[derive(Debug)]
pub(super) struct Wanted {
    pub apps: Vec<String>,
    pub is_told_all: bool,
    /// All calls, also of applications whose calls are shared.
    pub has_all: bool,
}

/// A socket's side.
#[derive(Debug)]
pub(super) struct Seat {
    pub membership: Membership,
    pub events: mpsc::Receiver<Parcel>,
    pub slow: Arc<Notify>,
    /// The last to go: until then the hub is not empty.
    _place: OwnedSemaphorePermit,
}

/// A socket's place among those of its applications: it leaves when this is dropped, and what has
/// been put into its queue is still there.
#[derive(Debug)]
pub(super) struct Membership {
    hub: Arc<Hub>,
    id: SocketId,
    apps: Vec<String>,
    /// Those of them of which it has a part of the calls.
    shared: Vec<String>,
}

impl Hub {
    /// Of the gateway of this name.
    pub(crate) fn new(settings: config::Events, name: &str) -> Arc<Self> {
        let state = State { apps: HashMap::new(), sharing: Sharing::new(name) };
        Arc::new(Self {
            places: Arc::new(Semaphore::new(settings.sockets)),
            settings,
            state: Mutex::new(state),
            next: AtomicU64::new(1),
            uses: watch::Sender::default(),
            wanted: watch::Sender::default(),
            share_changes: watch::Sender::default(),
            seen: watch::Sender::default(),
        })
    }

    pub(crate) fn uses(&self) -> watch::Receiver<Uses> {
        self.uses.subscribe()
    }

    /// The applications whose events are wanted.
    pub(crate) fn wanted(&self) -> watch::Receiver<Arc<BTreeSet<String>>> {
        self.wanted.subscribe()
    }

    /// At a stop all sockets leave together: none is told of calls that it would take over from
    /// another. What waits for them is still there.
    pub(crate) fn close(&self) {
        let state = &mut *self.state();
        state.apps.clear();
        self.tell(&state.apps);
        state.sharing.leave_all(Instant::now());
        self.share_changes.send_replace(());
    }

    /// Until all sockets have ended.
    pub(crate) async fn empty(&self) {
        let all = u32::try_from(self.settings.sockets).unwrap_or(u32::MAX);
        // It is closed by nobody.
        let _ = self.places.acquire_many(all).await;
    }

    /// Takes a new socket of these applications. Of calls that are shared it has none yet.
    pub(super) fn join(self: &Arc<Self>, wanted: Wanted) -> Result<Seat, Refusal> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| Refusal::unavailable("too many event websockets"))?;
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, events) = mpsc::channel(self.settings.waiting);
        let slow = Arc::new(Notify::new());
        let has_all = |name: &String| wanted.has_all || !self.settings.is_shared(name);
        let shared = wanted.apps.iter().filter(|name| !has_all(name)).cloned().collect();
        let mut state = self.state();
        for name in &wanted.apps {
            let app = state.apps.entry(name.clone()).or_default();
            app.is_told_all |= wanted.is_told_all;
            let (events, slow) = (sender.clone(), Arc::clone(&slow));
            app.sockets.push(Socket { id, has_all: has_all(name), events, slow });
        }
        self.tell(&state.apps);
        drop(state);
        let hub = Arc::clone(self);
        let membership = Membership { hub, id, apps: wanted.apps, shared };
        Ok(Seat { membership, events, slow, _place: place })
    }

    /// Passes an event on to who is to have it. `lookup` finds the snapshot of a channel of its
    /// node.
    pub(super) fn dispatch(
        &self,
        event: &Event<'_>,
        message_id: &str,
        lookup: impl Fn(&str) -> Option<Arc<str>>,
    ) -> Passed {
        let state = &mut *self.state();
        let position = if self.settings.share.is_empty() { None } else { Position::of(message_id) };
        let is_shared = self.settings.is_shared(event.app);
        let sockets = state.apps.get(event.app).map_or(&[][..], |app| app.sockets.as_slice());
        if !is_shared && sockets.is_empty() {
            state.sharing.pass(position.as_ref());
            return Passed::default();
        }
        let text = Utf8Bytes::from(event.text);
        let target = if is_shared {
            state.sharing.route(event, position, &text, Instant::now(), lookup)
        } else {
            state.sharing.pass(position.as_ref());
            Target::All
        };
        let mut passed = Passed::default();
        for socket in sockets {
            if socket.has_all || target == Target::All || target == Target::One(socket.id) {
                socket.take(Parcel::Event(text.clone()), &mut passed);
            }
        }
        passed
    }

    /// These sockets the gateways have announced.
    pub(super) fn see(&self, announcements: Announcements) {
        let state = &mut *self.state();
        let takeovers = state.sharing.see(announcements, Instant::now());
        state.hand_over(takeovers);
        self.seen.send_replace(true);
    }

    /// Somebody's time may be over.
    pub(super) fn look(&self) {
        let state = &mut *self.state();
        let takeovers = state.sharing.arrange(Instant::now());
        state.hand_over(takeovers);
    }

    /// The nodes have been looked at: what there is now, `is_there` says. Shared calls whose end was
    /// lost are kept no longer.
    pub(super) fn forget(&self, is_there: impl Fn(Kind, &str) -> bool) {
        self.state().sharing.forget(is_there, clock());
    }

    /// What the other gateways are to know of our sockets.
    pub(super) fn announcement(&self) -> Announcement {
        self.state().sharing.announcement(clock(), Instant::now())
    }

    pub(super) fn is_not_announced(&self) {
        self.state().sharing.is_not_announced();
    }

    pub(super) fn share_changes(&self) -> watch::Receiver<()> {
        self.share_changes.subscribe()
    }

    pub(super) fn is_left(&self) -> bool {
        self.state().sharing.is_left()
    }

    pub(super) fn counts(&self) -> Counts {
        self.state().sharing.counts()
    }

    fn leave(&self, id: SocketId, names: &[String]) {
        let state = &mut *self.state();
        for name in names {
            let Some(app) = state.apps.get_mut(name) else { continue };
            app.sockets.retain(|socket| socket.id != id);
            if app.sockets.is_empty() {
                state.apps.remove(name);
            }
        }
        self.tell(&state.apps);
        let takeovers = state.sharing.leave(id, Instant::now());
        state.hand_over(takeovers);
        self.share_changes.send_replace(());
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

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Tells sockets of ours of the calls that are theirs now.
    fn hand_over(&self, takeovers: Vec<Takeover>) {
        for Takeover { app, socket, texts } in takeovers {
            let count = texts.len();
            tracing::info!(app, "calls of {app} are taken over: {count} events are told again");
            let mut sockets = self.apps.get(&app).into_iter().flat_map(|app| &app.sockets);
            if let Some(socket) = sockets.find(|one| one.id == socket && !one.has_all) {
                socket.take(Parcel::Events(texts), &mut Passed::default());
            }
        }
    }
}

impl Socket {
    fn take(&self, parcel: Parcel, passed: &mut Passed) {
        match self.events.try_send(parcel) {
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

impl Membership {
    /// Has its part of shared calls from now on: until the other gateways know of that.
    pub(super) async fn share(&self) {
        if self.shared.is_empty() {
            return;
        }
        let hub = &self.hub;
        let mut seen = hub.seen.subscribe();
        // Without them it would have all calls. This and what follows ends with the process.
        let _ = seen.wait_for(|seen| *seen).await;
        self.share_now();
        let since = loop {
            if let Some(since) = hub.state().sharing.settled(self.id) {
                break since;
            }
            if seen.changed().await.is_err() {
                return;
            }
        };
        sleep(Duration::from_millis(since.saturating_sub(clock()))).await;
    }

    /// The same, whoever knows of it.
    pub(super) fn share_now(&self) {
        if self.shared.is_empty() {
            return;
        }
        let state = &mut *self.hub.state();
        for app in &self.shared {
            let takeovers = state.sharing.join(app, self.id, Instant::now());
            state.hand_over(takeovers);
        }
        self.hub.share_changes.send_replace(());
    }
}

/// Milliseconds since 1970.
fn clock() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Drop for Membership {
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
        Hub::new(settings, "here")
    }

    fn dispatch(hub: &Hub, app: &str, channel: &str) -> Passed {
        let data = format!(r#"{{"channel":{{"id":"{channel}"}}}}"#);
        hub.dispatch(&Event::read(&incoming("StasisStart", app, &data)).unwrap(), "", |_| None)
    }

    fn wanted(names: &[&str]) -> Wanted {
        let apps = names.iter().map(|name| (*name).to_owned()).collect();
        Wanted { apps, is_told_all: false, has_all: false }
    }

    fn join(hub: &Arc<Hub>, names: &[&str]) -> Seat {
        let seat = hub.join(wanted(names)).unwrap();
        seat.membership.share_now();
        seat
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
        let Parcel::Events(texts) = two.events.try_recv().unwrap() else { panic!("one event") };
        assert!(texts.len() == 1 && texts[0].contains("\"id\":\"c\""));
    }

    #[test]
    fn at_a_stop_each_has_what_waits_for_it_and_nobody_takes_over() {
        let hub = hub(&["a"]);
        let (mut one, mut two) = (join(&hub, &["a"]), join(&hub, &["a"]));
        assert_eq!(dispatch(&hub, "a", "c").sockets, 1);
        hub.close();
        assert!(hub.is_left());
        assert_eq!(dispatch(&hub, "a", "d").sockets, 0);
        assert!(one.events.try_recv().is_ok());
        drop(one);
        assert!(two.events.try_recv().is_err());
        assert_eq!(hub.places.available_permits(), 2);
    }

    #[test]
    fn who_wants_all_has_all() {
        let hub = hub(&["a"]);
        let mut one = join(&hub, &["a"]);
        let mut all = hub.join(Wanted { has_all: true, ..wanted(&["a"]) }).unwrap();
        all.membership.share_now();
        assert_eq!(dispatch(&hub, "a", "c").sockets, 2);
        assert!(one.events.try_recv().is_ok() && all.events.try_recv().is_ok());
        drop(one);
        assert!(all.events.try_recv().is_err());
        assert_eq!(dispatch(&hub, "a", "d").sockets, 1);
    }

    #[tokio::test]
    async fn a_socket_is_served_once_the_others_know_of_it() {
        let hub = hub(&["a"]);
        let seat = hub.join(wanted(&["a"])).unwrap();
        let is_shared =
            |seat: &Seat| futures_util::FutureExt::now_or_never(seat.membership.share()).is_some();
        assert!(!is_shared(&seat) && hub.announcement() == Announcement::default());
        hub.see(Announcements::new());
        assert!(!is_shared(&seat));
        let mut all = Announcements::from([("here".into(), hub.announcement())]);
        hub.see(all.clone());
        // No other has calls.
        assert_eq!(hub.state().sharing.settled(seat.membership.id), Some(0));
        seat.membership.share().await;
        let other = Hub::new(hub.settings.clone(), "there");
        let second = other.join(wanted(&["a"])).unwrap();
        second.membership.share_now();
        all.insert("there".into(), other.announcement());
        other.see(all);
        assert!(!is_shared(&second));
        second.membership.share().await;
    }

    #[test]
    fn sockets_are_bounded() {
        let hub = hub(&[]);
        let _held: Vec<Seat> = (0..3).map(|_| join(&hub, &["a"])).collect();
        assert_eq!(hub.join(wanted(&["a"])).unwrap_err().status, 503);
    }
}
