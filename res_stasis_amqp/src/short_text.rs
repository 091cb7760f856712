// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Texts that fit AMQP's short string: routing keys, event names, `type`.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// The longest short string: its length is one byte on the wire.
const MOST: usize = 255;

/// UTF-8 of at most 255 bytes. AMQP libraries panic or fail on more, and some names come from
/// dialplan and ARI clients, so what is longer is cut here, once.
#[derive(Debug, Clone)]
pub(crate) struct ShortText(Text);

#[derive(Debug, Clone)]
enum Text {
    Own(Box<str>),
    /// That many events have.
    Shared(Arc<str>),
}

impl ShortText {
    /// `text`, cut before the character that would pass the limit.
    pub(crate) fn new(text: &str) -> Self {
        Self(Text::Own(cut(text).into()))
    }

    /// `prefix` and `name` together, ASCII letters in lower case, cut likewise.
    pub(crate) fn lowered(prefix: &str, name: &str) -> Self {
        let mut text = String::with_capacity(prefix.len() + name.len());
        text.push_str(prefix);
        text.push_str(name);
        text.make_ascii_lowercase();
        text.truncate(cut(&text).len());
        Self(Text::Own(text.into_boxed_str()))
    }

    /// The same, of which copies share the text.
    pub(crate) fn shared(self) -> Self {
        Self(Text::Shared(Arc::from(&*self)))
    }
}

fn cut(text: &str) -> &str {
    if text.len() <= MOST {
        return text;
    }
    let end = (0..=MOST).rev().find(|end| text.is_char_boundary(*end));
    end.and_then(|end| text.get(..end)).unwrap_or_default()
}

impl Deref for ShortText {
    type Target = str;

    fn deref(&self) -> &str {
        match &self.0 {
            Text::Own(text) => text,
            Text::Shared(text) => text,
        }
    }
}

impl PartialEq for ShortText {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for ShortText {}

impl fmt::Display for ShortText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fits_255_bytes_and_keeps_characters_whole() {
        assert_eq!(ShortText::new(&"x".repeat(255)).len(), 255);
        assert_eq!(ShortText::new(&"x".repeat(256)).len(), 255);
        // 255 is odd, so the 128th two-byte letter does not fit.
        assert_eq!(*ShortText::new(&"é".repeat(300)), *"é".repeat(127));
        assert!(ShortText::new("").is_empty());
        let key = ShortText::lowered("stasis.app.", &"É".repeat(300));
        assert_eq!(*key, *format!("stasis.app.{}", "É".repeat(122)));
        assert_eq!(key.clone().shared(), key);
    }
}
