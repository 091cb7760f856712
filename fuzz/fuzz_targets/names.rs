// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Names of events, applications and variables: patterns against a simpler matcher, and the short
//! texts that AMQP takes. The first line is the pattern, the rest the name.

#![no_main]

#[path = "../../res_stasis_amqp/src"]
mod module {
    pub(crate) mod pattern;
    pub(crate) mod routing;
    pub(crate) mod short_text;
}

use libfuzzer_sys::fuzz_target;
use module::*;

use crate::pattern::Pattern;
use crate::short_text::ShortText;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let (pattern, name) = text.split_once('\n').unwrap_or(("*", &text));
    let made = Pattern::new(pattern);
    // The simpler matcher's table is as large as both together.
    if pattern.len() * name.len() < 1 << 16 {
        assert_eq!(made.fits(name), fits(pattern.as_bytes(), name.as_bytes()));
        let [pattern, name] = [pattern, name].map(str::to_ascii_lowercase);
        assert_eq!(made.fits_any_case(&name), fits(pattern.as_bytes(), name.as_bytes()));
    }
    let short = ShortText::new(name);
    assert!(name.starts_with(&*short));
    assert!(short.len() == name.len() || (252..=255).contains(&short.len()));
    for key in [routing::application(name), routing::channel(name), routing::ami(name)] {
        assert!(key.len() <= 255);
        let (_, rest) = key.rsplit_once('.').filter(|_| !name.contains('.')).unwrap_or(("", ""));
        assert!(name.to_ascii_lowercase().starts_with(rest));
    }
});

/// By the table of which beginnings of the name the beginnings of the pattern fit.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let mut row = vec![false; name.len() + 1];
    row[0] = true;
    for one in pattern {
        let mut next = vec![false; name.len() + 1];
        next[0] = row[0] && *one == b'*';
        for at in 1..=name.len() {
            next[at] = match one {
                b'*' => row[at] || next[at - 1],
                _ => row[at - 1] && *one == name[at - 1],
            };
        }
        row = next;
    }
    row[name.len()]
}
