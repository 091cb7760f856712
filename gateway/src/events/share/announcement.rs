// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What gateways tell each other of their sockets, and what each makes of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::place::{Place, SocketId};
use super::told::Told;

/// A gateway whose announcement has gone may only have to announce itself again, where Consul has
/// forgotten it.
pub(super) const GRACE: Duration = Duration::from_secs(3);
/// How long one that has ended is remembered: longer than an event is on its way.
pub(super) const REMEMBERED: Duration = Duration::from_secs(10);

/// A gateway's, in Consul: by application.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Announcement {
    pub(super) sockets: BTreeMap<String, Vec<Announced>>,
    /// How far it has come.
    pub(super) told: Told,
}

/// One socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Announced {
    pub socket: SocketId,
    pub since: u64,
    /// How far its gateway had come when it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Told>,
}

/// Announcements by gateway.
pub(crate) type Announcements = BTreeMap<Arc<str>, Announcement>;

/// A gateway that announces itself no more.
#[derive(Debug)]
struct Gone {
    last: Announcement,
    at: Instant,
}

/// What the other gateways have.
#[derive(Debug, Default)]
pub(super) struct Others {
    present: Announcements,
    gone: HashMap<Arc<str>, Gone>,
}

impl Others {
    /// This is what there is now.
    pub(super) fn see(&mut self, seen: Announcements, now: Instant) {
        let before = std::mem::replace(&mut self.present, seen);
        for (gateway, last) in before {
            if !self.present.contains_key(&gateway) {
                self.gone.insert(gateway, Gone { last, at: now });
            }
        }
        self.gone.retain(|gateway, _| !self.present.contains_key(gateway));
    }

    /// Their places, by application.
    pub(super) fn places(&mut self, now: Instant) -> HashMap<String, Vec<Place>> {
        self.gone.retain(|_, gone| now.duration_since(gone.at) < REMEMBERED);
        let mut places: HashMap<String, Vec<Place>> = HashMap::new();
        let present = self.present.iter().map(|(gateway, one)| (gateway, one, false));
        let gone = self
            .gone
            .iter()
            .map(|(gateway, gone)| (gateway, &gone.last, now.duration_since(gone.at) >= GRACE));
        for (gateway, announcement, is_over) in present.chain(gone) {
            let told = Arc::new(announcement.told.clone());
            for (app, sockets) in &announcement.sockets {
                let of_app = places.entry(app.clone()).or_default();
                of_app.extend(sockets.iter().map(|one| {
                    let new = |told| Place::new(gateway, one.socket, one.since, told);
                    match &one.ended {
                        Some(told) => new(Arc::new(told.clone())).ended(),
                        None if is_over => new(Arc::clone(&told)).ended(),
                        None => new(Arc::clone(&told)),
                    }
                }));
            }
        }
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(of: &[(&str, SocketId, Option<Told>)]) -> Announcements {
        let mut seen = Announcements::new();
        for (gateway, socket, ended) in of {
            let one = Announced { socket: *socket, since: 5, ended: ended.clone() };
            let announcement = seen.entry((*gateway).into()).or_default();
            announcement.sockets.entry("a".to_owned()).or_default().push(one);
        }
        seen
    }

    fn live(others: &mut Others, now: Instant) -> Vec<String> {
        let places = others.places(now).remove("a").unwrap_or_default();
        let live = places.iter().filter(|place| !place.has_ended);
        live.map(|place| format!("{}{}", place.gateway, place.socket)).collect()
    }

    #[test]
    fn an_announcement_is_small_and_read_as_it_was_written() {
        let mut all = seen(&[("g", 1, None), ("g", 2, Some(Told::default()))]);
        let announcement = all.remove("g").unwrap();
        let text = serde_json::to_string(&announcement).unwrap();
        let wanted = r#"{"sockets":{"a":[{"socket":1,"since":5},{"socket":2,"since":5,"ended":{}}]},"told":{}}"#;
        assert_eq!(text, wanted);
        assert_eq!(serde_json::from_str::<Announcement>(&text).unwrap(), announcement);
    }

    #[test]
    fn a_gateway_that_is_gone_is_so_after_a_grace_time() {
        let (mut others, now) = (Others::default(), Instant::now());
        others.see(seen(&[("g", 1, None), ("h", 1, None), ("h", 2, Some(Told::default()))]), now);
        assert_eq!(live(&mut others, now), ["g1", "h1"]);
        others.see(seen(&[("h", 1, None)]), now);
        assert_eq!(live(&mut others, now + GRACE / 2), ["h1", "g1"]);
        assert_eq!(live(&mut others, now + GRACE), ["h1"]);
        assert_eq!(others.places(now + GRACE)["a"].len(), 2);
        // It comes back as it was.
        others.see(seen(&[("g", 1, None), ("h", 1, None)]), now + GRACE);
        assert_eq!(live(&mut others, now + GRACE), ["g1", "h1"]);
        others.see(seen(&[]), now + GRACE);
        assert!(others.places(now + GRACE + REMEMBERED).is_empty());
    }
}
