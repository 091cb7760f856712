// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Text to and from C.

use std::borrow::Cow;
use std::ffi::{CStr, CString, c_char};

/// A C string of `text`; a NUL inside, which C could not see past, becomes U+FFFD.
pub(crate) fn c_string(text: &str) -> CString {
    CString::new(text).or_else(|_| CString::new(text.replace('\0', "\u{fffd}"))).unwrap_or_default()
}

/// What `text` points at, NULL as the empty text.
///
/// # Safety
///
/// `text` is NULL or points at a NUL-terminated string that lives as long as `'a` and is not
/// written to meanwhile.
pub(crate) unsafe fn bytes<'a>(text: *const c_char) -> &'a [u8] {
    if text.is_null() {
        return b"";
    }
    // SAFETY: not NULL, and the caller promises the rest.
    unsafe { CStr::from_ptr(text) }.to_bytes()
}

/// As [`bytes`], as text; what is not UTF-8 becomes U+FFFD.
///
/// # Safety
///
/// As [`bytes`].
pub(crate) unsafe fn lossy<'a>(text: *const c_char) -> Cow<'a, str> {
    // SAFETY: passed on to the caller.
    String::from_utf8_lossy(unsafe { bytes(text) })
}
