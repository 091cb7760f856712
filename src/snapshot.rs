// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What a channel was at one moment (`asterisk/stasis_channels.h`, `ast_channel_snapshot`).

/// The parts of a snapshot that ARI shows of a channel, as bytes that need not be UTF-8. A snapshot
/// is immutable and shared: this borrows from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot<'a> {
    /// The unique id.
    pub id: &'a [u8],
    /// The name.
    pub name: &'a [u8],
    /// The state, as `ast_state2str` has it.
    pub state: &'a [u8],
    /// What the protocol calls it: a SIP call id.
    pub protocol_id: &'a [u8],
    /// The caller's name and number.
    pub caller: [&'a [u8]; 2],
    /// Name and number of whom it is connected to.
    pub connected: [&'a [u8]; 2],
    /// The account code.
    pub account: &'a [u8],
    /// Context, extension, application and its data; the priority stands between.
    pub dialplan: [&'a [u8]; 4],
    /// The priority; -1 is none.
    pub priority: i32,
    /// When it was created: seconds since 1970 and microseconds.
    pub created: (i64, i64),
    /// The language.
    pub language: &'a [u8],
    /// The redirecting number; mostly empty.
    pub redirecting: &'a [u8],
    /// The tenant; mostly empty.
    pub tenant: &'a [u8],
    /// The variables that `ari.conf` asks for, in order. Allocates only where there are some.
    pub variables: Vec<(&'a [u8], &'a [u8])>,
}

/// Of what is not known nothing is read.
#[cfg(not(known_snapshots))]
impl Snapshot<'_> {
    pub(crate) unsafe fn of(_snapshot: *const crate::sys::ast_channel_snapshot) -> Option<Self> {
        None
    }
}

#[cfg(known_snapshots)]
mod layout {
    use std::ffi::c_char;

    use super::Snapshot;
    use crate::sys;
    use crate::text::bytes;

    impl<'a> Snapshot<'a> {
        /// `None` for NULL, and for one that lacks a segment or has an unknown state, as none does.
        ///
        /// # Safety
        ///
        /// `snapshot` is NULL or one that lives, unchanged, for `'a`.
        pub(crate) unsafe fn of(snapshot: *const sys::ast_channel_snapshot) -> Option<Self> {
            // SAFETY: NULL or alive for 'a, as the caller promises.
            let snapshot = unsafe { snapshot.as_ref() }?;
            // SAFETY: NULL or alive as long as the snapshot, which holds a reference.
            let base = unsafe { snapshot.base.as_ref() }?;
            // SAFETY: as above.
            let caller = unsafe { snapshot.caller.as_ref() }?;
            // SAFETY: as above.
            let connected = unsafe { snapshot.connected.as_ref() }?;
            // SAFETY: as above.
            let dialplan = unsafe { snapshot.dialplan.as_ref() }?;
            // SAFETY: NUL-terminated texts of the segments, which do not change.
            let text = |text: *const c_char| unsafe { bytes(text) };
            // Of an unknown state the host makes a text that the next call overwrites.
            if snapshot.state > sys::AST_STATE_PRERING {
                return None;
            }
            // SAFETY: a constant of the host's.
            let state = text(unsafe { sys::ast_state2str(snapshot.state) });
            Some(Self {
                id: text(base.uniqueid),
                name: text(base.name),
                state,
                protocol_id: text(base.protocol_id),
                caller: [text(caller.name), text(caller.number)],
                connected: [text(connected.name.as_ptr()), text(connected.number)],
                account: text(base.accountcode),
                dialplan: [
                    text(dialplan.context),
                    text(dialplan.exten),
                    text(dialplan.appl),
                    text(dialplan.data),
                ],
                priority: dialplan.priority,
                created: (base.creationtime.tv_sec, base.creationtime.tv_usec),
                language: text(base.language),
                redirecting: text(caller.rdnis),
                tenant: text(base.tenantid),
                // SAFETY: NULL or a list of the snapshot's, which does not change.
                variables: unsafe { variables(snapshot.ari_vars) },
            })
        }
    }

    /// # Safety
    ///
    /// `list` is NULL or a list that lives, unchanged, for `'a`.
    unsafe fn variables<'a>(list: *const sys::varshead) -> Vec<(&'a [u8], &'a [u8])> {
        let mut all = Vec::new();
        // SAFETY: as the caller promises.
        let mut next = unsafe { list.as_ref() }.map_or(std::ptr::null_mut(), |list| list.first);
        // SAFETY: each entry is NULL, the end, or alive with its list.
        while let Some(variable) = unsafe { next.as_ref() } {
            // SAFETY: the name stands at the end of the entry, NUL-terminated.
            let name = unsafe { bytes(variable.name.as_ptr()) };
            // SAFETY: the entry's, NUL-terminated.
            let value = unsafe { bytes(variable.value) };
            all.push((name, value));
            next = variable.entries.next;
        }
        all
    }
}
