// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Mends a bridge that spans: parts without members end, broken trunks are made anew, and another
//! node becomes home when home has died, or is drained and has no member left.

use std::collections::{BTreeMap, HashMap};

use futures_util::future::join_all;

use super::ailment::{Ailment, Seen, ailments};
use super::node::At;
use super::span::{Span, Trunk, is_near};
use super::trouble::Trouble;
use super::working::Working;
use crate::fleet::State;
use crate::index::Kind;
use crate::node::Roster;
use crate::proxy::Gateway;

impl Gateway {
    /// Mends what is still wrong of what was found, unless somebody is at it.
    pub(super) async fn mend(
        &self,
        roster: &Roster,
        id: &str,
        found: &[Ailment],
    ) -> Result<(), Trouble> {
        let Some(mut working) = self.work_now_on(id).await? else { return Ok(()) };
        let mended = self.try_mend(&mut working, roster, id, found).await;
        working.finish().await;
        // Only when it is known that this is not the bridge any more: to clients it goes on.
        match mended? {
            Some(left) => At::new(self, roster, &left)?.end(id).await,
            None => Ok(()),
        }
    }

    /// The node that lives and is home no more, if that is how it was mended.
    async fn try_mend(
        &self,
        working: &mut Working<'_>,
        roster: &Roster,
        id: &str,
        found: &[Ailment],
    ) -> Result<Option<String>, Trouble> {
        let Some(mut span) = working.read().await? else { return Ok(None) };
        let seen = self.look(roster, &span, id).await;
        let still = ailments(
            &span,
            |eid| seen.get(eid).cloned().unwrap_or(Seen::Silent),
            |eid| is_up(roster, eid),
            |eid| is_drained(roster, eid),
        );
        let parts = span.parts.len();
        for ailment in still.into_iter().filter(|ailment| found.contains(ailment)) {
            match ailment {
                Ailment::HomeLost => {
                    self.move_home(working, roster, id, span, &seen).await?;
                    return Ok(None);
                }
                Ailment::HomeIdle => {
                    let left = span.home.clone();
                    let has_moved = self.move_home(working, roster, id, span, &seen).await?;
                    return Ok(has_moved.then_some(left));
                }
                Ailment::Whole => {}
                Ailment::PartIdle(eid) => {
                    if let Some(trunk) = span.parts.get(&eid) {
                        let part = At::new(self, roster, &eid)?;
                        part.hang_up(&trunk.near()).await?;
                        part.end(id).await?;
                        // A node that began anew has told nobody.
                        if let Some(far) = &trunk.far {
                            At::new(self, roster, &span.home)?.hang_up(far).await?;
                        }
                    }
                    span.parts.remove(&eid);
                    tracing::info!(node = eid, "bridge {id} has left node {eid}");
                }
                Ailment::PartLost(eid) => {
                    if let Some(far) = span.parts.remove(&eid).and_then(|trunk| trunk.far) {
                        At::new(self, roster, &span.home)?.hang_up(&far).await?;
                    }
                    tracing::warn!(node = eid, "bridge {id} has lost node {eid}");
                }
                Ailment::PartBroken(eid) => {
                    let far = span.parts.get_mut(&eid).and_then(|trunk| trunk.far.take());
                    if let Some(far) = far {
                        At::new(self, roster, &span.home)?.hang_up(&far).await?;
                    }
                    self.extend(working, &mut span, roster, id, &eid).await?;
                }
            }
        }
        match span.parts.is_empty() {
            true => working.erase().await?,
            false if span.parts.len() < parts => working.write(&span).await?,
            false => {}
        }
        Ok(None)
    }

    async fn look(&self, roster: &Roster, span: &Span, id: &str) -> HashMap<String, Seen> {
        let looks = span.nodes().map(|eid| async move {
            let seen = match At::new(self, roster, eid) {
                Ok(node) => node.seen(id).await,
                // Forgotten, long after it was gone.
                Err(_) => Seen::Refuses,
            };
            (eid.to_owned(), seen)
        });
        join_all(looks).await.into_iter().collect()
    }

    /// Home is lost: where most members are is home from now on, and the others call there. Whether
    /// there is such a node.
    async fn move_home(
        &self,
        working: &mut Working<'_>,
        roster: &Roster,
        id: &str,
        span: Span,
        seen: &HashMap<String, Seen>,
    ) -> Result<bool, Trouble> {
        let count = |eid: &String| match seen.get(eid) {
            Some(Seen::Has(channels)) => {
                let members = channels.iter().filter(|channel| !is_near(channel)).count();
                Some((eid.clone(), members))
            }
            _ => None,
        };
        let members: BTreeMap<String, usize> = span.parts.keys().filter_map(count).collect();
        let elected = Span::elect(&members).map(str::to_owned);
        let mut next = Span::at(elected.as_deref().unwrap_or_default());
        for (eid, members) in &members {
            if *members > 0 && *eid != next.home {
                next.parts.insert(eid.clone(), Trunk::new());
            }
        }
        // Who does not answer just now is called later.
        for (eid, trunk) in &span.parts {
            if seen.get(eid) == Some(&Seen::Silent) && is_up(roster, eid) {
                next.parts.insert(eid.clone(), Trunk { far: None, ..trunk.clone() });
            }
        }
        // What called the old home, before it is forgotten.
        for (eid, trunk) in &span.parts {
            let Some(count) = members.get(eid) else { continue };
            let part = At::new(self, roster, eid)?;
            self.end_leg(part, &trunk.near()).await?;
            if *count == 0 {
                part.end(id).await?;
            }
        }
        if elected.is_none() {
            // Somebody may be left on a node that is slow.
            if next.parts.is_empty() {
                working.erase().await?;
            }
            return Ok(false);
        }
        working.write(&next).await?;
        tracing::warn!(
            "bridge {id} is at home on node {} now, and was on {}",
            next.home,
            span.home
        );
        let home = At::new(self, roster, &next.home)?;
        // Who asks for the bridge from now on is not to be led to the old one.
        self.index.learn(Kind::Bridge, id, home.slot(), None);
        let bridge = &home.bridge(id).await?.ok_or(Trouble::NoBridge)?;
        let parts = next.parts.iter().filter(|(eid, _)| members.contains_key(*eid));
        let calls = parts.map(|(eid, trunk)| async {
            let part = At::new(self, roster, eid)?;
            let far = self.connect(home, part, bridge, trunk).await?;
            Ok::<_, Trouble>((eid.clone(), far))
        });
        let (mut failed, mut made) = (None, Vec::new());
        for outcome in join_all(calls).await {
            match outcome {
                Ok(connected) => made.push(connected),
                // What is not made is broken, and tried again.
                Err(trouble) => failed = Some(trouble),
            }
        }
        for (eid, far) in &made {
            if let Some(trunk) = next.parts.get_mut(eid) {
                trunk.far = Some(far.clone());
            }
        }
        if !made.is_empty() {
            working.write(&next).await?;
        }
        let joins =
            made.iter().filter_map(|(eid, far)| Some((next.parts.get(eid)?.near(), eid, far)));
        let joins = joins.map(|(near, eid, far)| async move {
            let part = At::new(self, roster, eid)?;
            self.join_ends(home, part, bridge, (&near, far)).await?;
            if let Some(Seen::Has(channels)) = seen.get(eid) {
                self.tell_members(home, id, channels).await;
            }
            Ok(())
        });
        let failed_to_join = join_all(joins).await.into_iter().find_map(Result::err);
        failed.or(failed_to_join).map_or(Ok(true), Err)
    }
}

/// Whether Consul says so.
pub(super) fn is_up(roster: &Roster, eid: &str) -> bool {
    roster.fleet.by_eid(eid).is_some_and(|node| node.state.is_up())
}

/// Whether it takes no new calls, and is to have those it has.
pub(super) fn is_drained(roster: &Roster, eid: &str) -> bool {
    roster.fleet.by_eid(eid).is_some_and(|node| node.state == State::Maintenance)
}
