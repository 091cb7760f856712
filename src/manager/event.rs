// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! AMI events: those the host makes, and ours.

use std::borrow::Cow;
use std::fmt::Write;

use crate::ao2::Ref;
use crate::message_type::ByType;
use crate::stasis::Message;
use crate::sys;
use crate::text::{bytes, c_string, lossy};

/// Tells, of messages of the manager topic, the events that all messages of one type become. There
/// are types that become one event or another, and those are not told.
#[derive(Debug)]
pub struct ManagerMessages(ByType<&'static str, 6>);

impl ManagerMessages {
    /// With the types of this host, on any thread.
    #[must_use]
    pub fn of_host() -> Self {
        Self(ByType::of_host([
            (sys::ast_channel_varset_type, "VarSet"),
            (sys::ast_rtp_rtcp_sent_type, "RTCPSent"),
            (sys::ast_rtp_rtcp_received_type, "RTCPReceived"),
            (sys::ast_multi_user_event_type, "UserEvent"),
            (sys::ast_channel_talking_start, "ChannelTalkingStart"),
            (sys::ast_channel_talking_stop, "ChannelTalkingStop"),
        ]))
    }

    /// The name of the event that a message becomes, if it becomes one, without making it.
    #[must_use]
    pub fn name(&self, message: &Message<'_>) -> Option<&'static str> {
        self.0.of(message)
    }
}

/// An AMI event made from a message of the manager topic.
pub struct AmiEvent {
    blob: Ref<sys::ast_manager_event_blob>,
}

impl AmiEvent {
    pub(crate) fn new(blob: Ref<sys::ast_manager_event_blob>) -> Self {
        Self { blob }
    }

    /// The event's name.
    #[must_use]
    pub fn name(&self) -> Cow<'_, str> {
        // SAFETY: the reference keeps the object, which is immutable, and its texts.
        let name = unsafe { (*self.blob.as_ptr()).manager_event };
        // SAFETY: NUL-terminated, alive with the object.
        unsafe { lossy(name) }
    }

    /// Its fields, `Key: Value\r\n` each. Values may hold colons and blanks, keys may repeat, and
    /// the bytes need not be UTF-8.
    #[must_use]
    pub fn fields(&self) -> &[u8] {
        // SAFETY: the reference keeps the object, which is immutable, and its texts.
        let fields = unsafe { (*self.blob.as_ptr()).extra_fields };
        // SAFETY: NUL-terminated, alive with the object.
        unsafe { bytes(fields) }
    }
}

/// Sends an AMI event of the class `system` to all sessions and hooks. `fields` are its headers, in
/// order; a line break in a value becomes a blank. Threads of the module, for hooks are called.
pub fn emit(event: &str, fields: &[(&str, &str)]) {
    let mut text = String::new();
    for (name, value) in fields {
        let value = value.replace(['\r', '\n'], " ");
        // Writing to a String does not fail.
        let _ = write!(text, "{name}: {value}\r\n");
    }
    let (event, text) = (c_string(event), c_string(&text));
    let category = i32::try_from(sys::EVENT_FLAG_SYSTEM).unwrap_or_default();
    let (file, function) = (c"constellation", c"emit");
    // SAFETY: no channels; a constant format that takes one string; all texts outlive the call.
    unsafe {
        sys::__ast_manager_event_multichan(
            category,
            event.as_ptr(),
            0,
            std::ptr::null_mut(),
            file.as_ptr(),
            0,
            function.as_ptr(),
            c"%s".as_ptr(),
            text.as_ptr(),
        )
    };
}
