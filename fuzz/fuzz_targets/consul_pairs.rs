// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What Consul answers of keys, of any bytes: pairs in order, or a reason that shows no value.

#![no_main]

#[path = "../../res_consul/src"]
mod module {
    pub(crate) mod json;
    #[path = "watch/pairs.rs"]
    pub(crate) mod pairs;
}
mod hidden;

use hidden::SECRET;
use libfuzzer_sys::fuzz_target;
use module::*;

fuzz_target!(|data: &[u8]| {
    match pairs::parse(data) {
        Ok(pairs) => {
            assert!(pairs.windows(2).all(|two| two[0].key <= two[1].key));
            // Nothing is made larger than what it was made of.
            let bytes: usize = pairs.iter().map(|pair| pair.key.len() + pair.value.len()).sum();
            assert!(bytes <= data.len());
            for pair in &pairs {
                let borrowed = pair.borrowed();
                assert_eq!((borrowed.key, borrowed.value), (&*pair.key, &*pair.value));
            }
        }
        Err(reason) => {
            assert!(!reason.contains(SECRET) && reason.chars().count() < 200, "{reason}");
            assert!(!reason.chars().any(char::is_control), "{reason:?}");
        }
    }
});
