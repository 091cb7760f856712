// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What each application has on each node, as it was seen last: what it must be told the end of,
//! should the node die. Learnt from events and from full reads of a node.

mod dialplan;
mod ending;
mod fences;
mod play;
mod read;
#[cfg(test)]
mod tests;
mod time;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) use dialplan::Dialplan;
use ending::Thing;
pub(crate) use ending::{Ending, Notice};
use fences::Fences;
use play::Play;
pub(crate) use read::Listing;
pub(crate) use time::{milliseconds, now};

use crate::index::Kind;

/// An application's part in something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// It is told of it.
    Watches,
    /// The channel is in it.
    Controls,
}

/// Something with its applications.
#[derive(Debug, Clone)]
struct Held {
    apps: Vec<(Arc<str>, Part)>,
    /// ARI's object of it.
    snapshot: Arc<str>,
    /// The step at which it was noted last.
    noted: u64,
    play: Option<Box<Play>>,
}

type Things = HashMap<(Kind, Box<str>), Held>;

/// What is of one node.
#[derive(Debug, Default)]
struct Node {
    /// Asterisk's start, as it says it.
    boot: Option<String>,
    things: Things,
    /// Playbacks are by themselves: they are looked through at each end of what they are played to.
    plays: Things,
    is_dead: bool,
}

impl Node {
    fn of(&mut self, kind: Kind) -> &mut Things {
        match kind {
            Kind::Playback => &mut self.plays,
            _ => &mut self.things,
        }
    }
}

#[derive(Debug, Default)]
struct All {
    nodes: HashMap<String, Node>,
    /// Counts what is noted.
    step: u64,
    /// What has ended with its node and is not told yet.
    endings: Vec<Ending>,
    fences: Fences,
}

/// The holdings of all nodes.
#[derive(Debug, Default)]
pub(crate) struct Holdings(Mutex<All>);

/// What an event says of one thing.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fact<'a> {
    /// The application is told of it, and this is how it is.
    Has(Kind, &'a str, Part, &'a str),
    /// The application is told no more of it.
    Lost(Kind, &'a str),
    /// It is gone, for all.
    Ended(Kind, &'a str),
}

impl Holdings {
    /// Whether an event of this node and of this run of its publisher may be believed. `run` is
    /// when that began. Events of a node whose end has been told, or of a process before the one
    /// that is there now, come too late.
    pub(crate) fn admits(&self, eid: &str, run: u64) -> bool {
        self.all().fences.admits(eid, run)
    }

    /// Whether that is a run not seen before: maybe another process.
    pub(crate) fn is_new_run(&self, eid: &str, run: u64) -> bool {
        self.all().fences.is_new(eid, run)
    }

    /// Notes what an event of a node said.
    pub(crate) fn note(&self, eid: &str, app: &str, fact: Fact<'_>) {
        let mut all = self.all();
        all.step += 1;
        let step = all.step;
        if !all.nodes.contains_key(eid) {
            all.nodes.insert(eid.to_owned(), Node::default());
        }
        let Some(node) = all.nodes.get_mut(eid) else { return };
        match fact {
            Fact::Has(kind, id, part, snapshot) => {
                let held = node.of(kind).entry((kind, id.into())).or_insert_with(|| Held {
                    apps: Vec::new(),
                    snapshot: "".into(),
                    noted: step,
                    play: (kind == Kind::Playback).then(|| Box::new(Play::of(snapshot))),
                });
                held.snapshot = snapshot.into();
                held.noted = step;
                match held.apps.iter_mut().find(|(known, _)| **known == *app) {
                    Some((_, known)) if part == Part::Controls => *known = part,
                    Some(_) => {}
                    None => held.apps.push((app.into(), part)),
                }
            }
            Fact::Lost(kind, id) => {
                let (key, things) = ((kind, Box::from(id)), node.of(kind));
                if let Some(held) = things.get_mut(&key) {
                    held.apps.retain(|(known, _)| **known != *app);
                    if held.apps.is_empty() {
                        things.remove(&key);
                    }
                }
            }
            Fact::Ended(kind, id) => {
                node.of(kind).remove(&(kind, Box::from(id)));
                let is_other = |other: Kind, name: &str| (other, name) != (kind, id);
                let can_be = |play: &Play| play.can_be(is_other);
                node.plays.retain(|_, held| held.play.as_deref().is_none_or(can_be));
            }
        }
    }

    /// Whether nobody has found out that it is dead.
    pub(crate) fn is_alive(&self, eid: &str) -> bool {
        self.all().nodes.get(eid).is_none_or(|node| !node.is_dead)
    }

    /// All of a node has ended: nobody reaches it, and Consul says so too. The number of events
    /// that are to tell of it; `None` when it was known to be dead.
    pub(crate) fn die(&self, eid: &str) -> Option<usize> {
        let all = &mut *self.all();
        let node = all.nodes.entry(eid.to_owned()).or_default();
        if node.is_dead {
            return None;
        }
        node.is_dead = true;
        let mut things = std::mem::take(&mut node.things);
        things.extend(node.plays.drain());
        let boot = node.boot.take();
        all.fences.shut(eid);
        Some(all.end(eid, boot, things))
    }

    /// What is to be told, oldest first.
    pub(crate) fn endings(&self) -> Vec<Ending> {
        self.all().endings.clone()
    }

    /// One of them has been told, as an event says: by us or by another gateway.
    pub(crate) fn told(&self, message_id: &str) {
        let mut all = self.all();
        for ending in &mut all.endings {
            ending.told(message_id);
        }
        all.endings.retain(|ending| !ending.is_over());
    }

    /// Whether all of an end has been told.
    pub(crate) fn is_told(&self, eid: &str, boot: &str) -> bool {
        !self.all().endings.iter().any(|ending| ending.eid == eid && ending.boot == boot)
    }

    /// ARI's object of a channel, as it was seen last.
    pub(crate) fn channel(&self, eid: &str, id: &str) -> Option<Arc<str>> {
        let all = self.all();
        let held = all.nodes.get(eid)?.things.get(&(Kind::Channel, Box::from(id)))?;
        Some(Arc::clone(&held.snapshot))
    }

    /// How many things there are.
    pub(crate) fn count(&self) -> usize {
        self.all().nodes.values().map(|node| node.things.len() + node.plays.len()).sum()
    }

    /// Of nodes that are known no more.
    pub(crate) fn retain(&self, is_known: impl Fn(&str) -> bool) {
        self.all().nodes.retain(|eid, _| is_known(eid));
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl All {
    fn end(&mut self, eid: &str, boot: Option<String>, things: Things) -> usize {
        let things = things.into_iter().map(|((kind, id), held)| Thing {
            kind,
            id,
            apps: held.apps,
            snapshot: held.snapshot,
        });
        let boot = boot.unwrap_or_else(|| "unread".to_owned());
        let ending = Ending::new(eid, &boot, things.collect());
        let count = ending.count();
        if count > 0 {
            self.endings.push(ending);
        }
        count
    }
}
