// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Functions that a module offers to other modules in C.

use std::ffi::{c_char, c_int};

use crate::boundary::guard;
use crate::text::lossy;

/// For [`export_text_functions!`](crate::export_text_functions!): 0 for `Ok`, -1 for `Err`, NULL
/// and a panic.
///
/// # Safety
///
/// `text` is NULL or NUL-terminated, and alive for the call.
#[doc(hidden)]
pub unsafe fn call_with_text<E>(text: *const c_char, call: fn(&str) -> Result<(), E>) -> c_int {
    guard(-1, || {
        if text.is_null() {
            return -1;
        }
        // SAFETY: passed on to the caller.
        let text = unsafe { lossy(text) };
        if call(&text).is_ok() { 0 } else { -1 }
    })
}

/// Exports functions of the C form `int name(const char *text)`, which return 0 or -1, under the
/// names that a header in `include/asterisk/` declares. They may be called on any thread.
///
/// Nothing else leaves a module; its flags must have `AST_MODFLAG_GLOBAL_SYMBOLS` for others to
/// find them.
#[macro_export]
macro_rules! export_text_functions {
    ($($name:ident => $call:expr;)+) => {
        $(
            #[unsafe(no_mangle)]
            extern "C" fn $name(text: *const ::std::ffi::c_char) -> ::std::ffi::c_int {
                // SAFETY: the header asks its callers for a NUL-terminated string or NULL.
                unsafe { $crate::export::call_with_text(text, $call) }
            }
        )+
    };
}
