// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The messages of the channel topic that ARI has a form of, without the JSON that Asterisk makes of
//! them (`asterisk/stasis_channels.h`).
//!
//! Only where the layout of snapshots is known from the headers this was built with: 20.11, 21.6,
//! 22.1 and newer. Elsewhere every message is unknown.

use crate::json::Value;
use crate::snapshot::Snapshot;
use crate::stasis::Message;

/// A message whose form is known.
pub enum ChannelEvent<'a> {
    /// What one channel did: its type's name in ARI, and what is said of it.
    Of(&'static str, Blob<'a>),
    /// `ChannelDtmfReceived`; also what was sent, of which ARI says nothing.
    DtmfEnd(Blob<'a>),
    /// `ChannelHold`.
    Hold(Blob<'a>),
    /// `ChannelUnhold`.
    Unhold(Blob<'a>),
    /// `Dial`.
    Dial(Box<Dial<'a>>),
}

/// A message about one channel, or about none.
pub struct Blob<'a> {
    /// What is said, if anything.
    pub said: Option<&'a Value>,
    /// The channel.
    pub channel: Option<Snapshot<'a>>,
    /// When: seconds since 1970 and microseconds.
    pub time: (i64, i64),
}

/// A message about a call from one channel to another.
pub struct Dial<'a> {
    /// What is said.
    pub said: Option<&'a Value>,
    /// Who calls.
    pub caller: Option<Snapshot<'a>>,
    /// Who is called.
    pub peer: Option<Snapshot<'a>>,
    /// Whom it was forwarded to.
    pub forwarded: Option<Snapshot<'a>>,
    /// When: seconds since 1970 and microseconds.
    pub time: (i64, i64),
}

/// The types of messages, each told by its object's address.
#[derive(Clone, Debug)]
pub struct Types(#[cfg(known_snapshots)] known::Types);

impl ChannelEvent<'_> {
    /// The type's name in ARI.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Of(name, _) => name,
            Self::DtmfEnd(_) => "ChannelDtmfReceived",
            Self::Hold(_) => "ChannelHold",
            Self::Unhold(_) => "ChannelUnhold",
            Self::Dial(_) => "Dial",
        }
    }
}

#[cfg(not(known_snapshots))]
impl Types {
    /// The host's types. On any thread.
    #[must_use]
    pub fn of_host() -> Self {
        Self()
    }

    /// The message, if its form is known.
    #[must_use]
    pub fn read<'a>(&self, _message: &'a Message<'_>) -> Option<ChannelEvent<'a>> {
        None
    }
}

#[cfg(known_snapshots)]
impl Types {
    /// The host's types. On any thread.
    #[must_use]
    pub fn of_host() -> Self {
        Self(known::Types::of_host())
    }

    /// The message, if its form is known.
    #[must_use]
    pub fn read<'a>(&self, message: &'a Message<'_>) -> Option<ChannelEvent<'a>> {
        self.0.read(message)
    }
}

#[cfg(known_snapshots)]
mod known {
    use std::ffi::CStr;

    use super::{Blob, ChannelEvent, Dial};
    use crate::json::Value;
    use crate::snapshot::Snapshot;
    use crate::stasis::Message;
    use crate::sys;

    type Pointer = *const sys::stasis_message_type;

    #[derive(Clone, Debug)]
    pub(super) struct Types {
        /// Those whose form is what was said, type, time and channel, in this order.
        plain: [(Pointer, &'static str); 5],
        dtmf_end: Pointer,
        hold: Pointer,
        unhold: Pointer,
        dial: Pointer,
    }

    // SAFETY: the addresses are compared and never followed.
    unsafe impl Send for Types {}
    // SAFETY: as above.
    unsafe impl Sync for Types {}

    impl Types {
        pub(super) fn of_host() -> Self {
            type Get = unsafe extern "C" fn() -> *mut sys::stasis_message_type;
            // SAFETY: each returns the core's own type, which lives as long as the core.
            let of = |get: Get| unsafe { get() }.cast_const();
            Self {
                plain: [
                    (of(sys::ast_channel_varset_type), "ChannelVarset"),
                    (of(sys::ast_channel_hangup_request_type), "ChannelHangupRequest"),
                    (of(sys::ast_channel_talking_start), "ChannelTalkingStarted"),
                    (of(sys::ast_channel_talking_stop), "ChannelTalkingFinished"),
                    (of(sys::ast_channel_tone_detect), "ChannelToneDetected"),
                ],
                dtmf_end: of(sys::ast_channel_dtmf_end_type),
                hold: of(sys::ast_channel_hold_type),
                unhold: of(sys::ast_channel_unhold_type),
                dial: of(sys::ast_channel_dial_type),
            }
        }

        pub(super) fn read<'a>(&self, message: &'a Message<'_>) -> Option<ChannelEvent<'a>> {
            // SAFETY: a live message; the type is only compared.
            let kind = unsafe { sys::stasis_message_type(message.as_ptr()) }.cast_const();
            if let Some((_, name)) = self.plain.iter().find(|(pointer, _)| *pointer == kind) {
                return Some(ChannelEvent::Of(name, blob(message)?));
            }
            if kind == self.dial {
                return dial(message).map(Box::new).map(ChannelEvent::Dial);
            }
            let of = [
                (self.dtmf_end, ChannelEvent::DtmfEnd as fn(Blob<'a>) -> ChannelEvent<'a>),
                (self.hold, ChannelEvent::Hold),
                (self.unhold, ChannelEvent::Unhold),
            ];
            let (_, make) = of.iter().find(|(pointer, _)| *pointer == kind)?;
            blob(message).map(make)
        }
    }

    fn time(message: &Message<'_>) -> Option<(i64, i64)> {
        // SAFETY: a live message.
        let time = unsafe { sys::stasis_message_timestamp(message.as_ptr()) };
        // SAFETY: NULL, or alive and unchanged with the message.
        let time = unsafe { time.as_ref() }?;
        Some((time.tv_sec, time.tv_usec))
    }

    fn blob<'a>(message: &'a Message<'_>) -> Option<Blob<'a>> {
        // SAFETY: a live message.
        let data = unsafe { sys::stasis_message_data(message.as_ptr()) };
        // SAFETY: of one of the types whose data is a channel blob, kept by the message; or NULL.
        let blob = unsafe { data.cast::<sys::ast_channel_blob>().as_ref() }?;
        let channel = match blob.snapshot.is_null() {
            true => None,
            // SAFETY: the message keeps its data, and that the snapshot.
            false => Some(unsafe { Snapshot::of(blob.snapshot) }?),
        };
        // SAFETY: as above, of the JSON.
        Some(Blob { said: unsafe { said(blob.blob) }, channel, time: time(message)? })
    }

    fn dial<'a>(message: &'a Message<'_>) -> Option<Dial<'a>> {
        // SAFETY: the data of a live message of the type whose data is a multi channel blob.
        let blob = unsafe { sys::stasis_message_data(message.as_ptr()) }
            .cast::<sys::ast_multi_channel_blob>();
        if blob.is_null() {
            return None;
        }
        let channel = |role: &CStr| {
            // SAFETY: borrowed from the blob, which the message keeps; NULL where there is none.
            let snapshot = unsafe { sys::ast_multi_channel_blob_get_channel(blob, role.as_ptr()) };
            match snapshot.is_null() {
                true => Some(None),
                // SAFETY: as above.
                false => unsafe { Snapshot::of(snapshot) }.map(Some),
            }
        };
        // SAFETY: reads a blob that the message keeps.
        let json = unsafe { sys::ast_multi_channel_blob_get_json(blob) };
        // SAFETY: NULL, or kept by the blob.
        let said = unsafe { said(json) };
        Some(Dial {
            said,
            caller: channel(c"caller")?,
            peer: channel(c"peer")?,
            forwarded: channel(c"forwarded")?,
            time: time(message)?,
        })
    }

    /// # Safety
    ///
    /// `json` is NULL or a value that lives, unchanged, for `'a`.
    unsafe fn said<'a>(json: *mut sys::ast_json) -> Option<&'a Value> {
        // SAFETY: as the caller promises.
        (!json.is_null()).then(|| unsafe { Value::from_raw(json) })
    }
}
