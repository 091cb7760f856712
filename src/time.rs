// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Times as ARI writes them (`asterisk/localtime.h`).

use std::ffi::c_char;

use crate::sys;
use crate::text::bytes;

/// The host's `AST_ISO8601_LEN`.
const LENGTH: usize = 29;

/// `2026-11-21T18:24:47.000+0000`: a whole second in the host's time zone. Takes the host's lock on
/// time zones, and some microseconds; on any thread. `None` if the host cannot tell.
#[must_use]
pub fn iso8601(seconds: i64) -> Option<String> {
    let time = sys::timeval { tv_sec: seconds, tv_usec: 0 };
    // SAFETY: plain numbers and pointers that the host's function sets.
    let mut fields: sys::ast_tm = unsafe { std::mem::zeroed() };
    let mut text: [c_char; LENGTH] = [0; LENGTH];
    // SAFETY: both live for the call; NULL is the host's own zone.
    unsafe { sys::ast_localtime(&raw const time, &raw mut fields, std::ptr::null()) };
    let (into, format) = (text.as_mut_ptr(), c"%FT%T.%q%z");
    // SAFETY: a buffer of that length, a constant format, the fields that were just set.
    let length = unsafe { sys::ast_strftime(into, LENGTH, format.as_ptr(), &raw const fields) };
    if length <= 0 {
        return None;
    }
    // SAFETY: the host wrote a text with its end within the array.
    let text = unsafe { bytes(text.as_ptr()) };
    String::from_utf8(text.to_vec()).ok()
}
