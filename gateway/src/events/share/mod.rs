// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Applications whose calls are shared out among their sockets, those of all gateways.
//!
//! Every gateway reads every event of such an application from a queue of its own, and finds out by
//! itself who has it. So all must find the same, though none asks another for each call: who has a
//! call is a function ([`place::owner`]) of its id, of when its channel was made, which each of its
//! events says, and of the sockets that there are.
//!
//! - **Which sockets there are** each gateway writes into Consul, below `gateway/share/`, under its
//!   session ([`announce`]), and all follow that. A socket has calls made from half a second after
//!   that on, so that all know of it when the first of them begins; it takes none from another.
//! - **A socket that ends** is announced as ended, with how far its gateway had come in what each
//!   node publishes ([`told`]). What came before that it was told; what comes after goes to the
//!   socket that is next for the call, wherever that is, which is told of the call's `StasisStart`
//!   first. The others have what was for it for that purpose ([`kept`]), so it does not matter who
//!   is ahead in the stream. A gateway says how far it has come every two seconds too: then the
//!   others have to keep no more than that, and when it is killed, and Consul has ended its session,
//!   what was told between its last word and its death is all that is told twice.
//! - **While two gateways see different sockets** each goes by what it sees. A gateway always knows
//!   its own sockets, and a call that begins goes to the greatest by the draw: if that is missing
//!   in another's view, an event goes to two. It goes to none only where one believes in a socket
//!   that is dead, and then it is kept. When in doubt, an event is told twice.
//! - **Consul silent**: the last view stays. A socket that the others cannot be told of has only
//!   what nobody else is there for.
//!
//! A record of each call's owner, at the broker or in Consul, would have made sockets that come
//! late bear an equal part of old calls too. It would have cost a message or a write for each call,
//! a gateway that starts would have had to be told of all of them, and two that claim a call at one
//! time would still have to be told apart.

mod announce;
mod announcement;
mod calls;
mod kept;
mod missing;
mod place;
#[cfg(test)]
mod tests;
mod told;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::Event;
use crate::index::Kind;
pub(crate) use announce::{announce, follow, seen};
use announcement::{Announced, Others, REMEMBERED};
pub(super) use announcement::{Announcement, Announcements};
use calls::{Calls, Name};
use kept::{Fate, Kept, KeptEvent};
pub(super) use place::SocketId;
use place::{Owner, Place, Turn, UNKNOWN, owner};
pub(super) use told::Position;
use told::Told;

/// From a socket's announcement to the first call it may have, or to its gateway's end, in
/// milliseconds: longer than the others take to read it, and more than their clocks and the nodes'
/// differ.
const AHEAD: u64 = 500;
/// Sockets that have ended and are still announced: the last ones.
const ENDED: usize = 32;

/// Who of a gateway's sockets gets an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// It is about no call that anybody has.
    All,
    One(SocketId),
    /// It is another gateway's to tell.
    Nobody,
}

/// What a socket is told of calls that it takes over.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Takeover {
    pub app: String,
    pub socket: SocketId,
    pub texts: Vec<Utf8Bytes>,
}

/// What there is, to be seen from outside.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Of all gateways.
    pub sockets: usize,
    /// Of this gateway's sockets.
    pub calls: usize,
    /// Events that are kept for others.
    pub kept: usize,
}

/// A socket of this gateway.
#[derive(Debug)]
struct Local {
    app: String,
    socket: SocketId,
    /// As it was announced last; none yet: 0.
    since: u64,
    /// The others can have read that.
    is_known: bool,
    ended: Option<(Arc<Told>, Instant)>,
}

/// An application.
#[derive(Debug, Default)]
struct Shared {
    calls: Calls,
    /// Its sockets, of all gateways.
    places: Vec<Place>,
}

/// All such applications, as one gateway sees them. It waits for nothing, and knows no clock.
#[derive(Debug)]
pub(super) struct Sharing {
    own: Arc<str>,
    apps: HashMap<String, Shared>,
    locals: Vec<Local>,
    others: Others,
    told: Told,
    /// When the last event of each node was published, in milliseconds since 1970, by its clock.
    heard: HashMap<Box<str>, u64>,
    kept: Kept,
}

impl Sharing {
    /// Of the gateway of this name.
    pub(super) fn new(own: &str) -> Self {
        Self {
            own: own.into(),
            apps: HashMap::new(),
            locals: Vec::new(),
            others: Others::default(),
            told: Told::default(),
            heard: HashMap::new(),
            kept: Kept::default(),
        }
    }

    /// A socket of ours is there.
    pub(super) fn join(&mut self, app: &str, socket: SocketId, now: Instant) -> Vec<Takeover> {
        if !self.locals.iter().any(|local| local.socket == socket && local.app == app) {
            let app = app.to_owned();
            self.locals.push(Local { app, socket, since: 0, is_known: false, ended: None });
        }
        self.arrange(now)
    }

    /// A socket of ours has ended.
    pub(super) fn leave(&mut self, socket: SocketId, now: Instant) -> Vec<Takeover> {
        let told = Arc::new(self.told.clone());
        for local in self.locals.iter_mut().filter(|one| one.socket == socket) {
            local.ended.get_or_insert_with(|| (Arc::clone(&told), now));
        }
        self.arrange(now)
    }

    /// All of ours end.
    pub(super) fn leave_all(&mut self, now: Instant) {
        let told = Arc::new(self.told.clone());
        for local in &mut self.locals {
            local.ended.get_or_insert_with(|| (Arc::clone(&told), now));
        }
        // Nobody is left here who could take over.
        self.arrange(now);
    }

    /// What the others are to be told. `clock` is in milliseconds since 1970.
    pub(super) fn announcement(&mut self, clock: u64, now: Instant) -> Announcement {
        // One that nobody could be told of is as if it had never been there.
        let is_recent = |at: Instant| now.duration_since(at) < REMEMBERED;
        self.locals.retain(|local| {
            local.ended.as_ref().is_none_or(|(_, at)| local.since > 0 && is_recent(*at))
        });
        let mut ended = self.locals.iter().filter(|local| local.ended.is_some()).count();
        self.locals.retain(|local| {
            let is_too_many = local.ended.is_some() && ended > ENDED;
            ended -= usize::from(is_too_many);
            !is_too_many
        });
        let mut announcement = Announcement { told: self.told.clone(), ..Default::default() };
        for local in &mut self.locals {
            if local.since == 0 {
                local.since = clock + AHEAD;
            }
            let of_app = announcement.sockets.entry(local.app.clone()).or_default();
            let ended = local.ended.as_ref().map(|(told, _)| Told::clone(told));
            of_app.push(Announced { socket: local.socket, since: local.since, ended });
        }
        announcement
    }

    /// The others have not been told it for sure: later they will be of a later time.
    pub(super) fn is_not_announced(&mut self) {
        for local in self.locals.iter_mut().filter(|local| !local.is_known) {
            local.since = 0;
        }
    }

    /// Whether no socket of ours is there.
    pub(super) fn is_left(&self) -> bool {
        self.locals.iter().all(|local| local.ended.is_some())
    }

    /// These announcements there are, ours among them.
    pub(super) fn see(&mut self, mut seen: Announcements, now: Instant) -> Vec<Takeover> {
        let ours = seen.remove(&self.own).unwrap_or_default();
        for local in &mut self.locals {
            let announced = ours.sockets.get(&local.app);
            let mut announced = announced.into_iter().flatten();
            if let Some(one) = announced.find(|one| one.socket == local.socket) {
                (local.since, local.is_known) = (one.since, true);
            }
        }
        self.others.see(seen, now);
        self.arrange(now)
    }

    /// From when on a socket of ours has calls: at once where no other has any. `None` while the
    /// others need not know of it.
    pub(super) fn settled(&self, socket: SocketId) -> Option<u64> {
        let mut locals = self.locals.iter().filter(|local| local.socket == socket);
        locals.try_fold(0, |latest, local| {
            let places = self.apps.get(&local.app).map(|app| app.places.as_slice());
            let is_alone = places
                .is_none_or(|places| places.iter().filter(|place| !place.has_ended).count() <= 1);
            let since = if is_alone { 0 } else { local.since };
            local.is_known.then(|| since.max(latest))
        })
    }

    /// Finds who gets an event. `lookup` finds the snapshot of a channel of its node.
    pub(super) fn route(
        &mut self,
        event: &Event<'_>,
        position: Option<Position>,
        text: &Utf8Bytes,
        now: Instant,
        lookup: impl Fn(&str) -> Option<Arc<str>>,
    ) -> Target {
        self.pass(position.as_ref());
        // What a gateway tells of a dead node is no word of the node.
        if let (Some(_), Some(at)) = (&position, event.published()) {
            match self.heard.get_mut(event.eid) {
                Some(last) => *last = at,
                None => drop(self.heard.insert(event.eid.into(), at)),
            }
        }
        if !self.apps.contains_key(event.app) {
            self.apps.insert(event.app.to_owned(), Shared::default());
        }
        let Some(app) = self.apps.get_mut(event.app) else { return Target::All };
        let call = app.calls.of(event, lookup);
        let found = call.as_ref().map(|call| owner(call, position.as_ref(), &app.places));
        let (place, target) = match found {
            None => (None, Target::All),
            Some(Owner::Place(place, _)) if place.gateway == self.own => {
                (Some(place), Target::One(place.socket))
            }
            Some(Owner::Place(place, _)) => (Some(place), Target::Nobody),
            Some(Owner::Told | Owner::Nobody) => (None, Target::Nobody),
        };
        app.calls.follow(event, call.as_ref(), place.map(name), text);
        if let (Some(call), Some(_), Target::Nobody) = (call, place, target) {
            let (app, text) = (event.app.into(), text.clone());
            let begins = event.name == "StasisStart";
            self.kept.push(KeptEvent { at: now, app, call, position, begins, text });
        }
        if app.places.is_empty() && app.calls.is_empty() {
            self.apps.remove(event.app);
        }
        target
    }

    /// An event that is none of a shared application's is passed on, too.
    pub(super) fn pass(&mut self, position: Option<&Position>) {
        if let Some(position) = position {
            self.told.note(position);
        }
    }

    /// Forgets calls whose end was lost with other events. `is_there` says what the nodes have now,
    /// and `clock` when that is, in milliseconds since 1970.
    pub(super) fn forget(&mut self, is_there: impl Fn(Kind, &str) -> bool, clock: u64) {
        for app in self.apps.values_mut() {
            app.calls.forget(&is_there, clock, &self.heard);
        }
        self.apps.retain(|_, app| !app.places.is_empty() || !app.calls.is_empty());
        // A node that is there is heard again.
        self.heard.clear();
    }

    pub(super) fn counts(&self) -> Counts {
        let places = self.apps.values().flat_map(|app| &app.places);
        let calls = self.apps.values().flat_map(|app| app.calls.calls.values());
        let is_ours = |owner: &Name| owner.0 == self.own;
        Counts {
            sockets: places.filter(|place| !place.has_ended).count(),
            calls: calls.filter(|call| call.owner.as_ref().is_some_and(is_ours)).count(),
            kept: self.kept.len(),
        }
    }

    /// Goes by the sockets that there are now.
    pub(super) fn arrange(&mut self, now: Instant) -> Vec<Takeover> {
        let mut places = self.others.places(now);
        for local in &self.locals {
            let since = if local.is_known { local.since } else { UNKNOWN };
            let new =
                |told: &Arc<Told>| Place::new(&self.own, local.socket, since, Arc::clone(told));
            let place = match &local.ended {
                Some((told, _)) => new(told).ended(),
                // How far we are ourselves needs no telling.
                None => new(&Arc::default()),
            };
            places.entry(local.app.clone()).or_default().push(place);
        }
        let mut turned = BTreeSet::new();
        for name in places.keys() {
            if !self.apps.contains_key(name) {
                self.apps.insert(name.clone(), Shared::default());
            }
        }
        for (name, app) in &mut self.apps {
            let before =
                std::mem::replace(&mut app.places, places.remove(name).unwrap_or_default());
            if !before.iter().map(identity).eq(app.places.iter().map(identity)) {
                turned.insert(name.clone());
            }
        }
        let mut taken = Taken::default();
        self.kept.let_go(now);
        self.hand_over_kept(&mut taken);
        for name in &turned {
            self.hand_over_calls(name, &mut taken);
        }
        self.apps.retain(|_, app| !app.places.is_empty() || !app.calls.is_empty());
        taken.into_takeovers()
    }

    /// Of what is kept, what is ours now is told; what its own have told is let go.
    fn hand_over_kept(&mut self, taken: &mut Taken) {
        let (apps, own) = (&self.apps, &self.own);
        self.kept.sort_out(|event| {
            let places = apps.get(&*event.app).map_or(&[][..], |app| app.places.as_slice());
            match owner(&event.call, event.position.as_ref(), places) {
                Owner::Place(place, _) if place.gateway == *own => {
                    taken.tell(event, place.socket);
                    Fate::Goes
                }
                Owner::Place(place, Turn::First) if place.told.covers(event.position.as_ref()) => {
                    Fate::Goes
                }
                Owner::Told => Fate::Goes,
                Owner::Place(..) | Owner::Nobody => Fate::Stays,
            }
        });
    }

    /// Who takes a call over is told of its beginning.
    fn hand_over_calls(&mut self, name: &str, taken: &mut Taken) {
        let Some(app) = self.apps.get_mut(name) else { return };
        for call in app.calls.calls.values_mut() {
            let Owner::Place(place, _) = owner(&call.key, None, &app.places) else { continue };
            let now = self::name(place);
            if call.owner.as_ref() == Some(&now) {
                continue;
            }
            if place.gateway == self.own
                && let Some(start) = &call.start
            {
                taken.begin(name, place.socket, &call.key.id, call.key.began, start);
            }
            call.owner = Some(now);
        }
    }
}

fn name(place: &Place) -> Name {
    (Arc::clone(&place.gateway), place.socket)
}

/// What makes another socket of it.
fn identity(place: &Place) -> (&Arc<str>, SocketId, u64, bool) {
    (&place.gateway, place.socket, place.since, place.has_ended)
}

/// What is told of calls taken over, by application and socket.
#[derive(Default)]
struct Taken(HashMap<(String, SocketId), Parts>);

#[derive(Default)]
struct Parts {
    /// Beginnings, by when and of which call.
    starts: Vec<(u64, Arc<str>, Utf8Bytes)>,
    /// Calls whose beginning is among the events.
    begun: BTreeSet<Arc<str>>,
    events: Vec<Utf8Bytes>,
}

impl Taken {
    fn tell(&mut self, event: &KeptEvent, socket: SocketId) {
        let parts = self.0.entry((event.app.to_string(), socket)).or_default();
        if event.begins {
            parts.begun.insert(Arc::clone(&event.call.id));
        }
        parts.events.push(event.text.clone());
    }

    fn begin(&mut self, app: &str, socket: SocketId, id: &Arc<str>, began: u64, text: &Utf8Bytes) {
        let parts = self.0.entry((app.to_owned(), socket)).or_default();
        parts.starts.push((began, Arc::clone(id), text.clone()));
    }

    fn into_takeovers(self) -> Vec<Takeover> {
        let takeovers = self.0.into_iter().map(|((app, socket), mut parts)| {
            parts.starts.retain(|(_, id, _)| !parts.begun.contains(id));
            parts.starts.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
            let starts = parts.starts.into_iter().map(|(.., text)| text);
            Takeover { app, socket, texts: starts.chain(parts.events).collect() }
        });
        takeovers.filter(|takeover| !takeover.texts.is_empty()).collect()
    }
}
