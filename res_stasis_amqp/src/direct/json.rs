// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! JSON text, byte for byte as the host's library writes it compactly.
//!
//! Every function gives up with `None` where the host would, or would do something else: the text
//! is then made the general way.

use asterisk::json::{Value, View};

use crate::plain::{is_plain, must_escape};

/// Levels of a value that are followed; Asterisk's own have four.
const DEPTH: usize = 32;

/// Writes `text`, which must be UTF-8, as a string.
pub(super) fn string(into: &mut Vec<u8>, text: &[u8]) -> Option<()> {
    into.reserve(text.len() + 2);
    into.push(b'"');
    match is_plain(text) {
        true => into.extend_from_slice(text),
        false => escaped(into, text)?,
    }
    into.push(b'"');
    Some(())
}

fn escaped(into: &mut Vec<u8>, text: &[u8]) -> Option<()> {
    std::str::from_utf8(text).ok()?;
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| must_escape(*byte)) {
        let (plain, special) = rest.split_at_checked(at)?;
        into.extend_from_slice(plain);
        let (byte, after) = special.split_first()?;
        escape(into, *byte);
        rest = after;
    }
    into.extend_from_slice(rest);
    Some(())
}

fn escape(into: &mut Vec<u8>, byte: u8) {
    const DIGITS: [u8; 16] = *b"0123456789ABCDEF";
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        0x0c => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => {
            let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
            into.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
            return;
        }
    };
    into.extend_from_slice(&[b'\\', short]);
}

/// Writes a whole number.
pub(super) fn integer(into: &mut Vec<u8>, number: i64) {
    let mut digits = [0; 20];
    let mut rest = number.unsigned_abs();
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        // A remainder of ten is a digit.
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
        used += 1;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        into.push(b'-');
    }
    into.extend_from_slice(digits.get(digits.len() - used..).unwrap_or_default());
}

/// Writes any value but one with real numbers, whose text only the host's library knows.
pub(super) fn value(into: &mut Vec<u8>, value: &Value) -> Option<()> {
    value_at(into, value, DEPTH)
}

fn value_at(into: &mut Vec<u8>, value: &Value, depth: usize) -> Option<()> {
    match value.view() {
        View::Object(members) => {
            let deeper = depth.checked_sub(1)?;
            into.push(b'{');
            for (index, (name, member)) in members.enumerate() {
                if index > 0 {
                    into.push(b',');
                }
                string(into, name)?;
                into.push(b':');
                value_at(into, member, deeper)?;
            }
            into.push(b'}');
        }
        View::Array(elements) => {
            let deeper = depth.checked_sub(1)?;
            into.push(b'[');
            for (index, element) in elements.enumerate() {
                if index > 0 {
                    into.push(b',');
                }
                value_at(into, element, deeper)?;
            }
            into.push(b']');
        }
        View::String(text) => string(into, text)?,
        View::Integer(number) => integer(into, number),
        View::Bool(true) => into.extend_from_slice(b"true"),
        View::Bool(false) => into.extend_from_slice(b"false"),
        View::Null => into.extend_from_slice(b"null"),
        View::Other => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &[u8]) -> Option<String> {
        let mut into = Vec::new();
        string(&mut into, text).map(|()| String::from_utf8(into).unwrap())
    }

    #[test]
    fn strings_are_escaped_as_the_hosts_library_does() {
        assert_eq!(written(b"").unwrap(), r#""""#);
        assert_eq!(written("a/b é 日本 \u{7f}".as_bytes()).unwrap(), "\"a/b é 日本 \u{7f}\"");
        assert_eq!(
            written(b"\"\\\x08\x0c\n\r\t\x01\x1f").unwrap(),
            r#""\"\\\b\f\n\r\t\u0001\u001F""#
        );
        assert_eq!(written(b"\xff"), None);
        for byte in 0..=127_u8 {
            let text = [b'x', byte, b'y'];
            let parsed: String = serde_json::from_str(&written(&text).unwrap()).unwrap();
            assert_eq!(parsed.as_bytes(), text);
        }
    }

    #[test]
    fn numbers_are_decimal() {
        for number in [0, 7, -1, 10, i64::MAX, i64::MIN, 1_700_000_000] {
            let mut into = Vec::new();
            integer(&mut into, number);
            assert_eq!(String::from_utf8(into).unwrap(), number.to_string());
        }
    }
}
