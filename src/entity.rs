// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The host's entity id.

use std::ffi::c_char;

use crate::sys;
use crate::text::lossy;

/// `aa:bb:cc:dd:ee:ff`: 17 characters and the NUL (`asterisk/utils.h`, `ast_eid_to_str`).
const TEXT: usize = 18;

/// This node's entity id as ARI and Consul show it: `entityid` of `asterisk.conf`, or made from a
/// network card. Fixed once Asterisk has read its configuration.
#[must_use]
pub fn entity_id() -> String {
    let mut text: [c_char; TEXT] = [0; TEXT];
    let id = &raw const sys::ast_eid_default;
    // SAFETY: the host writes its id before modules load and never after, so a copy is no race.
    let mut id = unsafe { id.read_unaligned() };
    // SAFETY: the buffer has the length given, and the host ends the text with NUL inside it.
    let text = unsafe { sys::ast_eid_to_str(text.as_mut_ptr(), TEXT as _, &raw mut id) };
    // SAFETY: `text` is the buffer above, which the host has ended with NUL.
    unsafe { lossy(text) }.into_owned()
}
