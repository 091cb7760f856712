// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A watch of keys and values.

use std::ffi::c_void;
use std::fmt;
use std::ptr::NonNull;

use super::Pair;
use crate::boundary::guard;
use crate::sys;
use crate::text::{c_string, lossy};

type Changed = Box<dyn Fn(&[Pair<'_>]) + Send + Sync>;

/// A watch (`struct ast_consul_watch`); dropping it ends it, and waits until its callback does not
/// run.
pub struct Watch {
    watch: NonNull<sys::ast_consul_watch>,
    /// What the host's pointer leads to; dropped after the watch has ended.
    _changed: Box<Changed>,
}

// SAFETY: consul.h allows its functions on any thread, and the callback is Send and Sync.
unsafe impl Send for Watch {}
// SAFETY: as above.
unsafe impl Sync for Watch {}

impl Watch {
    /// Calls `changed` with all pairs below `prefix`, at first and at each change, on a thread of
    /// that watch alone. A panic of it is logged and ends nothing. Does not wait.
    ///
    /// # Errors
    ///
    /// There is no memory, or `res_consul` is being unloaded.
    pub fn new(
        prefix: &str,
        changed: impl Fn(&[Pair<'_>]) + Send + Sync + 'static,
    ) -> Result<Self, String> {
        let prefix = c_string(prefix);
        let changed: Box<Changed> = Box::new(Box::new(changed));
        let data = (&raw const *changed).cast_mut().cast::<c_void>();
        // SAFETY: the prefix is copied; the data is boxed and outlives the watch.
        let watch = unsafe { sys::ast_consul_watch(prefix.as_ptr(), Some(receive), data) };
        let watch = NonNull::new(watch).ok_or("res_consul gives no watch")?;
        Ok(Self { watch, _changed: changed })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // SAFETY: made by `new` and ended once; when this returns the callback is not called.
        unsafe { sys::ast_consul_unwatch(self.watch.as_ptr()) };
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}

unsafe extern "C" fn receive(data: *mut c_void, pairs: *const sys::ast_consul_pair, count: usize) {
    guard((), || {
        // SAFETY: the pointer that `new` gave, whose target lives until the watch has ended.
        let changed = unsafe { &*data.cast::<Changed>() };
        let pairs = if pairs.is_null() {
            &[]
        } else {
            // SAFETY: the header promises `count` pairs that live as long as the call.
            unsafe { std::slice::from_raw_parts(pairs, count) }
        };
        // SAFETY: keys are NUL-terminated and live as long as the call.
        let keys: Vec<_> = pairs.iter().map(|pair| unsafe { lossy(pair.key) }).collect();
        let pairs: Vec<Pair<'_>> = pairs
            .iter()
            .zip(&keys)
            .map(|(pair, key)| Pair {
                key,
                value: value(pair),
                flags: pair.flags,
                modify_index: pair.modify_index,
            })
            .collect();
        changed(&pairs);
    });
}

fn value(pair: &sys::ast_consul_pair) -> &[u8] {
    if pair.value.is_null() {
        return &[];
    }
    // SAFETY: `length` bytes that live as long as the pair.
    unsafe { std::slice::from_raw_parts(pair.value.cast::<u8>(), pair.length) }
}
