// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The host's own database (`asterisk/astdb.h`), which outlives a restart. Its calls touch the disk:
//! threads of the module only.

use std::ffi::c_char;

use crate::sys;
use crate::text::{c_string, lossy};

/// The family that all keys of ours are in.
const FAMILY: &std::ffi::CStr = c"constellation";

/// The value of `key`, if there is one.
#[must_use]
pub fn read(key: &str) -> Option<String> {
    let key = c_string(key);
    let mut value: *mut c_char = std::ptr::null_mut();
    // SAFETY: NUL-terminated texts; the value is written only on success, and is ours to free.
    let result =
        unsafe { sys::ast_db_get_allocated(FAMILY.as_ptr(), key.as_ptr(), &raw mut value) };
    if result != 0 || value.is_null() {
        return None;
    }
    // SAFETY: NUL-terminated and ours.
    let text = unsafe { lossy(value) }.into_owned();
    // SAFETY: allocated by the host for the caller, freed once.
    unsafe { sys::shim_free(value.cast()) };
    Some(text)
}

/// Sets `key`. `false` if the host's database refuses.
pub fn write(key: &str, value: &str) -> bool {
    let (key, value) = (c_string(key), c_string(value));
    // SAFETY: NUL-terminated texts that the host copies.
    unsafe { sys::ast_db_put(FAMILY.as_ptr(), key.as_ptr(), value.as_ptr()) == 0 }
}

/// Removes `key`; one that is not there is no matter.
pub fn remove(key: &str) {
    let key = c_string(key);
    // SAFETY: NUL-terminated texts.
    unsafe { sys::ast_db_del(FAMILY.as_ptr(), key.as_ptr()) };
}
