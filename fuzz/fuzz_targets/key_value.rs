// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The value of an application's key, of any bytes: a wish that can be told to ARI, or a reason of
//! a bounded length.

#![no_main]

#[path = "../../res_consul_stasis_app/src"]
mod module {
    pub(crate) mod note;
    pub(crate) mod value;
}

use libfuzzer_sys::fuzz_target;
use module::*;
use serde_json::json;

use crate::value::{Wish, read};

/// A line of the log.
const LONGEST: usize = 1000;

fuzz_target!(|data: &[u8]| {
    let value = read(data);
    for text in value.error.iter().chain(&value.warnings) {
        assert!(text.chars().count() < LONGEST, "{text}");
        assert!(!asterisk::on_one_line(text).contains('\n'));
    }
    if value.error.is_some() {
        assert!(value.wish == Wish::default() && value.warnings.is_empty());
        return;
    }
    assert!(value.warnings.len() <= 6);
    let Wish { filter, sources } = &value.wish;
    assert!(sources.iter().all(|source| source.contains(':')));
    // What is told to ARI is what a key may say, and says the same.
    let events = filter.as_ref().map(|filter| -> serde_json::Value {
        serde_json::from_str(&filter.to_json()).expect("JSON")
    });
    let again = read(json!({"events": events, "subscriptions": sources}).to_string().as_bytes());
    assert_eq!((again.wish, again.error, again.warnings), (value.wish, None, Vec::new()));
});
