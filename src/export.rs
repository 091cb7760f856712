// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Functions that a module offers to other modules in C.

use std::ffi::{c_char, c_int};

use crate::boundary::guard;
use crate::text::lossy;

/// What such a function returns, as C has it.
pub trait Answer {
    /// The answer to NULL, and after a panic.
    const FAILED: c_int;

    /// The number that the header gives this answer.
    fn code(self) -> c_int;
}

/// 0 for `Ok`, -1 for `Err`.
impl<E> Answer for Result<(), E> {
    const FAILED: c_int = -1;

    fn code(self) -> c_int {
        if self.is_ok() { 0 } else { Self::FAILED }
    }
}

/// For [`export_text_functions!`](crate::export_text_functions!).
///
/// # Safety
///
/// `text` is NULL or NUL-terminated, and alive for the call.
#[doc(hidden)]
pub unsafe fn call_with_text<A: Answer>(text: *const c_char, call: fn(&str) -> A) -> c_int {
    guard(A::FAILED, || {
        if text.is_null() {
            return A::FAILED;
        }
        // SAFETY: passed on to the caller.
        let text = unsafe { lossy(text) };
        call(&text).code()
    })
}

/// Exports functions of the C form `int name(const char *text)`, which return an
/// [`Answer`](export::Answer), under the names that a header in `include/asterisk/` declares. They
/// may be called on any thread.
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
