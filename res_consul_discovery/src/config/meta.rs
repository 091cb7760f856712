// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! `meta_<key>`, within what Consul takes.

use std::collections::BTreeMap;

use asterisk::config::Reader;

/// What Consul takes (`structs.ValidateMetadata`).
const PAIRS: usize = 64;
const KEY_BYTES: usize = 128;
const VALUE_BYTES: usize = 512;

/// Set by the module alone; `ari_port` and `ari_scheme` may be overridden.
const OURS: [&str; 3] = ["eid", "version", "conflict"];

/// Those of ours that may stand beside what is configured.
const OURS_AT_MOST: usize = 5;

/// The last of a key counts, and an empty one takes back what a template has.
pub(super) fn read(options: &mut Reader<'_>) -> BTreeMap<String, String> {
    let mut meta = BTreeMap::new();
    for (key, value) in options.prefixed("meta_") {
        let name = format!("meta_{key}");
        if OURS.contains(&key.as_str()) {
            options.warn(&name, format!("{name} is ignored, for the module sets '{key}' itself"));
        } else if let Err(reason) = check(&key, &value) {
            options.error(&name, format!("{name} = '{value}': {reason}"));
        } else if value.is_empty() {
            meta.remove(&key);
        } else {
            meta.insert(key, value);
        }
    }
    let most = PAIRS - OURS_AT_MOST;
    if let Some(key) = meta.keys().nth(most) {
        let text = format!(
            "meta_{key} is one too many: Consul takes {PAIRS} pairs, {OURS_AT_MOST} of them ours"
        );
        options.error(&format!("meta_{key}"), text);
    }
    meta
}

fn check(key: &str, value: &str) -> Result<(), String> {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !key.bytes().all(is_fine) {
        Err("the key may have letters, digits, '-' and '_' only".to_owned())
    } else if key.len() > KEY_BYTES {
        Err(format!("the key is longer than {KEY_BYTES} bytes"))
    } else if key.starts_with("consul-") {
        Err("keys beginning with 'consul-' are Consul's own".to_owned())
    } else if value.len() > VALUE_BYTES {
        Err(format!("the value is longer than {VALUE_BYTES} bytes"))
    } else {
        Ok(())
    }
}
