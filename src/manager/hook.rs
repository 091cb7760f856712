// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A hook on every AMI event.

use std::ffi::{c_char, c_int};
use std::sync::{Arc, Mutex, PoisonError};

use crate::boundary::guard;
use crate::sys;
use crate::text::{bytes, lossy};

type Callback = dyn Fn(&str, &[u8]) + Send + Sync;

/// The host's hook type carries no data, so the one hook a module has is found here.
static HOOKED: Mutex<Option<Arc<Callback>>> = Mutex::new(None);

/// A hook that sees the text of every AMI event, also those that are on no topic. One a module.
pub struct Hook {
    host: Box<sys::manager_custom_hook>,
}

// SAFETY: the host reads the hook under its list's lock; nothing of ours in it changes.
unsafe impl Send for Hook {}
// SAFETY: as above.
unsafe impl Sync for Hook {}

impl Hook {
    /// Calls `callback` with the name and the whole text of every AMI event, on the thread that
    /// emits it and under the host's lock on its hooks: it must not wait and must not emit.
    #[must_use]
    pub fn new(callback: impl Fn(&str, &[u8]) + Send + Sync + 'static) -> Self {
        *HOOKED.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(callback));
        // SAFETY: a hook of zeroes is an unlinked one.
        let mut host: Box<sys::manager_custom_hook> = Box::new(unsafe { std::mem::zeroed() });
        host.file = c"constellation".as_ptr().cast_mut();
        host.helper = Some(receive);
        // SAFETY: boxed, and unlinked by `drop` before it is freed.
        unsafe { sys::ast_manager_register_hook(&raw mut *host) };
        Self { host }
    }
}

impl Drop for Hook {
    /// Ends the hook. The host takes its list's write lock for it, so no callback runs afterwards.
    fn drop(&mut self) {
        // SAFETY: registered by `new`.
        unsafe { sys::ast_manager_unregister_hook(&raw mut *self.host) };
        *HOOKED.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

unsafe extern "C" fn receive(_category: c_int, event: *const c_char, text: *mut c_char) -> c_int {
    guard((), || {
        let callback = HOOKED.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(callback) = callback {
            // SAFETY: NUL-terminated, or NULL, and alive for the call.
            let name = unsafe { lossy(event) };
            // SAFETY: as above.
            let text = unsafe { bytes(text) };
            callback(&name, text);
        }
    });
    0
}
