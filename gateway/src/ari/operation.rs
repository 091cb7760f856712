// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! One operation of ARI.

use crate::index::Kind;

/// A new resource: what it is, and the parameter that can give its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Makes {
    pub kind: Kind,
    pub id: &'static str,
    /// Whether its id is invented when there is none; the name of a recording is the client's.
    pub is_invented: bool,
}

/// How the answers of several nodes become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Merge {
    /// Lists, one after the other; each object says its node.
    Lists,
    /// Lists of what all nodes have: one object for each name, with the members of all.
    ListsByName(&'static str),
    /// Objects of one name: one object with the members of all.
    Objects,
    /// `/asterisk/info`: the first node's, and all of them.
    Infos,
    /// Nothing to merge: the first that did it.
    Done,
}

/// Where it goes and what it does there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Does {
    /// To who owns the resource that the path names first.
    Owned(Kind),
    /// The same, and something new comes of it there.
    OwnedMakes(Kind, Makes),
    /// The same, and that resource ends.
    OwnedEnds(Kind),
    /// Channels into a bridge: to the bridge's owner, and to theirs.
    Joins,
    /// Channels out of a bridge: to each one's own node, if the bridge is there too.
    Leaves,
    /// To a chosen node, where something new comes of it.
    Creates(Makes),
    /// To all nodes, to be read.
    Reads(Merge),
    /// To all nodes, to be done.
    Tells(Merge),
    /// Of one node by its nature, which must be named.
    OfNode,
    /// To any one node.
    OfAny,
    /// To any one node, and never twice.
    Sends,
    /// To a node where the endpoint of the path is, best where it is online.
    ToEndpoint,
    /// An application's subscription: to who owns the sources.
    Subscribes,
    /// An event: to who owns its sources, or to any node.
    Notifies,
    /// To who owns the channel of a parameter.
    Claims,
    /// The event websocket.
    Events,
}

/// An operation, as Asterisk's own description of its REST interface has it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Operation {
    pub method: &'static str,
    /// Below `/ari/`, with parameters in braces.
    pub path: &'static str,
    /// The first major version that is tested here and has it.
    pub since: u8,
    pub does: Does,
}

impl Operation {
    /// Whether it changes nothing.
    pub(crate) fn is_reading(&self) -> bool {
        self.method == "GET"
    }

    /// What Asterisk says in it when there is no such thing.
    pub(crate) fn not_found(&self, kind: Kind) -> &'static str {
        match (self.method, self.path) {
            // These look for it by themselves.
            ("GET", "channels/{channelId}/variable")
            | (_, "channels/{channelId}/snoop" | "channels/{channelId}/snoop/{snoopId}") => {
                "Provided channel was not found"
            }
            _ => kind.not_found(),
        }
    }

    /// The name of its first part.
    pub(crate) fn area(&self) -> &'static str {
        self.path.split('/').next().unwrap_or_default()
    }
}
