// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Percent-encoding, as Asterisk reads it: a plus is a space, in paths too.

use super::Refusal;

/// Decodes, and refuses what is no such encoding or no UTF-8.
pub(super) fn decode(raw: &str) -> Result<String, Refusal> {
    if !raw.contains(['%', '+']) {
        return Ok(raw.to_owned());
    }
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    loop {
        match rest {
            [] => break,
            [b'%', high, low, after @ ..] => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let (Some(high), Some(low)) = (digit(*high), digit(*low)) else {
                    return Err(malformed());
                };
                bytes.push(u8::try_from(high * 16 + low).map_err(|_| malformed())?);
                rest = after;
            }
            [b'%', ..] => return Err(malformed()),
            [b'+', after @ ..] => {
                bytes.push(b' ');
                rest = after;
            }
            [byte, after @ ..] => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).map_err(|_| malformed())
}

fn malformed() -> Refusal {
    Refusal::bad("the address is not encoded as an URL is")
}

/// Encodes some text as a part of a path or of a query.
pub(crate) fn encode(text: &str, into: &mut String) {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    let digit = |half: u8| DIGITS.get(usize::from(half & 15)).copied().unwrap_or('0');
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z'
            | b'a'..=b'z'
            | b'0'..=b'9'
            | b'-'
            | b'.'
            | b'_'
            | b'~'
            | b':'
            | b'@'
            | b';'
            | b',' => into.push(char::from(byte)),
            _ => into.extend(['%', digit(byte >> 4), digit(byte)]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        for (raw, text) in [
            ("plain", "plain"),
            ("a%2Fb%3b", "a/b;"),
            ("a+b%2B", "a b+"),
            ("%C3%A9", "é"),
            ("", ""),
        ] {
            assert_eq!(decode(raw).unwrap(), text);
            let mut encoded = String::new();
            encode(text, &mut encoded);
            assert_eq!(decode(&encoded).unwrap(), text);
        }
        for wrong in ["%", "%2", "%zz", "%ff", "%C3", "%+1"] {
            assert!(decode(wrong).is_err(), "{wrong}");
        }
        let mut encoded = String::new();
        encode("a/b c\r\n%é&=?#\"", &mut encoded);
        assert_eq!(encoded, "a%2Fb%20c%0D%0A%25%C3%A9%26%3D%3F%23%22");
    }
}
