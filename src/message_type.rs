// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What a message is, told by its type before anything is made of it (`asterisk/stasis.h`). A type
//! is an object of the core's, and known by its address.

use crate::stasis::Message;
use crate::sys;

type Address = *const sys::stasis_message_type;

/// The core's function that gives a type.
pub(crate) type Getter = unsafe extern "C" fn() -> *mut sys::stasis_message_type;

/// Some types, with what is known of each. The likeliest first: it is a search.
#[derive(Debug)]
pub(crate) struct ByType<T, const N: usize>([(Address, T); N]);

// SAFETY: the addresses are compared and never followed.
unsafe impl<T: Send, const N: usize> Send for ByType<T, N> {}
// SAFETY: as above.
unsafe impl<T: Sync, const N: usize> Sync for ByType<T, N> {}

impl<T: Copy, const N: usize> ByType<T, N> {
    /// The host's types, of which it has none yet before its core is up.
    pub(crate) fn of_host(types: [(Getter, T); N]) -> Self {
        // SAFETY: each returns a type that lives as long as the core, or NULL, which no message
        // has, for one that `stasis.conf` declines.
        Self(types.map(|(getter, known)| (unsafe { getter() }.cast_const(), known)))
    }

    /// What is known of a message's type.
    pub(crate) fn of(&self, message: &Message<'_>) -> Option<T> {
        // SAFETY: a live message, whose type is only compared.
        let address = unsafe { sys::stasis_message_type(message.as_ptr()) }.cast_const();
        self.0.iter().find(|(known, _)| *known == address).map(|(_, known)| *known)
    }
}
