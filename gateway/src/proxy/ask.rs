// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Questions to all nodes, some at one time.

use futures_util::StreamExt;
use futures_util::stream::Stream;
use hyper::StatusCode;
use serde_json::Value;
use tokio::sync::SemaphorePermit;
use tokio::time::timeout;

use super::Gateway;
use super::round::Asked;
use crate::ari::{Refusal, Whereabouts, encode};
use crate::fleet::Slot;
use crate::index::Kind;
use crate::node::{Member, Outgoing, Roster};

impl Gateway {
    /// Who has it. The first that says so is believed; what was found out is kept.
    pub(super) async fn ask(
        &self,
        roster: &Roster,
        kind: Kind,
        id: &str,
    ) -> Result<Whereabouts, Refusal> {
        let mut target = format!("/ari/{}/", kind.folder());
        encode(id, &mut target);
        let mut silent = Vec::new();
        let (_turn, mut asking) = self.questions(roster, &target).await?;
        while let Some((member, answer)) = asking.next().await {
            match answer {
                Ok((StatusCode::OK, _)) => {
                    if kind.is_kept() {
                        self.index.learn(kind, id, member.node.slot, None);
                    }
                    return Ok(Whereabouts::At(member.node.slot));
                }
                // It is there and cannot say: not yet booted, or its ARI is full.
                Ok((status, _)) if status.is_server_error() => silent.push(member),
                Ok(_) => {}
                Err(_) => silent.push(member),
            }
        }
        // Who is known to be dead is not waited for: what it had is in the index, or nowhere.
        let up = silent.iter().filter(|member| member.node.state.is_up());
        let names: Vec<&str> = up.map(|member| member.node.eid.as_str()).collect();
        if names.is_empty() {
            Ok(Whereabouts::Nobody)
        } else {
            Ok(Whereabouts::Unsure(names.join(", ")))
        }
    }

    /// The node where an endpoint is, best where it is online.
    pub(super) async fn ask_endpoint(
        &self,
        roster: &Roster,
        technology: &str,
        resource: &str,
    ) -> Result<Slot, Refusal> {
        let mut target = "/ari/endpoints/".to_owned();
        encode(technology, &mut target);
        target.push('/');
        encode(resource, &mut target);
        let (mut found, mut silent) = (None, false);
        let (_turn, mut asking) = self.questions(roster, &target).await?;
        while let Some((member, answer)) = asking.next().await {
            match answer {
                Ok((StatusCode::OK, body)) => {
                    let told: Value = serde_json::from_slice(&body).unwrap_or_default();
                    if told.get("state").is_some_and(|state| state == "online") {
                        return Ok(member.node.slot);
                    }
                    found.get_or_insert(member.node.slot);
                }
                Ok((status, _)) if !status.is_server_error() => {}
                _ => silent |= member.node.state.is_up(),
            }
        }
        match found {
            Some(slot) => Ok(slot),
            None if silent => Err(Refusal::unavailable("a node does not answer")),
            None => Err(Refusal::not_found("Endpoint not found")),
        }
    }

    async fn questions(
        &self,
        roster: &Roster,
        target: &str,
    ) -> Result<(SemaphorePermit<'_>, impl Stream<Item = Asked> + Unpin), Refusal> {
        let limit = self.config.nodes.question_timeout;
        let turn = timeout(limit, self.questions.acquire()).await;
        let turn = turn
            .ok()
            .and_then(Result::ok)
            .ok_or_else(|| Refusal::unavailable("too many questions to all nodes at one time"))?;
        self.metrics.questions.inc();
        let outgoing = Outgoing::get(target.to_owned(), limit);
        let put = move |member: Member| {
            let outgoing = outgoing.clone();
            async move { member.client.fetch(&outgoing).await }
        };
        Ok((turn, self.round(roster.askable(), limit, put)))
    }
}
