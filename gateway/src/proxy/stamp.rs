// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Puts `asterisk_id` into objects, and leaves every other byte of them as the node wrote it.

/// The object with its node's id first; `None` when the text is no object, or has one.
pub(super) fn stamped(text: &[u8], eid: &str) -> Option<Vec<u8>> {
    let start = text.iter().position(|byte| !byte.is_ascii_whitespace())?;
    let rest = text.get(start..)?.strip_prefix(b"{")?;
    let first = rest.iter().find(|byte| !byte.is_ascii_whitespace())?;
    if rest.starts_with(b"\"asterisk_id\"") {
        return None;
    }
    let mut stamped = Vec::with_capacity(text.len() + eid.len() + 24);
    // An entity id has no character that JSON would have to escape.
    stamped.extend_from_slice(b"{\"asterisk_id\":\"");
    stamped.extend_from_slice(eid.as_bytes());
    stamped.push(b'"');
    match first {
        b'}' => {}
        b'"' => stamped.push(b','),
        _ => return None,
    }
    stamped.extend_from_slice(rest);
    Some(stamped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_get_it_and_nothing_else_does() {
        let stamp = |text: &str| {
            stamped(text.as_bytes(), "e1").map(|bytes| String::from_utf8(bytes).unwrap())
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(stamp(r#"{"id":"x" }"#), some(r#"{"asterisk_id":"e1","id":"x" }"#));
        assert_eq!(stamp("\n {  \"a\":1}"), some("{\"asterisk_id\":\"e1\",  \"a\":1}"));
        assert_eq!(stamp("{}"), some(r#"{"asterisk_id":"e1"}"#));
        for other in ["", " ", "[]", "5", "{", "\"x\"", "{5", r#"{"asterisk_id":"e2"}"#] {
            assert_eq!(stamp(other), None, "{other}");
        }
    }
}
