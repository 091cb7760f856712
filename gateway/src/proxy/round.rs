// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A request that goes to many nodes, bounded in number and time.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, Stream};
use hyper::StatusCode;
use tokio::time::{Instant, timeout_at};

use super::Gateway;
use crate::fleet::Slot;
use crate::node::{Member, NodeError, Outgoing};

/// A node with its answer.
pub(crate) type Asked = (Member, Result<(StatusCode, Bytes), NodeError>);

/// Nodes that it goes to at one time. An answer takes a millisecond or two, so that a thousand nodes
/// are asked in good time, and no request opens a thousand connections.
const AT_ONCE: usize = 64;

impl Gateway {
    /// Puts it to each of them by `put`. Answers are given as they come; whom there was no time for has
    /// not answered. `limit` is for the head of one node's answer.
    pub(crate) fn round<F>(
        &self,
        mut members: Vec<Member>,
        limit: Duration,
        put: impl Fn(Member) -> F,
    ) -> impl Stream<Item = Asked> + Unpin
    where
        F: Future<Output = Result<(StatusCode, Bytes), NodeError>>,
    {
        // Who may not answer is not to be in the way of those who will.
        members.sort_by_key(|member| (!member.node.state.is_up(), member.client.is_suspect()));
        // As long as one node may take by itself.
        let deadline = Instant::now() + self.config.nodes.queue_timeout + limit * 2;
        let asking = members.into_iter().map(move |member| {
            let answer = timeout_at(deadline, put(member.clone()));
            async move { (member, answer.await.unwrap_or(Err(NodeError::Silent))) }
        });
        Box::pin(stream::iter(asking).buffer_unordered(AT_ONCE))
    }

    /// The answers of all, counted, in the order of the nodes.
    pub(super) async fn ask_each(&self, members: Vec<Member>, outgoing: &Outgoing) -> Vec<Asked> {
        let put = |member: Member| async move { self.fetch(&member, outgoing).await };
        let answers = self.round(members, outgoing.timeout, put);
        let by_slot = answers.map(|asked| (asked.0.node.slot, asked));
        by_slot.collect::<BTreeMap<Slot, Asked>>().await.into_values().collect()
    }
}
