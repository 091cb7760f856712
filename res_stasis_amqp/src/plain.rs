// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Texts that are JSON strings as they are.

/// Whether `text` is ASCII of which nothing has to be escaped, as nearly every text is. Eight bytes
/// at a time: of all that an event cost, this loop was the most.
pub(crate) fn is_plain(text: &[u8]) -> bool {
    let (words, rest) = text.as_chunks::<8>();
    let mut last = [b' '; 8];
    last.iter_mut().zip(rest).for_each(|(place, byte)| *place = *byte);
    words.iter().chain([&last]).all(|word| is_plain_word(u64::from_ne_bytes(*word)))
}

fn is_plain_word(word: u64) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHS: u64 = ONES << 7;
    // The high bit of the lowest byte that is 0; of those above it perhaps, which does not matter.
    let has_zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let control = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
    let quote = has_zero(word ^ (ONES * 0x22));
    let backslash = has_zero(word ^ (ONES * 0x5c));
    (word & HIGHS) | control | quote | backslash == 0
}

/// Whether JSON has it escaped.
pub(crate) fn must_escape(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wherever in a text a byte stands, and whatever is before it.
    #[test]
    fn what_is_special_is_found_at_every_place() {
        for length in 0..40 {
            for place in 0..length {
                for before in [b' ', b'~'] {
                    for byte in 0..=255_u8 {
                        let mut text = vec![before; length];
                        text[place] = byte;
                        let is_plain_byte = byte.is_ascii() && !must_escape(byte);
                        assert_eq!(is_plain(&text), is_plain_byte, "{byte} at {place} of {length}");
                    }
                }
            }
        }
    }
}
