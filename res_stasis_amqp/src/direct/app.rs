// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! An application's event: the value that all its handlers share, with the application in it.

use asterisk::json::{Value, View};

use super::json::{string, value};

/// Writes `event` with `application` set to `app`: in its place, or at the end if it has none.
pub(super) fn event(into: &mut Vec<u8>, app: &str, event: &Value) -> Option<()> {
    let View::Object(members) = event.view() else {
        return None;
    };
    let mut is_set = false;
    into.push(b'{');
    for (name, member) in members {
        if into.last() != Some(&b'{') {
            into.push(b',');
        }
        string(into, name)?;
        into.push(b':');
        if name == b"application" {
            is_set = true;
            string(into, app.as_bytes())?;
        } else {
            value(into, member)?;
        }
    }
    if !is_set {
        if into.last() != Some(&b'{') {
            into.push(b',');
        }
        into.extend_from_slice(br#""application":"#);
        string(into, app.as_bytes())?;
    }
    into.push(b'}');
    Some(())
}
