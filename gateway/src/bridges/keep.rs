// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Looks after all bridges that span, and has mended what is wrong twice in a row.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::ailment::{Ailment, Seen, ailments};
use super::mend::{is_drained, is_up};
use super::node::At;
use super::spans::Spans;
use super::trouble::Trouble;
use crate::index::Kind;
use crate::node::Roster;
use crate::proxy::Gateway;

/// Between two looks at all nodes that have such a bridge.
const LOOK: Duration = Duration::from_secs(1);
/// The same, while something seems wrong.
const SECOND_LOOK: Duration = Duration::from_millis(300);
/// The longest wait for a node.
const PATIENCE: Duration = Duration::from_secs(1);
/// Bridges that are mended at one time.
const AT_ONCE: usize = 16;
/// Before what could not be mended is tried again; doubled each time, to the second of these.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

type Views = HashMap<String, Result<HashMap<String, Vec<String>>, Seen>>;
type Mended = (String, Result<(), Trouble>);

/// Goes on until `stopping` is told.
pub(crate) async fn keep(gateway: Arc<Gateway>, mut stopping: watch::Receiver<bool>) {
    if !gateway.config.bridges.span {
        return;
    }
    tokio::select! {
        () = Keeper::default().keep(&gateway) => {}
        _ = stopping.wait_for(|stops| *stops) => {}
    }
}

/// What could not be mended.
struct Failure {
    /// Said once.
    said: String,
    pause: Duration,
    until: Instant,
}

/// What is known from one look to the next.
#[derive(Default)]
struct Keeper {
    suspected: HashSet<(String, Ailment)>,
    failures: HashMap<String, Failure>,
    mending: JoinSet<Mended>,
    mended_now: HashSet<String>,
}

impl Keeper {
    async fn keep(mut self, gateway: &Arc<Gateway>) {
        let mut changes = gateway.bridges.spans.clone();
        loop {
            let spans = Arc::clone(&changes.borrow_and_update());
            let pause = if spans.count() == 0 {
                self.suspected.clear();
                self.failures.clear();
                Duration::MAX
            } else {
                self.look(gateway, &spans).await;
                if self.suspected.is_empty() { LOOK } else { SECOND_LOOK }
            };
            tokio::select! {
                changed = changes.changed(), if pause == Duration::MAX => {
                    if changed.is_err() { return }
                }
                Some(Ok(mended)) = self.mending.join_next() => self.note(mended),
                () = sleep(pause.min(LOOK)), if pause < Duration::MAX => {}
            }
        }
    }

    fn note(&mut self, (id, mended): Mended) {
        self.mended_now.remove(&id);
        let Err(trouble) = mended else {
            self.failures.remove(&id);
            return;
        };
        let said = trouble.to_string();
        let before = self.failures.remove(&id);
        if before.as_ref().is_none_or(|before| before.said != said) {
            tracing::warn!("bridge {id} cannot be mended yet: {said}");
        }
        let pause = before.map_or(AGAIN.0, |before| (before.pause * 2).min(AGAIN.1));
        self.failures.insert(id, Failure { said, pause, until: Instant::now() + pause });
    }

    /// Looks, and has mended what was suspected before.
    async fn look(&mut self, gateway: &Arc<Gateway>, spans: &Spans) {
        let roster = gateway.roster();
        for (id, span) in spans.iter() {
            if let Some(home) = roster.fleet.by_eid(&span.home) {
                gateway.index.learn(Kind::Bridge, id, home.slot, None);
            }
        }
        self.failures.retain(|id, _| spans.get(id).is_some());
        let views = views(gateway, &roster, spans).await;
        let before = std::mem::take(&mut self.suspected);
        for (id, span) in spans.iter() {
            let seen = |eid: &str| match views.get(eid) {
                Some(Ok(bridges)) => bridges.get(id).cloned().map_or(Seen::Lacks, Seen::Has),
                Some(Err(seen)) => seen.clone(),
                None => Seen::Silent,
            };
            let mut certain = Vec::new();
            let is_up = |eid: &str| is_up(&roster, eid);
            for ailment in ailments(span, seen, is_up, |eid| is_drained(&roster, eid)) {
                let mark = (id.to_owned(), ailment);
                if before.contains(&mark) {
                    certain.push(mark.1.clone());
                }
                self.suspected.insert(mark);
            }
            if !certain.is_empty() && self.may_mend(id) {
                self.mended_now.insert(id.to_owned());
                let (gateway, roster, id) =
                    (Arc::clone(gateway), Arc::clone(&roster), id.to_owned());
                self.mending.spawn(async move {
                    let mended = gateway.mend(&roster, &id, &certain).await;
                    (id, mended)
                });
            }
        }
    }

    fn may_mend(&self, id: &str) -> bool {
        let is_due = self.failures.get(id).is_none_or(|failure| Instant::now() >= failure.until);
        is_due && self.mending.len() < AT_ONCE && !self.mended_now.contains(id)
    }
}

async fn views(gateway: &Gateway, roster: &Roster, spans: &Spans) -> Views {
    let nodes: HashSet<&str> = spans.iter().flat_map(|(_, span)| span.nodes()).collect();
    let looks = nodes.into_iter().map(|eid| async move {
        let seen = match At::new(gateway, roster, eid) {
            Ok(node) => timeout(PATIENCE, node.all_seen()).await.unwrap_or(Err(Seen::Silent)),
            Err(_) => Err(Seen::Refuses),
        };
        (eid.to_owned(), seen)
    });
    join_all(looks).await.into_iter().collect()
}
