// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The messages of the channel topic that ARI has a form of, without the JSON that Asterisk makes of
//! them (`asterisk/stasis_channels.h`).
//!
//! What a message will be called, and what is said in it, can be told with any version. Whom it is
//! about stands in snapshots, which are read only where [`reads_snapshots`] says so.

use std::ffi::CStr;

use crate::json::Value;
use crate::message_type::ByType;
use crate::snapshot::Snapshot;
use crate::stasis::Message;
use crate::{host, sys};

/// A type of message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A variable was set.
    Varset,
    /// A call from one channel to another, and what becomes of it.
    Dial,
    /// A digit has ended, that was received or sent.
    DtmfEnd,
    /// A hangup is asked for.
    HangupRequest,
    /// Put on hold.
    Hold,
    /// Taken from hold.
    Unhold,
    /// Talking has begun.
    TalkingStarted,
    /// Talking has ended.
    TalkingFinished,
    /// A dialplan's or a client's own event.
    Userevent,
}

impl Kind {
    /// What ARI calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Varset => "ChannelVarset",
            Self::Dial => "Dial",
            Self::DtmfEnd => "ChannelDtmfReceived",
            Self::HangupRequest => "ChannelHangupRequest",
            Self::Hold => "ChannelHold",
            Self::Unhold => "ChannelUnhold",
            Self::TalkingStarted => "ChannelTalkingStarted",
            Self::TalkingFinished => "ChannelTalkingFinished",
            Self::Userevent => "ChannelUserevent",
        }
    }
}

/// Whether snapshots are read: only with the headers' layout known, and on a host of the version
/// that the headers are of.
#[must_use]
pub fn reads_snapshots() -> bool {
    cfg!(known_snapshots) && host::is_as_built()
}

/// Tells messages of the channel topic by their type.
#[derive(Debug)]
pub struct ChannelMessages {
    kinds: ByType<Kind, 9>,
    reads_snapshots: bool,
}

impl ChannelMessages {
    /// With the types of this host, on any thread.
    #[must_use]
    pub fn of_host() -> Self {
        let kinds = ByType::of_host([
            (sys::ast_channel_varset_type, Kind::Varset),
            (sys::ast_channel_dial_type, Kind::Dial),
            (sys::ast_channel_dtmf_end_type, Kind::DtmfEnd),
            (sys::ast_channel_hangup_request_type, Kind::HangupRequest),
            (sys::ast_channel_hold_type, Kind::Hold),
            (sys::ast_channel_unhold_type, Kind::Unhold),
            (sys::ast_channel_talking_start, Kind::TalkingStarted),
            (sys::ast_channel_talking_stop, Kind::TalkingFinished),
            (sys::ast_multi_user_event_type, Kind::Userevent),
        ]);
        Self { kinds, reads_snapshots: reads_snapshots() }
    }

    /// The message, if its type is one of those above.
    #[must_use]
    pub fn tell<'a>(&self, message: &'a Message<'_>) -> Option<ChannelMessage<'a>> {
        let kind = self.kinds.of(message)?;
        Some(ChannelMessage { kind, message, reads_snapshots: self.reads_snapshots })
    }
}

/// A message of a type that is known.
#[derive(Debug)]
pub struct ChannelMessage<'a> {
    /// Its type.
    pub kind: Kind,
    message: &'a Message<'a>,
    reads_snapshots: bool,
}

impl<'a> ChannelMessage<'a> {
    /// What is said of the channel or channels.
    #[must_use]
    pub fn said(&self) -> Option<&'a Value> {
        let said = match self.kind {
            Kind::Userevent => return None,
            // SAFETY: reads a blob that the message keeps.
            Kind::Dial => unsafe { sys::ast_multi_channel_blob_get_json(self.data()?) },
            _ => self.blob()?.blob,
        };
        // SAFETY: NULL, or kept unchanged by the message's data.
        (!said.is_null()).then(|| unsafe { Value::from_raw(said) })
    }

    /// When: seconds since 1970 and microseconds.
    #[must_use]
    pub fn time(&self) -> Option<(i64, i64)> {
        // SAFETY: a live message.
        let time = unsafe { sys::stasis_message_timestamp(self.message.as_ptr()) };
        // SAFETY: NULL, or alive and unchanged with the message.
        let time = unsafe { time.as_ref() }?;
        Some((time.tv_sec, time.tv_usec))
    }

    /// The one channel that it is about, if it is about any. The outer `None`: that cannot be told.
    #[must_use]
    pub fn channel(&self) -> Option<Option<Snapshot<'a>>> {
        match self.kind {
            Kind::Dial | Kind::Userevent => None,
            _ => self.snapshot(self.blob()?.snapshot),
        }
    }

    /// One of the channels of [`Kind::Dial`]: `caller`, `peer`, `forwarded`. As
    /// [`ChannelMessage::channel`].
    #[must_use]
    pub fn channel_as(&self, role: &CStr) -> Option<Option<Snapshot<'a>>> {
        if self.kind != Kind::Dial {
            return None;
        }
        // SAFETY: borrowed from the blob, which the message keeps; NULL where there is none.
        let snapshot =
            unsafe { sys::ast_multi_channel_blob_get_channel(self.data()?, role.as_ptr()) };
        self.snapshot(snapshot)
    }

    fn snapshot(&self, host: *const sys::ast_channel_snapshot) -> Option<Option<Snapshot<'a>>> {
        match (host.is_null(), self.reads_snapshots) {
            (true, _) => Some(None),
            // SAFETY: the message keeps its data, and that the snapshot.
            (false, true) => unsafe { Snapshot::of(host) }.map(Some),
            (false, false) => None,
        }
    }

    /// The data of the types about one channel.
    fn blob(&self) -> Option<&'a sys::ast_channel_blob> {
        // SAFETY: such a type's data is a channel blob, alive and unchanged with the message.
        self.data().map(|data| unsafe { &*data })
    }

    fn data<T>(&self) -> Option<*mut T> {
        // SAFETY: a live message.
        let data = unsafe { sys::stasis_message_data(self.message.as_ptr()) };
        (!data.is_null()).then(|| data.cast())
    }
}
