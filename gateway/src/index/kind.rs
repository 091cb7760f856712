// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What a node can own.

/// The kinds of resources that have an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// Also a snoop: it is a channel.
    Channel,
    Bridge,
    Playback,
    LiveRecording,
    /// On a node's disk. Asked for each time: files come and go without us.
    StoredRecording,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] =
        [Self::Channel, Self::Bridge, Self::Playback, Self::LiveRecording, Self::StoredRecording];

    /// Of which no node tells all that it has.
    pub(super) const UNLISTED: [Self; 3] =
        [Self::Playback, Self::LiveRecording, Self::StoredRecording];

    /// Its place in a table.
    pub(super) fn place(self) -> usize {
        self as usize
    }

    /// Whether the index keeps it.
    pub(crate) fn is_kept(self) -> bool {
        self != Self::StoredRecording
    }

    /// The folder below `/ari` that has it.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Self::Channel => "channels",
            Self::Bridge => "bridges",
            Self::Playback => "playbacks",
            Self::LiveRecording => "recordings/live",
            Self::StoredRecording => "recordings/stored",
        }
    }

    /// What Asterisk says when it has none.
    pub(crate) fn not_found(self) -> &'static str {
        match self {
            Self::Channel => "Channel not found",
            Self::Bridge => "Bridge not found",
            Self::Playback => "Playback not found",
            Self::LiveRecording | Self::StoredRecording => "Recording not found",
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Channel => "channel",
            Self::Bridge => "bridge",
            Self::Playback => "playback",
            Self::LiveRecording => "live_recording",
            Self::StoredRecording => "stored_recording",
        }
    }
}
